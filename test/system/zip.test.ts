import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type UnpackOptions, unpackZip } from '../../src/system/disk/zip.ts';
import { AbortedError, DataError } from '../../src/system/errors.ts';
import { type ZipEntry, zipArchive } from '../support/zip-writer.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zip-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function unpack(entries: ZipEntry[] | Buffer, options?: UnpackOptions): Promise<string[]> {
  const file = join(folder, 'a.zip');
  await writeFile(file, Array.isArray(entries) ? zipArchive(entries) : entries);
  return await unpackZip(file, join(folder, 'out'), options);
}

async function refusal(entries: ZipEntry[] | Buffer, options?: UnpackOptions): Promise<DataError> {
  const error = await unpack(entries, options).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(DataError);
  const left = existsSync(join(folder, 'out')) ? await readdir(join(folder, 'out')) : [];
  expect(left).toEqual([]);
  return error as DataError;
}

describe('unpackZip', () => {
  test('writes stored and deflated files, and returns their paths', async () => {
    const written = await unpack([
      { name: 'd/', content: '' },
      { name: 'd/one.txt', content: 'one' },
      { name: 'two.txt', content: 'two '.repeat(1000), deflate: true },
    ]);
    expect(written).toEqual([join(folder, 'out/d/one.txt'), join(folder, 'out/two.txt')]);
    expect(await readFile(written[1]!, 'utf8')).toBe('two '.repeat(1000));
  });

  test('takes only what is asked for, under another name', async () => {
    const options: UnpackOptions = { include: (name) => name.startsWith('m/'), rename: (name) => name.slice(2) };
    const written = await unpack(
      [
        { name: 'm/a', content: 'a' },
        { name: 'b', content: 'b' },
      ],
      options,
    );
    expect(written).toEqual([join(folder, 'out/a')]);
  });

  test.each(['../evil', 'a/../../evil', '/etc/evil', 'a\\b', 'C:/evil', './a', 'a//b'])(
    'refuses the name %s',
    async (name) => {
      const error = await refusal([
        { name: 'good', content: 'good' },
        { name, content: 'evil' },
      ]);
      expect(error.file).toBe(join(folder, 'a.zip'));
      expect(existsSync(join(folder, 'evil'))).toBe(false);
    },
  );

  test('refuses a rename that leads outside', async () => {
    const error = await refusal([{ name: 'a', content: 'a' }], { rename: () => '../a' });
    expect(error.message).toContain('outside the folder');
  });

  test('refuses symbolic links, devices, encryption, and a name that stands twice', async () => {
    expect((await refusal([{ name: 'l', content: '/etc', mode: 0o120777 }])).message).toContain('symbolic link');
    expect((await refusal([{ name: 'p', content: '', mode: 0o010644 }])).message).toContain('neither a file');
    expect((await refusal([{ name: 'e', content: 'x', encrypted: true, statedSize: 0 }])).message).toMatch(
      /zip archive/,
    );
    expect((await refusal([{ name: 'e', content: 'x', encrypted: true, deflate: true }])).message).toContain(
      'encrypted',
    );
    const twice = [1, 2].map((content) => ({ name: 'same', content: `${content}` }));
    expect((await refusal(twice)).message).toContain('twice');
  });

  test('refuses a bomb by its ratio, by bytes and by count', async () => {
    const bomb = { name: 'bomb', content: Buffer.alloc(20 * 2 ** 20), deflate: true };
    expect((await refusal([bomb])).message).toContain('zip bomb');
    expect((await refusal([{ name: 'a', content: 'abc' }], { maxBytes: 2 })).message).toContain('more than 2 bytes');
    const many = Array.from({ length: 4 }, (_, i) => ({ name: `${i}`, content: '' }));
    expect((await refusal(many, { maxFiles: 3 })).message).toContain('the limit is 3');
  });

  test('refuses a size that lies, in both directions', async () => {
    const content = 'x'.repeat(5000);
    for (const statedSize of [10, 9000]) {
      const error = await refusal([{ name: 'liar', content, deflate: true, statedSize }]);
      expect(error.message).toContain('not a complete zip archive');
    }
  });

  test('refuses bytes that do not match their checksum', async () => {
    expect((await refusal([{ name: 'a', content: 'abc', statedCrc: 1 }])).message).toContain('checksum');
  });

  test('refuses a truncated archive and what is no archive', async () => {
    const whole = zipArchive([{ name: 'a', content: 'abc' }]);
    await refusal(whole.subarray(0, whole.length - 5));
    await refusal(Buffer.from('<html>not found</html>'));
    await refusal(Buffer.alloc(0));
  });

  test('a missing archive is named', async () => {
    const error = await unpackZip(join(folder, 'none.zip'), folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toContain('none.zip: no such file');
  });

  test('stops when told to', async () => {
    const signal = AbortSignal.abort();
    const file = join(folder, 'a.zip');
    await writeFile(file, zipArchive([{ name: 'a', content: 'abc' }]));
    await expect(unpackZip(file, join(folder, 'out'), { signal })).rejects.toBeInstanceOf(AbortedError);
  });
});
