import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import { ModelError } from '../../system/index.ts';
import { openTorch } from './torch-checkpoint.ts';

const goldens: { files: Record<string, string> } = JSON.parse(
  await readFile(new URL('../goldens/checkpoints.json', import.meta.url), 'utf8'),
);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'torch-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Makes a zip archive of stored entries; with `zip64`, all sizes and offsets are in 64-bit fields. */
function archive(entries: [name: string, bytes: Buffer][], { zip64 = false, method = 0 } = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const [name, bytes] of entries) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    // An extra field in the local header only: PyTorch pads storages this way.
    local.writeUInt16LE(8, 28);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(crc32(bytes), 16);
    for (const at of [20, 24]) central.writeUInt32LE(zip64 ? 0xffffffff : bytes.length, at);
    central.writeUInt32LE(zip64 ? 0xffffffff : position, 42);
    central.writeUInt16LE(Buffer.byteLength(name), 28);
    const extra = Buffer.alloc(zip64 ? 28 : 0);
    if (zip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      for (const [at, value] of [
        [4, bytes.length],
        [12, bytes.length],
        [20, position],
      ] as const) {
        extra.writeBigUInt64LE(BigInt(value), at);
      }
      central.writeUInt16LE(28, 30);
    }
    directory.push(central, Buffer.from(name), extra);
    const whole = Buffer.concat([local, Buffer.from(name), Buffer.from('FB\x04\0ZZZZ'), bytes]);
    parts.push(whole);
    position += whole.length;
  }
  const central = Buffer.concat(directory);
  return Buffer.concat([
    ...parts,
    central,
    zip64 ? zip64End(entries.length, central.length, position) : Buffer.alloc(0),
    end(),
  ]);

  function end(): Buffer {
    const record = Buffer.alloc(22);
    record.writeUInt32LE(0x06054b50);
    for (const at of [8, 10]) record.writeUInt16LE(zip64 ? 0xffff : entries.length, at);
    record.writeUInt32LE(zip64 ? 0xffffffff : central.length, 12);
    record.writeUInt32LE(zip64 ? 0xffffffff : position, 16);
    return record;
  }
}

function zip64End(count: number, bytes: number, position: number): Buffer {
  const record = Buffer.alloc(76);
  record.writeUInt32LE(0x06064b50);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(bytes), 40);
  record.writeBigUInt64LE(BigInt(position), 48);
  record.writeUInt32LE(0x07064b50, 56);
  record.writeBigUInt64LE(BigInt(position + bytes), 64);
  record.writeUInt32LE(1, 72);
  return record;
}

async function put(bytes: Buffer): Promise<string> {
  const path = join(folder, 'test.bin');
  await writeFile(path, bytes);
  return path;
}

const global = (module: string, name: string) => `c${module}\n${name}\n`;
const word = (value: string) => Buffer.concat([Buffer.from('X'), Buffer.of(value.length, 0, 0, 0), Buffer.from(value)]);
const long = (value: bigint) => {
  const bytes = Buffer.alloc(10, 0x8a);
  bytes[1] = 8;
  bytes.writeBigUInt64LE(value, 2);
  return bytes;
};
const bytesOf = (...parts: (string | Buffer)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));

/** The instructions for a tensor over storage "0" of `numel` F32 elements. */
function tensor(
  shape: bigint[],
  strides: bigint[],
  { numel = 4n, offset = 0n, storage = 'FloatStorage', key = '0' } = {},
): Buffer {
  const tuple = (values: bigint[]) => bytesOf('(', ...values.map(long), 't');
  const id = bytesOf('(', word('storage'), global('torch', storage), word(key), word('cpu'), long(numel), 'tQ');
  const hooks = bytesOf(global('collections', 'OrderedDict'), ')R');
  const values = bytesOf('(', id, long(offset), tuple(shape), tuple(strides), '\x89', hooks, 't');
  return bytesOf(global('torch._utils', '_rebuild_tensor_v2'), values, 'R');
}

const stateDictionary = (value: Buffer) => bytesOf('\x80\x02}', word('weight'), value, 's.');

function checkpoint(pickle: Buffer, options?: { zip64?: boolean; method?: number }): Buffer {
  const storage = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
  return archive(
    [
      ['model/data.pkl', pickle],
      ['model/data/0', storage],
      ['model/version', Buffer.from('3\n')],
    ],
    options,
  );
}

test('reads views through their strides', async () => {
  const file = await openTorch(await put(checkpoint(stateDictionary(tensor([2n, 2n], [1n, 2n])))));
  expect(await file.read('weight')).toEqual(Float32Array.of(1, 3, 2, 4));
  await expect(file.read('absent')).rejects.toThrow('there is no such tensor');
  await file.close();
});

test('reads ZIP64 archives', async () => {
  const file = await openTorch(await put(checkpoint(stateDictionary(tensor([4n], [1n])), { zip64: true })));
  expect(await file.read('weight')).toEqual(Float32Array.of(1, 2, 3, 4));
  await file.close();
});

test('a pickle that names os.system is refused by that name and not executed', async () => {
  // The golden file was written by Python's pickle (posix.system); the other is built by hand.
  const trace = join(folder, 'executed');
  const spelt = bytesOf('\x80\x02', global('os', 'system'), word(`touch ${trace}`), '\x85R.');
  for (const [bytes, name] of [
    [Buffer.from(goldens.files['os-system.bin']!, 'base64'), 'posix.system'],
    [checkpoint(spelt), 'os.system'],
  ] as const) {
    const opening = openTorch(await put(bytes));
    await expect(opening).rejects.toThrow(ModelError);
    await expect(opening).rejects.toMatchObject({ id: name, message: expect.stringContaining(`asks for ${name}`) });
  }
  expect(existsSync(trace)).toBe(false);
});

test.each([
  ['builtins.eval', global('builtins', 'eval')],
  ['builtins.getattr', global('builtins', 'getattr')],
  ['torch._utils.__builtins__', global('torch._utils', '__builtins__')],
  ['torch.constructor', global('torch', 'constructor')],
  ['os.system', bytesOf(word('os'), word('system'), '\x93')],
])('the global %s is refused', async (name, instructions) => {
  const opening = openTorch(await put(checkpoint(bytesOf('\x80\x04', instructions, '.'))));
  await expect(opening).rejects.toMatchObject({ id: name });
});

test.each([
  ['a view beyond its storage', tensor([5n], [1n]), 'more elements than its storage'],
  ['an offset beyond its storage', tensor([2n], [1n], { offset: 3n }), 'reaches beyond its storage'],
  ['strides beyond its storage', tensor([2n, 2n], [3n, 1n]), 'reaches beyond its storage'],
  ['an enormous shape over one element', tensor([2n ** 50n], [0n]), 'more elements than its storage'],
  ['a shape beyond 2^53', tensor([2n ** 40n, 2n ** 40n], [0n, 0n]), 'more elements than its storage'],
  ['a negative shape', tensor([2n ** 64n - 1n], [1n]), 'an integer is too large'],
  ['a negative stride', tensor([2n], [2n ** 64n - 1n]), 'an integer is too large'],
  ['a storage that claims too much', tensor([4n], [1n], { numel: 5n }), 'its storage has 16 bytes'],
  ['a storage of another type', tensor([4n], [1n], { storage: 'DoubleStorage' }), 'its storage has 16 bytes'],
  ['a storage that is missing', tensor([4n], [1n], { key: '7' }), 'data/7 is missing'],
  ['a storage outside the archive', tensor([4n], [1n], { key: '../data.pkl' }), 'is missing'],
  ['a shape and strides that differ', tensor([2n, 2n], [1n]), 'invalid offset, shape or stride'],
  ['too many dimensions', tensor(Array(9).fill(1n), Array(9).fill(1n)), 'invalid offset, shape or stride'],
])('a tensor with %s is refused', async (_label, value, reason) => {
  const path = await put(checkpoint(stateDictionary(value)));
  const opening = openTorch(path);
  await expect(opening).rejects.toThrow(ModelError);
  await expect(opening).rejects.toThrow(reason);
  await expect(opening).rejects.toMatchObject({ file: path });
});

test.each([
  ['millions of empty lists', bytesOf('\x80\x02', Buffer.alloc(3_000_000, ']'), '.'), 'more than 1000000 instructions'],
  ['millions of marks', bytesOf('\x80\x02', Buffer.alloc(3_000_000, '('), '.'), 'more than 1000000 instructions'],
  [
    'an integer of a megabyte, which takes quadratic time to read',
    bytesOf('\x80\x02\x8b', Buffer.of(0, 0, 16, 0), Buffer.alloc(1 << 20, 255), '.'),
    'instruction 0x8b is not allowed',
  ],
  ['states copied again and again', bytesOf('\x80\x02]', '}b'.repeat(17), '.'), 'too many objects with a state'],
  ['a string longer than the file', bytesOf('\x80\x02X', Buffer.of(255, 255, 255, 127)), 'it ends too early'],
  ['doublings (2^40 elements if they were walked)', bytesOf('\x80\x02]', '2\x86'.repeat(40), '.'), 'is not allowed'],
  ['a call of no function', bytesOf('\x80\x02', word('x'), ')R.'), 'the pickle is broken'],
  ['an empty stack', bytesOf('\x80\x02u.'), 'the pickle is broken'],
  [
    'an instruction that creates an object',
    bytesOf('\x80\x02', global('torch', 'FloatStorage'), ')\x81.'),
    'instruction 0x81 is not allowed',
  ],
  ['no end', bytesOf('\x80\x02}'), 'the pickle is broken'],
  ['nothing', Buffer.alloc(0), 'the pickle is broken'],
  ['a number alone', bytesOf('\x80\x02K\x01.'), 'holds no named tensors'],
])('a pickle with %s is refused, quickly', async (_label, pickle, reason) => {
  const seconds = await cpuSeconds(async () => {
    const opening = openTorch(await put(checkpoint(pickle)));
    await expect(opening).rejects.toThrow(ModelError);
    await expect(opening).rejects.toThrow(reason);
  });
  expect(seconds).toBeLessThan(5);
});

/** Each tuple holds the previous one twice, 60 deep: 2^60 elements if expanded. */
const nested = bytesOf(
  ')q\x00',
  ...Array.from({ length: 60 }, (_, depth) => Buffer.of(0x68, depth, 0x68, depth, 0x86, 0x71, depth + 1)),
);

test.each<[string, Buffer]>([
  ['as the name of a global', bytesOf('\x80\x04', nested, word('x'), '\x93.')],
  ['as the key of a dictionary', bytesOf('\x80\x02', nested, '}h\x3cK\x01s.')],
  ['as the keys of a state', bytesOf('\x80\x02', nested, ']}h\x3cK\x01sb.')],
  [
    'as the key of an ordered dictionary',
    bytesOf('\x80\x02', nested, global('collections', 'OrderedDict'), ')Rh\x3cK\x01s.'),
  ],
  ['as a storage', bytesOf('\x80\x02', nested, 'Q.')],
  ['as a whole', bytesOf('\x80\x02', nested, '.')],
])('nested tuples %s take no memory', async (_label, pickle) => {
  const file = await put(checkpoint(pickle));
  expect(await cpuSeconds(() => expect(openTorch(file)).rejects.toThrow(ModelError))).toBeLessThan(2);
});

test('a pickle beyond the limit is refused', async () => {
  await expect(openTorch(await put(checkpoint(Buffer.alloc(17 << 20))))).rejects.toThrow('the limit is 16777216');
});

test('refuses archives that PyTorch did not write', async () => {
  const good = stateDictionary(tensor([4n], [1n]));
  await expect(openTorch(await put(checkpoint(good, { method: 8 })))).rejects.toThrow('compressed or encrypted');
  await expect(openTorch(await put(archive([['a.txt', Buffer.from('x')]])))).rejects.toThrow('holds no data.pkl');
  const twice = archive([
    ['m/data.pkl', good],
    ['m/data/0', Buffer.alloc(16)],
    ['m/data/0', Buffer.alloc(16)],
  ]);
  await expect(openTorch(await put(twice))).rejects.toThrow('names an entry twice');
  const big = archive([
    ['m/data.pkl', good],
    ['m/data/0', Buffer.alloc(16)],
    ['m/byteorder', Buffer.from('big')],
  ]);
  await expect(openTorch(await put(big))).rejects.toThrow('byte order "big"');
  await expect(openTorch(await put(Buffer.from('<html>')))).rejects.toThrow('is not a PyTorch checkpoint');
  await expect(openTorch(await put(Buffer.alloc(0)))).rejects.toThrow('is not a PyTorch checkpoint');
});

test("PyTorch's format from before 1.6 is reported with a fix", async () => {
  const opening = openTorch(await put(Buffer.from(goldens.files['legacy.bin']!, 'base64')));
  await expect(opening).rejects.toMatchObject({
    message: expect.stringContaining('before version 1.6'),
    fix: expect.stringContaining('save it again'),
  });
});

test('refuses a tensor that repeats its storage: a small file could fill the memory', async () => {
  const opening = openTorch(await put(Buffer.from(goldens.files['repeated.bin']!, 'base64')));
  await expect(opening).rejects.toMatchObject({ id: 'repeated' });
});
