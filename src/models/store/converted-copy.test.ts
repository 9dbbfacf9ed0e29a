import { mkdtemp, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeConvertedCopy } from './converted-copy.ts';

let folder: string;
let file: string;
let made: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'converted-'));
  vi.stubEnv('LLM_QE_HOME', folder);
  file = join(folder, 'key.gguf');
  made = 0;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const make = async () => {
  made++;
  await writeFile(file, 'converted weights');
};

test('two concurrent calls make a copy once', async () => {
  await Promise.all([makeConvertedCopy(file, make), makeConvertedCopy(file, make)]);
  await makeConvertedCopy(file, make);
  expect(made).toBe(1);
});

test.each<[string, () => Promise<void>]>([
  ['zeroed in its second half', () => writeFile(file, `converted${'\0'.repeat(8)}`)],
  ['cut', () => truncate(file, 3)],
  ['gone', () => rm(file)],
  ['without its manifest', () => rm(join(folder, 'key.manifest.json'))],
  ['with a broken manifest', () => writeFile(join(folder, 'key.manifest.json'), '{')],
  [
    'replaced by another file',
    async () => {
      await rm(file);
      await writeFile(file, 'another weights..');
    },
  ],
])('a copy that is %s is made again', async (_what, damage) => {
  await makeConvertedCopy(file, make);
  await damage();
  await makeConvertedCopy(file, make);
  expect(made).toBe(2);
  expect(await readFile(file, 'utf8')).toBe('converted weights');
});

test('a copy with only a new modification time is read again and kept', async () => {
  await makeConvertedCopy(file, make);
  await utimes(file, 1000, 1000);
  await makeConvertedCopy(file, make);
  expect(made).toBe(1);
});
