import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ModelError, UsageError } from '../../system/index.ts';
import { openSafetensors } from './safetensors.ts';
import { writeSafetensors } from './safetensors-writer.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Writes a file of a header and a number of data bytes. */
async function fileOf(header: string | Buffer, dataBytes: number, claimed?: bigint): Promise<string> {
  const text = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(claimed ?? BigInt(text.length));
  const path = join(folder, 'test.safetensors');
  await writeFile(path, Buffer.concat([prefix, text, Buffer.alloc(dataBytes)]));
  return path;
}

const entry = (dtype: string, shape: unknown, start: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [start, end],
});
const f32 = (start: number, end: number) => entry('F32', [(end - start) / 4], start, end);

test.each([
  ['offsets beyond the end', { a: f32(0, 400) }, 8, 'ends at byte 400 of the data, which has 8'],
  ['tensors that overlap', { a: f32(0, 8), b: f32(4, 12) }, 12, 'overlaps another'],
  ['a hole', { a: f32(0, 4), b: f32(8, 12) }, 12, 'bytes 4 to 8 of the data belong to no tensor'],
  ['bytes left over', { a: f32(0, 4) }, 8, 'the last 4 bytes'],
  ['offsets that disagree with the shape', { a: entry('F32', [3], 0, 8) }, 8, 'F32 [3] takes 12'],
  ['offsets the wrong way round', { a: entry('F32', [1], 8, 4) }, 8, 'the offsets span -4 bytes'],
  ['a negative dimension', { a: entry('F32', [-1, -2], 0, 8) }, 8, 'lacks a valid dtype, shape'],
  ['a fractional dimension', { a: entry('F32', [0.5], 0, 2) }, 2, 'lacks a valid dtype, shape'],
  ['a shape beyond 2^53', { a: entry('F32', [2 ** 40, 2 ** 40], 0, 8) }, 8, 'is too large'],
  ['a shape beyond 2^53 hidden by a zero', { a: entry('F32', [2 ** 40, 2 ** 40, 0], 0, 0) }, 0, 'is too large'],
  ['an unknown type', { a: entry('F12', [1], 0, 4) }, 4, 'unknown element type "F12"'],
  ["a type named like an object's method", { a: entry('constructor', [1], 0, 4) }, 4, 'unknown element type'],
  ['an entry that is not an object', { a: 5 }, 0, 'lacks a valid dtype'],
  ['metadata that are not strings', { __metadata__: { a: 5 } }, 0, '__metadata__'],
])('a header with %s is refused', async (_label, header, dataBytes, reason) => {
  const path = await fileOf(JSON.stringify(header), dataBytes);
  const opening = openSafetensors(path);
  await expect(opening).rejects.toThrow(ModelError);
  await expect(opening).rejects.toThrow(reason);
  await expect(opening).rejects.toMatchObject({ file: path });
});

test('a tensor named twice is refused, though JSON.parse would keep the last', async () => {
  const one = JSON.stringify(f32(0, 4));
  for (const second of ['"a"', '"\\u0061"']) {
    const opening = openSafetensors(await fileOf(`{"a":${one},${second}:${one}}`, 4));
    await expect(opening).rejects.toMatchObject({ id: 'a', message: expect.stringContaining('names a tensor twice') });
  }
});

test('false header lengths are refused before memory is allocated', async () => {
  const header = JSON.stringify({ a: f32(0, 4) });
  await expect(openSafetensors(await fileOf(header, 4, 99_999_999n))).rejects.toThrow('but has');
  await expect(openSafetensors(await fileOf(header, 4, 100_000_001n))).rejects.toThrow('the limit is 100000000');
  await expect(openSafetensors(await fileOf(header, 4, 2n ** 64n - 1n))).rejects.toThrow('the limit is');
});

test.each([
  ['an array', '[]'],
  ['null', 'null'],
  ['half an object', '{"a":'],
  ['a blank before the object', ' {}'],
  ['nothing', ''],
])('a header that is %s is refused', async (_label, text) => {
  await expect(openSafetensors(await fileOf(text, 0))).rejects.toThrow('is not a JSON object');
});

test('a header that is not UTF-8 is refused', async () => {
  await expect(openSafetensors(await fileOf(Buffer.from([0x7b, 0xff, 0x7d]), 0))).rejects.toThrow('is not UTF-8');
});

test('a deeply nested header is refused without a crash', async () => {
  await expect(openSafetensors(await fileOf(`{"a":${'['.repeat(200_000)}`, 0))).rejects.toThrow(ModelError);
});

test('a name of several megabytes is cut in the message', async () => {
  const path = await fileOf(`{"${'\\n'.repeat(4_000_000)}":5}`, 0);
  const fault = await openSafetensors(path).catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(ModelError);
  expect((fault as ModelError).message.length).toBeLessThan(2000);
});

test('lists types that cannot be read, and names them when a read is tried', async () => {
  const file = await openSafetensors(await fileOf(JSON.stringify({ a: entry('F8_E4M3', [4], 0, 4) }), 4));
  expect(file.tensors()).toEqual([{ name: 'a', dtype: 'F8_E4M3', shape: [4] }]);
  await expect(file.read('a')).rejects.toMatchObject({ id: 'a', message: expect.stringContaining('F8_E4M3') });
  await expect(file.read('b')).rejects.toThrow('there is no such tensor');
  await file.close();
});

test('a file that shrinks after it was opened gives a typed error', async () => {
  const path = await fileOf(JSON.stringify({ a: f32(0, 4000) }), 4000);
  const file = await openSafetensors(path);
  await truncate(path, 100);
  await expect(file.read('a')).rejects.toThrow('shrank');
  await file.close();
});

test('reads back what was written, names included', async () => {
  const path = join(folder, 'new', 'written.safetensors');
  const tensors = [
    {
      name: 'weights "ü" 🙂',
      shape: [2, 3],
      data: Float32Array.of(1, -2, 3.5, Number.NaN, Number.POSITIVE_INFINITY, 1e-45),
    },
    { name: '__proto__', shape: [], data: Float32Array.of(7) },
    { name: 'empty', shape: [0, 5], data: new Float32Array(0) },
    { name: 'view', shape: [2], data: Float32Array.of(0, 1, 2, 3).subarray(1, 3) },
  ];
  await writeSafetensors(path, tensors, { format: 'pt' });
  const file = await openSafetensors(path);
  expect(file.metadata()).toEqual({ format: 'pt' });
  expect(file.tensors()).toEqual(tensors.map(({ name, shape }) => ({ name, dtype: 'F32', shape })));
  for (const { name, data } of tensors) expect(await file.read(name), name).toEqual(Float32Array.from(data));
  await file.close();
});

test('writing a shape that does not fit, or a name twice, is refused', async () => {
  const path = join(folder, 'refused.safetensors');
  const one = { name: 'a', shape: [1], data: Float32Array.of(1) };
  await expect(writeSafetensors(path, [{ ...one, shape: [2] }])).rejects.toThrow(UsageError);
  await expect(writeSafetensors(path, [one, one])).rejects.toThrow('the name appears twice');
  await expect(writeSafetensors(path, [{ ...one, name: '__metadata__' }])).rejects.toThrow(UsageError);
});
