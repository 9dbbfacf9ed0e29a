import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { captureOutput } from '../../../test/support/captured-output.ts';
import { CACHES } from '../caches.ts';
import { runCommandLine } from '../run.ts';

const printed = captureOutput();
let home: string;
beforeEach(async () => {
  Object.assign(printed, { out: '', err: '' });
  home = await mkdtemp(join(tmpdir(), 'cache-command-'));
  vi.stubEnv('LLM_QE_HOME', home);
  await mkdir(join(home, 'vectors/v0'), { recursive: true });
  await writeFile(join(home, 'vectors/v0/key'), 'x'.repeat(1500));
  await mkdir(join(home, 'file-hashes/v1'), { recursive: true });
  await writeFile(join(home, 'file-hashes/v1/a.json'), '{}');
  await utimes(join(home, 'file-hashes/v1/a.json'), 0, 0);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true, force: true });
});

describe('cache list and cache clean', () => {
  it('shows sizes, kinds and states', async () => {
    expect(await runCommandLine(['cache', 'list'])).toBe(0);
    expect(printed.out).toMatch(/key \(other format\)\s+vectors\s+1\.5 KB\s+now/);
    expect(printed.out).toMatch(/1 small entry\s+file-hashes\s+2 bytes\s+\d+ days ago/);
    expect(printed.out).toContain(`1.5 KB in ${home}`);
  });

  it('lists what it would remove, and removes it', async () => {
    expect(await runCommandLine(['cache', 'clean', '--dry-run', '--json'])).toBe(0);
    const plan = JSON.parse(printed.out);
    expect(plan.removed.map(({ kind }: { kind: string }) => kind).sort()).toEqual(['file-hashes', 'vectors']);
    expect(plan).toMatchObject({ home, dryRun: true, bytes: 1502 });
    expect(await readdir(join(home, 'vectors/v0'))).toEqual(['key']);
    printed.out = '';
    expect(await runCommandLine(['cache', 'clean', '--kind', 'vectors'])).toBe(0);
    expect(printed.out).toContain('removed 1 entry, 1.5 KB');
    expect(await readdir(join(home, 'vectors/v0'))).toEqual([]);
    expect(await readdir(join(home, 'file-hashes/v1'))).toEqual(['a.json']);
  });

  it.each([
    [['clean', '--kind', 'vector'], /there is no cache "vector"/],
    [['list', '--kind', 'vectors,nothing'], /there is no cache "nothing"/],
    [['clean', '--older-than', 'soon'], /expected a time such as/],
    [['clean', '--older-than', '-1d'], /older-than/],
    [['clean', '--all', '--kind', 'vectors'], /contradict/],
  ])('refuses %j', async (words, reason) => {
    expect(await runCommandLine(['cache', ...words])).toBe(2);
    expect(printed.err).toMatch(reason);
  });
});

describe('the table of caches', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !/^(system|cli)\//.test(name))
    .map((name) => readFileSync(resolve('src', name), 'utf8'));

  it('holds every kind that is defined', () => {
    const defined = sources.flatMap((text) => text.match(/new CacheKind\(/g) ?? []).length;
    expect(new Set(CACHES.map(({ name }) => name)).size).toBe(defined);
    expect(CACHES.filter(({ format }) => format === undefined).map(({ name }) => name)).toEqual(['models']);
  });

  it('is the only way to the cache home', () => {
    expect(sources.filter((text) => /join\(cacheHome\(/.test(text))).toEqual([]);
  });
});
