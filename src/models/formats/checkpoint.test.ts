import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LlmQeError, ModelError, Random } from '../../system/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint-contract.ts';
import { PLAIN_FORMATS } from './element-formats.ts';
import { writeSafetensors } from './safetensors-writer.ts';

interface Goldens {
  files: Record<string, string>;
  tensors: Record<string, { name: string; shape: number[]; values: string }[]>;
  half: { bits: string; values: string };
}

const goldens: Goldens = JSON.parse(await readFile(new URL('../goldens/checkpoints.json', import.meta.url), 'utf8'));
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoints-'));
});
afterAll(() => rm(folder, { recursive: true }));

function golden(name: string): Buffer {
  return Buffer.from(goldens.files[name]!, 'base64');
}

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

async function put(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

async function withCheckpoint<T>(path: string, work: (checkpoint: Checkpoint) => Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await work(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** Opens a file and reads every tensor. */
function readAll(path: string): Promise<Float32Array[]> {
  return withCheckpoint(path, async (checkpoint) => {
    const values: Float32Array[] = [];
    for (const { name } of checkpoint.tensors()) values.push(await checkpoint.read(name));
    return values;
  });
}

async function faultOf(work: Promise<unknown>): Promise<LlmQeError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LlmQeError);
  return error as LlmQeError;
}

describe('parity', () => {
  test.each(Object.keys(goldens.tensors))(
    'every tensor of %s equals, bit for bit, what the reference library reads',
    async (name) => {
      await withCheckpoint(await put(name, golden(name)), async (checkpoint) => {
        for (const tensor of goldens.tensors[name]!) {
          const info = checkpoint.tensors().find((one) => one.name === tensor.name);
          expect(info?.shape, tensor.name).toEqual(tensor.shape);
          expect(await checkpoint.read(tensor.name), tensor.name).toEqual(floats(tensor.values));
        }
      });
    },
  );

  test('half precision: subnormal, infinite and ordinary numbers', () => {
    const bytes = new Uint8Array(Buffer.from(goldens.half.bits, 'base64'));
    const values = new Float32Array(bytes.length / 2);
    PLAIN_FORMATS.F16!.decode(bytes, values);
    expect(values).toEqual(floats(goldens.half.values));
  });

  test('a state dictionary inside a training checkpoint is found', async () => {
    await withCheckpoint(await put('wrapped.bin', golden('wrapped.bin')), async (checkpoint) => {
      expect(checkpoint.tensors().map(({ name }) => name)).toEqual(['weight', 'bias']);
    });
  });

  test('GGUF metadata of every type', async () => {
    const metadata = await withCheckpoint(await put('small.gguf', golden('small.gguf')), async (file) =>
      file.metadata(),
    );
    expect(metadata).toMatchObject({
      'general.architecture': 'llama',
      'test.u8': 200,
      'test.i8': -100,
      'test.u16': 60000,
      'test.i16': -30000,
      'test.u32': 4000000000,
      'test.i32': -2000000000,
      'test.f32': 0.5,
      'test.bool': true,
      'test.string': 'Grüße, 世界 🙂',
      'test.texts': ['a', '', 'ß'],
      'test.numbers': [1, -2, 3],
      'test.floats': [0.25, -0.5],
      'test.u64': 2 ** 40,
      'test.u64.large': '18446744073709551615',
      'test.i64': -(2 ** 40),
      'test.f64': 0.1,
    });
  });

  test('reads GGUF version 2', async () => {
    const bytes = golden('small.gguf');
    bytes.writeUInt32LE(2, 4);
    expect(await readTensor(await put('v2.gguf', bytes), 'cube')).toHaveLength(24);
  });
});

function readTensor(path: string, name: string): Promise<Float32Array> {
  return withCheckpoint(path, (checkpoint) => checkpoint.read(name));
}

describe('finding the checkpoint of a folder', () => {
  async function folderWith(name: string, files: Record<string, Uint8Array | string>): Promise<string> {
    await mkdir(join(folder, name), { recursive: true });
    for (const [file, bytes] of Object.entries(files)) await put(join(name, file), bytes);
    return join(folder, name);
  }

  test('prefers safetensors to PyTorch and PyTorch to GGUF', async () => {
    const files = {
      'x.gguf': golden('small.gguf'),
      'pytorch_model.bin': golden('small.bin'),
      'model.safetensors': golden('small.safetensors'),
    };
    const all = await folderWith('all', files);
    expect(await withCheckpoint(all, async ({ path }) => path)).toBe(join(all, 'model.safetensors'));
    await rm(join(all, 'model.safetensors'));
    expect(await withCheckpoint(all, async ({ path }) => path)).toBe(join(all, 'pytorch_model.bin'));
    await rm(join(all, 'pytorch_model.bin'));
    expect(await withCheckpoint(all, async ({ path }) => path)).toBe(join(all, 'x.gguf'));
  });

  test('two GGUF files, an empty folder, no such path, a folder in place of a file, an unknown file extension', async () => {
    const two = await folderWith('two', { 'a.gguf': golden('small.gguf'), 'b.gguf': golden('small.gguf') });
    expect((await faultOf(openCheckpoint(two))).message).toContain('holds 2 GGUF files');
    expect((await faultOf(openCheckpoint(await folderWith('none', {})))).message).toContain('holds no checkpoint');
    expect((await faultOf(openCheckpoint(join(folder, 'absent.gguf')))).message).toContain('no such file');
    const nested = await folderWith('nested', {});
    await mkdir(join(nested, 'model.safetensors'));
    expect((await faultOf(openCheckpoint(nested))).message).toContain('model.safetensors');
    expect((await faultOf(openCheckpoint(await put('x.onnx', 'x')))).message).toContain('known checkpoint format');
  });

  test('shards are read through their index', async () => {
    const shard = (name: string, value: number) =>
      writeSafetensors(join(folder, 'sharded', name), [{ name, shape: [1], data: Float32Array.of(value) }]);
    await shard('one.safetensors', 1);
    await shard('two.safetensors', 2);
    const weight_map = { 'one.safetensors': 'one.safetensors', 'two.safetensors': 'two.safetensors' };
    const sharded = await folderWith('sharded', {
      'model.safetensors.index.json': JSON.stringify({ metadata: { total_size: 8 }, weight_map }),
    });
    expect(await readAll(sharded)).toEqual([Float32Array.of(1), Float32Array.of(2)]);
  });

  test('sharded PyTorch checkpoints are read through their index', async () => {
    const index = { weight_map: { weight: 'a.bin', bias: 'a.bin' } };
    const sharded = await folderWith('sharded-torch', {
      'a.bin': golden('module.bin'),
      'pytorch_model.bin.index.json': JSON.stringify(index),
    });
    expect((await readAll(sharded)).map(({ length }) => length)).toEqual([6, 2]);
  });

  test.each([
    ['a missing shard', { weight_map: { a: 'gone.safetensors' } }, 'no such file'],
    ['a shard above its folder', { weight_map: { a: '../x.safetensors' } }, 'outside its folder'],
    ['a shard at the root', { weight_map: { a: '/etc/passwd' } }, 'outside its folder'],
    ['a shard with a Windows path', { weight_map: { a: '..\\x.safetensors' } }, 'outside its folder'],
    ['a tensor its shard lacks', { weight_map: { absent: 'a.safetensors' } }, 'does not'],
    ['no map', { weights: {} }, 'is not a shard index'],
  ])('index with %s', async (label, index, reason) => {
    const bad = await folderWith(`index ${label}`, {
      'a.safetensors': golden('small.safetensors'),
      'model.safetensors.index.json': JSON.stringify(index),
    });
    const fault = await faultOf(openCheckpoint(bad));
    expect(fault).toBeInstanceOf(ModelError);
    expect(fault.message).toContain(reason);
  });
});

describe('damage', () => {
  const names = ['small.safetensors', 'small.bin', 'small.gguf'];

  test.each(names)('%s cut anywhere is refused', async (name) => {
    const whole = golden(name);
    for (let cut = 0; cut < whole.length; cut += 1 + Math.floor(whole.length / 150)) {
      const fault = await faultOf(readAll(await put(`cut-${name}`, whole.subarray(0, cut))));
      expect(fault, `cut at ${cut}`).toBeInstanceOf(ModelError);
      expect(fault.file).toBe(join(folder, `cut-${name}`));
    }
  });

  test('a value that is not a number is refused with its tensor', async () => {
    const path = join(folder, 'nan.safetensors');
    await writeSafetensors(path, [
      { name: 'sound', shape: [2], data: Float32Array.of(1, -Infinity) },
      { name: 'damaged', shape: [3], data: Float32Array.of(0, Number.NaN, 1) },
    ]);
    await withCheckpoint(path, async (checkpoint) => {
      expect(await checkpoint.read('sound')).toEqual(Float32Array.of(1, -Infinity));
      await expect(checkpoint.read('damaged')).rejects.toMatchObject({ name: 'ModelError', file: path, id: 'damaged' });
    });
  });

  test.each(names)('%s with flipped bytes gives a result or a typed error', async (name) => {
    const random = new Random(11);
    const whole = golden(name);
    let refused = 0;
    for (let trial = 0; trial < 300; trial++) {
      const bytes = Buffer.from(whole);
      // Mostly in the first part, where the headers are; the zip directory is at the end.
      const reach = trial % 3 === 0 ? bytes.length : Math.min(bytes.length, 1500);
      for (let flip = 0; flip <= trial % 4; flip++) {
        const at =
          name.endsWith('.bin') && trial % 2 === 0 ? bytes.length - 1 - random.below(reach) : random.below(reach);
        bytes[at] = random.below(256);
      }
      await readAll(await put(`flipped-${name}`, bytes)).catch((error: unknown) => {
        if (!(error instanceof LlmQeError)) throw new Error(`trial ${trial} gave ${error}`, { cause: error });
        expect(error.fix, `trial ${trial}`).not.toBe('');
        refused++;
      });
    }
    expect(refused).toBeGreaterThan(50);
  });
});
