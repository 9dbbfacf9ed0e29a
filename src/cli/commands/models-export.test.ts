import { copyFile, cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { openCheckpoint } from '../../models/index.ts';
import { runCommandLine } from '../run.ts';

/** A tiny random Llama, and an adapter that PEFT made for it. */
const TINY = join(import.meta.dirname, '../../nn/goldens/llama');
const ADAPTER = join(import.meta.dirname, '../../models/goldens/adapters/plain');

let folder: string;
let base: string;
let printed: CapturedOutput;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-export-command-'));
  base = await mkdtemp(join(folder, 'base-'));
  for (const name of ['config.json', 'model.safetensors']) await copyFile(join(TINY, name), join(base, name));
  const tokenizer = {
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
  };
  await writeFile(join(base, 'tokenizer.json'), JSON.stringify(tokenizer));
  printed = captureOutput();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const at = (name: string) => join(folder, name);

describe('llm-qe models export', () => {
  it('writes each kind of file', async () => {
    const named = ['--base', base, '--adapter', ADAPTER];
    const exportTo = (to: string, out: string, ...more: string[]) =>
      runCommandLine(['models', 'export', ...named, '--to', to, '--out', at(out), ...more]);
    expect(await exportTo('gguf', 'x.gguf', '--type', 'Q8_0', '--json')).toBe(0);
    expect(JSON.parse(printed.out)).toEqual({ out: at('x.gguf'), base, adapter: ADAPTER, to: 'gguf' });
    expect(await exportTo('safetensors', 'hub', '--dtype', 'bfloat16')).toBe(0);
    expect(await exportTo('gguf-adapter', 'lora.gguf')).toBe(0);
    expect(await exportTo('peft', 'peft')).toBe(0);
    expect(await exportTo('onnx', 'onnx')).toBe(0);
    expect((await readdir(at('onnx'))).sort()).toEqual(['model.onnx', 'weights.bin']);
    const dtypes = [];
    for (const name of ['x.gguf', 'hub', 'lora.gguf']) {
      const file = await openCheckpoint(at(name));
      dtypes.push(file.tensors().find((tensor) => /q(_proj)?\.weight/.test(tensor.name))?.dtype);
      await file.close();
    }
    expect(dtypes).toEqual(['Q8_0', 'BF16', 'F32']);
    expect((await readdir(at('peft'))).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  });

  it.each([
    ['no adapter for gguf-adapter', ['--to', 'gguf-adapter'], 2, /none is given/],
    ['a type for safetensors', ['--to', 'safetensors', '--type', 'F16'], 2, /--type works only with --to gguf/],
    ['a dtype for gguf', ['--to', 'gguf', '--dtype', 'float16'], 2, /--dtype works only with --to safetensors/],
    ['an unknown target', ['--to', 'onyx'], 2, /peft, safetensors, gguf, gguf-adapter/],
    ['a folder that is no adapter', ['--to', 'gguf', '--adapter', '/'], 1, /no adapter_config\.json/],
  ])('refuses %s', async (_label, words, code, message) => {
    expect(await runCommandLine(['models', 'export', '--base', base, '--out', at('x'), ...words])).toBe(code);
    expect(printed.err).toMatch(message);
    expect(printed.err).not.toMatch(/ {4}at /);
    await expect(stat(at('x'))).rejects.toThrow();
  });
});

describe('llm-qe models merge', () => {
  it('writes a complete model once, and overwrites nothing', async () => {
    const words = [
      'models',
      'merge',
      '--base',
      base,
      '--adapter',
      ADAPTER,
      '--out',
      at('merged'),
      '--max-shard',
      '1e-5',
    ];
    expect(await runCommandLine(words)).toBe(0);
    expect(printed.out).toMatch(/merged: .* float32/);
    const names = await readdir(at('merged'));
    expect(names).toEqual(expect.arrayContaining(['config.json', 'tokenizer.json', 'model.safetensors.index.json']));
    const { mergedWeights } = JSON.parse(await readFile(join(ADAPTER, 'expected.json'), 'utf8')) as {
      mergedWeights: Record<string, [number, number]>;
    };
    const merged = await openCheckpoint(at('merged'));
    for (const [name, [, squares]] of Object.entries(mergedWeights)) {
      expect((await merged.read(name)).reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(squares, 3);
    }
    await merged.close();
    const before = await readFile(at('merged/config.json'));
    expect(await runCommandLine(words)).toBe(0);
    expect(printed.out).toMatch(/finished before/);
    expect(await runCommandLine([...words, '--dtype', 'float16'])).toBe(2);
    expect(printed.err).toMatch(/begun with other settings \(dtype: "float32", now "float16"\)\n {2}.*remove this one/);
    await writeFile(at('merged/config.json'), '{}');
    expect(await runCommandLine(words)).toBe(0);
    expect(await readFile(at('merged/config.json'))).toEqual(before);
    await cp(base, at('changed'), { recursive: true });
    await writeFile(at('changed/tokenizer_config.json'), '{"changed":true}');
    expect(await runCommandLine(words.map((word) => (word === base ? at('changed') : word)))).toBe(2);
    expect(printed.err).toMatch(/begun with other settings \(base: "\w{16}", now "\w{16}"\)/);
    await writeFile(at('merged/mine.txt'), 'mine');
    expect(await runCommandLine(words)).toBe(2);
    expect(printed.err).toMatch(/already holds other files \(mine\.txt\)/);
  });
});
