import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LineIndex, LineReader } from './line-index.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'line-index-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('LineIndex and LineReader', () => {
  it('find every line of every id, in order, whatever the length of the lines', async () => {
    const index = new LineIndex();
    const lines = Array.from({ length: 9000 }, (_none, row) => `${row % 1500}:é${'x'.repeat(row % 97)}`);
    lines.push(`7:${'y'.repeat(300_000)}`, '8:last');
    let start = 0;
    for (const line of lines) {
      index.add(line.split(':')[0]!, start);
      start += Buffer.byteLength(line) + 1;
    }
    const file = join(folder, 'lines');
    await writeFile(file, lines.join('\n'));
    const reader = new LineReader(file);
    for (const id of ['0', '7', '8', '1499', '733']) {
      const found = [];
      for (const at of index.startsOf(id)) found.push(await reader.read(at));
      expect(found).toEqual(lines.filter((line) => line.startsWith(`${id}:`)));
    }
    expect(index.startsOf('1500')).toEqual([]);
    await reader.close();
  });

  it('names the missing file', async () => {
    await expect(new LineReader(join(folder, 'none')).read(0)).rejects.toThrow(/none: no such file/);
  });
});
