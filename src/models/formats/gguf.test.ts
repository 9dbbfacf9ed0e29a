import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ModelError } from '../../system/index.ts';
import { openGguf } from './gguf.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const pair = (key: string, type: number, value: Buffer) => Buffer.concat([text(key), u32(type), value]);
const tensor = (name: string, dimensions: (number | bigint)[], type: number, offset: number | bigint) =>
  Buffer.concat([text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)]);

interface Parts {
  version?: number;
  pairs?: Buffer[];
  tensors?: Buffer[];
  tensorCount?: number | bigint;
  pairCount?: number | bigint;
  dataBytes?: number;
}

async function fileOf({
  version = 3,
  pairs = [],
  tensors = [],
  tensorCount,
  pairCount,
  dataBytes = 64,
}: Parts): Promise<string> {
  const counts = [u64(tensorCount ?? tensors.length), u64(pairCount ?? pairs.length)];
  const header = Buffer.concat([Buffer.from('GGUF'), u32(version), ...counts, ...pairs, ...tensors]);
  const path = join(folder, 'test.gguf');
  await writeFile(
    path,
    Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), Buffer.alloc(dataBytes)]),
  );
  return path;
}

const array = (type: number, count: number | bigint, values: Buffer) => Buffer.concat([u32(type), u64(count), values]);
let nested = array(0, 0, Buffer.alloc(0));
for (let depth = 0; depth < 6; depth++) nested = array(9, 1, nested);

/** A size in a file's metadata, which llama.cpp would trust. */
const network = (size: string, value: number) => [
  pair('general.architecture', 8, text('llama')),
  pair(`llama.${size}`, 4, u32(value)),
];

/** The same for a 32-bit float. */
const real = (name: string, value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return [pair('general.architecture', 8, text('llama')), pair(`llama.${name}`, 6, bytes)];
};

test.each<[string, Parts, string]>([
  ['of version 1', { version: 1 }, 'GGUF version 1 cannot be read'],
  ['of version 4', { version: 4 }, 'GGUF version 4'],
  ['in big-endian order', { version: 0x03000000 }, 'big-endian'],
  ['with more tensors than it can hold', { tensorCount: 2n ** 60n }, 'tensors, more than it can hold'],
  ['with more metadata than it can hold', { pairCount: 2n ** 64n - 1n }, 'metadata entries, more than'],
  ['with a string longer than the file', { pairs: [u64(2n ** 40n)] }, 'bytes of text, more than'],
  ['with a longer array than it can hold', { pairs: [pair('a', 9, array(8, 1000, Buffer.alloc(0)))] }, 'values of "a"'],
  ['with an array of unknown type', { pairs: [pair('a', 9, array(77, 1, u32(0)))] }, 'an unknown type, 77'],
  ['with deeply nested arrays', { pairs: [pair('a', 9, nested)] }, 'nested more than 4 deep'],
  ['with an unknown type of value', { pairs: [pair('a', 13, u32(0))] }, 'an unknown type, 13'],
  ['with a key twice', { pairs: [pair('a', 4, u32(0)), pair('a', 4, u32(1))] }, 'the metadata key appears twice'],
  ['with a tensor twice', { tensors: [tensor('t', [4], 0, 0), tensor('t', [4], 0, 32)] }, 'names a tensor twice'],
  ['with five dimensions', { tensors: [tensor('t', [1, 1, 1, 1, 1], 0, 0)] }, '5 dimensions'],
  ['with a shape beyond 2^53', { tensors: [tensor('t', [2n ** 33n, 2n ** 33n], 0, 0)] }, 'is too large'],
  ['with a dimension of 2^64 - 1', { tensors: [tensor('t', [2n ** 64n - 1n], 0, 0)] }, 'is too large'],
  ['with a tensor beyond its end', { tensors: [tensor('t', [100], 0, 0)] }, 'but the file has'],
  ['with an offset beyond its end', { tensors: [tensor('t', [1], 0, 2n ** 50n)] }, 'but the file has'],
  ['with an offset that is not aligned', { tensors: [tensor('t', [1], 0, 4)] }, 'not a multiple of the alignment 32'],
  ['with tensors that overlap', { tensors: [tensor('s', [16], 0, 0), tensor('t', [4], 0, 32)] }, 'overlaps "s"'],
  ['with rows that do not fill blocks', { tensors: [tensor('t', [33], 2, 0)] }, "Q4_0's blocks of 32"],
  ['with an alignment of 0', { pairs: [pair('general.alignment', 4, u32(0))] }, 'not a power of two'],
  ['with a text as alignment', { pairs: [pair('general.alignment', 8, text('x'))] }, 'not a power of two'],
  ['of 5,000 layers', { pairs: network('block_count', 5000) }, 'states 5000, not a whole number from 1 to 512'],
  ...[0, 1].map((value): [string, Parts, string] => [
    `whose feed-forward layers have ${value} numbers`,
    { pairs: network('feed_forward_length', value) },
    `states ${value}, not a whole number from 2`,
  ]),
  ['without key heads', { pairs: network('attention.head_count_kv', 0) }, 'states 0, not a whole number from 1'],
  ...[Number.NaN, -1, 0, Number.POSITIVE_INFINITY, 2].map((value): [string, Parts, string] => [
    `with an epsilon of ${value}`,
    { pairs: real('attention.layer_norm_rms_epsilon', value) },
    `states ${value}, not a number above 0`,
  ]),
  ['with NaN as the base of rotary frequencies', { pairs: real('rope.freq_base', Number.NaN) }, 'states NaN'],
  ['with an absurd scaling', { pairs: real('rope.scaling.factor', 1e30) }, 'not a number from'],
  ['with heads too wide', { pairs: network('attention.key_length', 2147483646) }, 'states 2147483646'],
  ['with too many experts', { pairs: network('expert_count', 1e6) }, 'states 1000000'],
  [
    'whose key heads do not divide the query heads',
    { pairs: [...network('attention.head_count', 9), pair('llama.attention.head_count_kv', 4, u32(4))] },
    '4 key heads, which do not divide the 9',
  ],
  [
    'with more heads than a hidden state has numbers',
    { pairs: [...network('attention.head_count', 64), pair('llama.embedding_length', 4, u32(8))] },
    '64 heads, more than the 8 numbers',
  ],
  ['without attention heads', { pairs: network('attention.head_count', 0) }, 'states 0, not a whole number from 1'],
])('a file %s is refused', async (_label, parts, reason) => {
  const path = await fileOf(parts);
  const opening = openGguf(path);
  await expect(opening).rejects.toThrow(ModelError);
  await expect(opening).rejects.toThrow(reason);
  await expect(opening).rejects.toMatchObject({ file: path });
});

test('accepts layers without heads in a recurrent network', async () => {
  const pairs = [...network('attention.head_count', 0), pair('llama.ssm.state_size', 4, u32(16))];
  const file = await openGguf(await fileOf({ pairs }));
  expect(file.metadata()['llama.attention.head_count']).toBe(0);
  await file.close();
});

test('refuses a file of another format', async () => {
  const path = join(folder, 'other.gguf');
  await writeFile(path, 'ggjt and more');
  await expect(openGguf(path)).rejects.toThrow('is not a GGUF file');
});

test('lists types that cannot be read, and names them when a read is tried', async () => {
  // 20 is IQ4_NL, whose size is known; 99 does not exist.
  const tensors = [tensor('known', [32], 20, 0), tensor('unknown', [32], 99, 32)];
  const file = await openGguf(await fileOf({ tensors }));
  expect(file.tensors().map(({ dtype }) => dtype)).toEqual(['IQ4_NL', 'type 99']);
  await expect(file.read('known')).rejects.toMatchObject({ id: 'known', message: expect.stringContaining('IQ4_NL') });
  await expect(file.read('unknown')).rejects.toThrow('type 99 cannot be read');
  await expect(file.read('absent')).rejects.toThrow('there is no such tensor');
  await file.close();
});

test('honours another alignment', async () => {
  const pairs = [pair('general.alignment', 4, u32(128))];
  const file = await openGguf(await fileOf({ pairs, tensors: [tensor('t', [2], 0, 0)], dataBytes: 256 }));
  expect(await file.read('t')).toEqual(Float32Array.of(0, 0));
  await file.close();
});

test('reads a header that is longer than one read', async () => {
  const long = 'x'.repeat(5 * 1024 * 1024);
  const file = await openGguf(await fileOf({ pairs: [pair('a', 8, text(long)), pair('b', 7, Buffer.of(1))] }));
  expect(file.metadata()).toEqual({ a: long, b: true });
  await file.close();
});
