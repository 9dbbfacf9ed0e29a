import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanCache, listCache } from './cache-entries.ts';
import { CacheKind } from './cache-kind.ts';
import { withFileLock } from './file-lock.ts';
import { claimNeighbour } from './leftovers.ts';

const FILES = new CacheKind({ name: 'files', what: 'files', format: 2 });
const MODELS = new CacheKind({
  ...{ name: 'models', what: 'models', isPrecious: true, describe: async () => 'from elsewhere' },
});
const KINDS = [FILES, MODELS];
const GONE = spawnSync(process.execPath, ['-e', '']).pid;

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cache-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function put(name: string, daysAgo = 0, content = 'four'): Promise<string> {
  const path = join(home, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  const then = new Date(Date.now() - daysAgo * 86_400_000);
  await utimes(path, then, then);
  return path;
}

const names = (entries: readonly { path: string }[]) => entries.map(({ path }) => path.slice(home.length + 1)).sort();
const clean = (options: object = {}) => cleanCache(KINDS, { home, olderThanDays: 30, ...options });

describe('listCache', () => {
  it('counts a file with its lock, note and manifest as one entry, a folder with all below it', async () => {
    const file = await put('files/v2/key.gguf');
    await FILES.note(file, 'the model of my aunt');
    await put('files/v2/key.manifest.json');
    await put('models/small.model/weights/a');
    await put('models/small.model/manifest.json');
    const entries = await listCache(KINDS, { home });
    expect(entries.map(({ kind, bytes, about, state }) => ({ kind, bytes, about, state }))).toEqual([
      { kind: 'files', bytes: 8 + 21, about: 'the model of my aunt', state: 'current' },
      { kind: 'models', bytes: 8, about: 'from elsewhere', state: 'current' },
    ]);
    expect(names(entries)).toEqual(['files/v2/key.gguf', 'models/small.model']);
  });

  it('recognises other formats, leftovers of killed processes, and entries in use', async () => {
    await put('files/key.json');
    await put('files/v1/key.json');
    await put('files/v2/dead.json.lock', 0, `${GONE} ${hostname()}\n`);
    const half = await claimNeighbour(join(home, 'files/v2/x.json'), 'partial');
    await put(half.slice(home.length + 1).replace(`${process.pid}-`, `${GONE}-`));
    await put('files/v2/made.json');
    await withFileLock(join(home, 'files/v2/made.json.lock'), async () => {
      const entries = await listCache(KINDS, { home });
      const states = Object.fromEntries(
        entries.map(({ path, state }) => [path.slice(home.length + 7, home.length + 15), state]),
      );
      expect(states).toEqual({
        'key.json': 'other format',
        'v1/key.j': 'other format',
        'v2/dead.': 'leftover',
        'v2/x.jso': 'leftover',
        'v2/made.': 'in use',
      });
    });
  });

  it('is empty if there is no cache', async () => {
    expect(await listCache(KINDS, { home: join(home, 'none') })).toEqual([]);
  });
});

describe('cleanCache', () => {
  it('removes old entries and those of other formats with their companions, and keeps the rest', async () => {
    await FILES.note(await put('files/v2/old.gguf', 31), 'old');
    await put('files/v2/new.gguf', 29);
    await put('files/v1/other/deep', 0);
    await put('models/ancient/manifest.json', 400);
    expect(names(await clean({ dryRun: true }))).toEqual(['files/v1/other', 'files/v2/old.gguf']);
    expect(await readdir(join(home, 'files/v2'))).toHaveLength(3);
    expect(names(await clean())).toEqual(['files/v1/other', 'files/v2/old.gguf']);
    expect(await readdir(join(home, 'files/v2'))).toEqual(['new.gguf']);
    expect(await readdir(join(home, 'files/v1'))).toEqual([]);
    expect(await readdir(join(home, 'models'))).toEqual(['ancient']);
  });

  it('counts a folder as used if any file in it was used', async () => {
    await put('files/v2/folder/a', 400);
    await put('files/v2/folder/b', 1);
    const then = new Date(0);
    await utimes(join(home, 'files/v2/folder'), then, then);
    expect(await clean()).toEqual([]);
  });

  it.each([
    ['--kind files', { kinds: ['files'], olderThanDays: 0 }, ['models']],
    ['--kind models', { kinds: ['models'] }, ['files']],
    ['--all', { all: true }, []],
  ])('removes precious kinds only if they are named: %s', async (_, options, left) => {
    await put('models/ancient/manifest.json', 400);
    await put('files/v2/key.json', 1);
    await clean(options);
    const kept = (await listCache(KINDS, { home })).map(({ kind }) => kind);
    expect(kept).toEqual(left);
  });

  it('never removes a folder in which a process is making something', async () => {
    await put('files/v2/folder/made', 400);
    await withFileLock(join(home, 'files/v2/folder/made.lock'), async () => {
      expect(await clean({ all: true })).toEqual([]);
    });
    expect(names(await clean({ all: true }))).toEqual(['files/v2/folder']);
  });

  it('never removes what a process is making, on this machine or another', async () => {
    await put('files/v2/here.json', 400);
    await put('files/v2/there.json', 400);
    await put('files/v2/there.json.lock', 0, '1 another-machine\n');
    await withFileLock(join(home, 'files/v2/here.json.lock'), async () => {
      expect(await clean({ all: true })).toEqual([]);
    });
    expect(names(await clean({ all: true }))).toEqual(['files/v2/here.json']);
  });
});
