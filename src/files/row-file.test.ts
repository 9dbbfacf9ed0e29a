import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RowFile } from './row-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'row-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('keeps rows that arrive while a piece is being written, in their order', async () => {
  const path = join(folder, 'rows.jsonl');
  const file = await RowFile.create(path);
  const rows = Array.from({ length: 40 }, (_none, row) => JSON.stringify({ row, text: 'x'.repeat(20_000) }));
  await Promise.all(rows.map((row) => file.write(row)));
  await file.commit();
  expect((await readFile(path, 'utf8')).split('\n')).toEqual([...rows, '']);
  expect(file.rows).toBe(40);
});

test('leaves nothing behind when it is discarded', async () => {
  const file = await RowFile.create(join(folder, 'discarded.jsonl'));
  await file.write('{}');
  await file.discard();
  expect((await readdir(folder)).filter((name) => name.startsWith('discarded'))).toEqual([]);
});
