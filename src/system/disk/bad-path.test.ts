import { open, readdir, readFile, stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { systemFault, UsageError } from '../errors.ts';
import { makeFolder } from './folders.ts';
import { sha256File } from './hash.ts';
import { isInsideFolder, placeInside } from './safe-path.ts';

const BAD = '/tmp/a\0b';

test.each<[string, () => Promise<unknown>]>([
  ['stat', () => stat(BAD)],
  ['open', () => open(BAD)],
  ['readFile', () => readFile(BAD)],
  ['readdir', () => readdir(BAD)],
])('a path with a NUL given to %s is a typed error', async (_name, use) => {
  const error = await use().catch((cause: unknown) => systemFault(cause, BAD));
  expect(error).toBeInstanceOf(UsageError);
  expect((error as UsageError).message).toContain('NUL character');
});

test.each<[string, () => Promise<unknown>]>([
  ['makeFolder', () => makeFolder(BAD)],
  ['sha256File', () => sha256File(BAD)],
])('and given to %s', async (_name, use) => {
  await expect(use()).rejects.toBeInstanceOf(UsageError);
});

test.each(['a', 'a/b.gguf', '..a', 'a..b/c', '..%2fa', 'Ünicode/名', 'a b'])('%j stays inside a folder', (name) => {
  expect(isInsideFolder(name)).toBe(true);
  expect(placeInside('/x', name)).toBe(`/x/${name}`);
});

test.each([
  '',
  '..',
  '.',
  '../a',
  'a/..',
  'a/../b',
  '/a',
  '//a',
  'a//b',
  'a/',
  'C:\\a',
  'c:a',
  '\\\\host\\a',
  'a\0',
  'a\nb',
  'x'.repeat(2000),
])('%j does not', (name) => {
  expect(isInsideFolder(name)).toBe(false);
  expect(() => placeInside('/x', name)).toThrow('outside its folder');
});
