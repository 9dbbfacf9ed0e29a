import { copyFile, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DataError, ModelError, UsageError } from '../../system/index.ts';
import { findAdapters } from './adapters.ts';

/** From reference/lora_adapter.py: q and v of layers 3 and 20. */
const ADAPTER = join(import.meta.dirname, '../goldens', 'lora-smollm2.gguf');
const SHAPES = new Map(
  [3, 20].flatMap((layer): [string, number[]][] => [
    [`blk.${layer}.attn_q.weight`, [576, 576]],
    [`blk.${layer}.attn_v.weight`, [192, 576]],
  ]),
);
const MODEL = { architecture: 'llama', heads: 9, keyHeads: 3, shapes: SHAPES };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'adapters-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function faultOf(path: string, model = MODEL): Promise<unknown> {
  return findAdapters([{ path }], model).then(
    () => 'no fault',
    (error: unknown) => error,
  );
}

describe("findAdapters with PEFT's layout", () => {
  /** By reference/adapters.py, for a tiny Llama. */
  const PEFT = join(import.meta.dirname, '../../models/goldens/adapters/plain');
  const shapes = new Map(
    [0, 1].flatMap((layer): [string, number[]][] => [
      [`blk.${layer}.attn_q.weight`, [32, 32]],
      [`blk.${layer}.attn_v.weight`, [16, 32]],
    ]),
  );
  const tiny = { architecture: 'llama', heads: 4, keyHeads: 2, shapes };

  it('writes it as GGUF once, under a key made of its content and the number of heads', async () => {
    vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
    const [first] = await findAdapters([{ path: PEFT, scale: 0.5 }], tiny);
    const { mtimeMs } = await stat(first!.file);
    const copy = join(folder, 'copy');
    await cp(PEFT, copy, { recursive: true });
    const [second] = await findAdapters([{ path: copy }], tiny);
    expect(second).toEqual({ ...first, scale: 1 });
    expect((await stat(first!.file)).mtimeMs).toBe(mtimeMs);
    const [other] = await findAdapters([{ path: PEFT }], { ...tiny, heads: 2 });
    expect(other!.sha256).not.toBe(first!.sha256);
    vi.unstubAllEnvs();
  });

  it("names the user's folder in the error when the adapter does not fit", async () => {
    vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
    expect(await faultOf(PEFT, MODEL)).toMatchObject({ name: 'ModelError', file: PEFT });
    vi.unstubAllEnvs();
  });
});

describe('findAdapters', () => {
  it('finds a file, or the one file in a folder, and names it by its bytes', async () => {
    const inside = join(folder, 'one');
    await mkdir(inside);
    await copyFile(ADAPTER, join(inside, 'adapter.gguf'));
    await writeFile(join(inside, 'README.md'), 'x');
    const [first, second] = await findAdapters([{ path: ADAPTER }, { path: inside, scale: 0.5 }], MODEL);
    expect(first).toEqual({ file: ADAPTER, scale: 1, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(second).toEqual({ file: join(inside, 'adapter.gguf'), scale: 0.5, sha256: first!.sha256 });
  });

  it.each([
    ['another architecture', { ...MODEL, architecture: 'qwen2' }, /adapter is for llama, and the model is qwen2/],
    [
      'another width',
      { ...MODEL, shapes: new Map([...SHAPES.keys()].map((name) => [name, [960, 960]])) },
      /A is \[2, 576\] and B is \[\d+, 2\], which does not fit the model's \[960, 960\]/,
    ],
    ['fewer layers', { ...MODEL, shapes: new Map([...SHAPES].slice(0, 2)) }, /blk\.20\..*no such weight/],
  ])('refuses an adapter for a model of %s', async (_name, model, message) => {
    const error = await faultOf(ADAPTER, model);
    expect(error).toBeInstanceOf(ModelError);
    expect(error).toMatchObject({ message: expect.stringMatching(message), fix: expect.stringMatching(/trained on/) });
  });

  it('refuses files that are not a complete adapter', async () => {
    const bytes = await readFile(ADAPTER);
    const cut = join(folder, 'cut.gguf');
    await writeFile(cut, bytes.subarray(0, 9000));
    const junk = join(folder, 'junk.gguf');
    await writeFile(junk, 'not a model');
    const other = join(folder, 'adapter.safetensors');
    await writeFile(other, 'x');
    const model = join(folder, 'model.gguf');
    await writeFile(model, bytes.toString('latin1').replace('adapter', 'unknown'), 'latin1');
    for (const path of [cut, junk, other, model]) {
      const error = await faultOf(path);
      expect(error).toBeInstanceOf(ModelError);
      expect(error).toMatchObject({ file: path, fix: expect.any(String) });
    }
  });

  it('refuses a missing path, a folder with several adapters, and a scale that is not a number', async () => {
    expect(await faultOf(join(folder, 'missing.gguf'))).toBeInstanceOf(DataError);
    const several = join(folder, 'several');
    await mkdir(several);
    for (const name of ['a.gguf', 'b.gguf']) await copyFile(ADAPTER, join(several, name));
    expect(await faultOf(several)).toBeInstanceOf(ModelError);
    await expect(findAdapters([{ path: ADAPTER, scale: Number.NaN }], MODEL)).rejects.toThrow(UsageError);
  });
});
