import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeDurably } from './durable-file.ts';
import { claimNeighbour, replaceFolder, sweepLeftovers } from './leftovers.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'leftovers-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const GONE = spawnSync(process.execPath, ['-e', '']).pid;
const YESTERDAY = new Date(Date.now() - 25 * 60 * 60 * 1000);

/** Returns the name that a process would choose on this machine. */
async function nameOf(owner: { pid?: number; start?: string; place?: string }): Promise<string> {
  const mine = basename(await claimNeighbour(join(folder, 'out.jsonl'), 'partial'));
  const [, pid, start, place, random] = /^out\.jsonl\.(\d+)-([0-9a-z]*)-([0-9a-f]{6})-([0-9a-f]{6})\.partial$/.exec(
    mine,
  )!;
  return `out.jsonl.${owner.pid ?? pid}-${owner.start ?? start}-${owner.place ?? place}-${random}.partial`;
}

describe('leftovers of an ended process', () => {
  it.each([
    ['of this process', {}, false, true],
    ['of a process that is gone', { pid: GONE }, false, false],
    ['of one whose number this process has now', { start: '1' }, false, process.platform !== 'linux'],
    [
      'of one whose number another process has now',
      { pid: process.ppid, start: '1' },
      false,
      process.platform !== 'linux',
    ],
    ['of another machine, changed lately', { place: '000000', pid: GONE }, false, true],
    ['of another machine, not changed for a day', { place: '000000', pid: GONE }, true, false],
  ])('%s', async (_, owner, isOld, stays) => {
    const file = join(folder, await nameOf(owner));
    await writeFile(file, 'half');
    if (isOld) await utimes(file, YESTERDAY, YESTERDAY);
    await sweepLeftovers(folder);
    expect(await readdir(folder)).toEqual(stays ? [basename(file)] : []);
  });

  it.each([
    [`out.${GONE}-0123abcd.partial`, true],
    [`out.${process.ppid}-0123abcd.partial`, false],
  ])('recognises the names of earlier versions: %s', async (name, isRemoved) => {
    const file = join(folder, name);
    await writeFile(file, 'half');
    await sweepLeftovers(folder);
    expect(await readdir(folder)).toEqual([name]);
    await utimes(file, YESTERDAY, YESTERDAY);
    await sweepLeftovers(folder);
    expect(await readdir(folder)).toEqual(isRemoved ? [] : [name]);
  });

  it('ignores files that no process of this program has named', async () => {
    const names = ['a.partial', `notes.${GONE}.partial`, 'x.12-y.partial', 'corpus.jsonl', 'old'];
    for (const name of names) await writeFile(join(folder, name), '');
    await sweepLeftovers(folder);
    expect((await readdir(folder)).sort()).toEqual([...names].sort());
  });

  it('are removed by the next file that is written next to them', async () => {
    const name = (await nameOf({ pid: GONE })).replace('.jsonl', '.gguf');
    const inner = join(folder, 'inner');
    await mkdir(join(inner, name), { recursive: true });
    await writeFile(join(inner, name, 'weights'), 'half');
    await writeDurably(join(inner, 'other.json'), '{}');
    expect(await readdir(inner)).toEqual(['other.json']);
  });

  it("restore a folder's name if the process stopped between the two renames, and drop what was replaced", async () => {
    const old = (await nameOf({ pid: GONE })).replace('.jsonl', '').replace('.partial', '.old');
    await mkdir(join(folder, old));
    await writeFile(join(folder, old, 'a'), 'kept');
    await sweepLeftovers(folder);
    expect(await readFile(join(folder, 'out', 'a'), 'utf8')).toBe('kept');
    await mkdir(join(folder, old));
    await sweepLeftovers(folder);
    expect(await readdir(folder)).toEqual(['out']);
  });
});

describe('replaceFolder', () => {
  it('a complete folder replaces another, and the old one stays if the new one cannot be filled', async () => {
    const target = join(folder, 'set');
    for (const text of ['first', 'second']) {
      await replaceFolder(target, (fresh) => writeDurably(join(fresh, text), text));
      expect(await readdir(target)).toEqual([text]);
    }
    await expect(replaceFolder(target, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await readdir(target)).toEqual(['second']);
    expect(await readdir(folder)).toEqual(['set']);
  });
});
