import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LineReader } from './line-index.ts';

/** How often this process has a file open. */
async function timesOpen(file: string): Promise<number> {
  const handles = await readdir('/proc/self/fd');
  const targets = await Promise.all(handles.map((one) => readlink(`/proc/self/fd/${one}`).catch(() => '')));
  return targets.filter((target) => target === file).length;
}

test.runIf(process.platform === 'linux')('lines that are read at the same time open the file once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'line-reader-'));
  const file = join(folder, 'lines');
  // Each is longer than what is read at once; the last has no end.
  const lines = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(70_000));
  await writeFile(file, lines.join('\n'));
  const reader = new LineReader(file);
  const starts = lines.map((_line, at) => at * 70_001);
  expect(await Promise.all([...starts].reverse().map((start) => reader.read(start)))).toEqual([...lines].reverse());
  expect(await timesOpen(file)).toBe(1);
  await reader.close();
  expect(await timesOpen(file)).toBe(0);
  await rm(folder, { recursive: true });
});
