import type { Dirent } from 'node:fs';
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ABOUT, type CacheKind } from './cache-kind.ts';
import { throwIfAborted } from './errors.ts';
import { findLeftovers } from './leftovers.ts';
import { cacheHome } from './places.ts';
import { lifeOf, parseIdentity } from './process-identity.ts';

/** One thing that is kept: a file or folder, with the small files that belong to it. */
export interface CacheEntry {
  kind: string;
  /** The file or folder itself. */
  path: string;
  /** Of the entry and all that belongs to it. */
  bytes: number;
  /** When it was last written or read (as far as the file system notes reads), in milliseconds since 1970. */
  used: number;
  about: string | undefined;
  /**
   * 'current'; 'other format': made by a version of this program that kept it otherwise; 'leftover': half made, by a
   * process that is gone; 'in use': a process works on it.
   */
  state: 'current' | 'other format' | 'leftover' | 'in use';
  /** All that goes with it, itself among them. */
  files: readonly string[];
}

/** Every entry of the kinds, and what killed processes have left among them. */
export async function listCache(
  kinds: readonly CacheKind[],
  { home = cacheHome(), signal }: { home?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const kind of kinds) {
    throwIfAborted(signal);
    const folder = kind.folder(home);
    entries.push(...(await entriesIn(folder, kind, 'current')));
    if (kind.format === undefined) continue;
    const outer = join(home, kind.name);
    for (const { name } of await namesIn(outer)) {
      const path = join(outer, name);
      if (path === folder) continue;
      if (/^v\d+$/.test(name)) entries.push(...(await entriesIn(path, kind, 'other format')));
    }
    entries.push(...(await entriesIn(outer, kind, 'other format')));
  }
  return entries;
}

/** Files that go with an entry `KEY` or `KEY.ext`: its lock, its note, its manifest, what is half fetched. */
const COMPANION = /(\.lock(\.[0-9a-f]{6})?|\.about|\.manifest\.json|\.part(\.json)?|\.fetching|\.jsonl\.lock)$/;

async function entriesIn(folder: string, kind: CacheKind, state: 'current' | 'other format'): Promise<CacheEntry[]> {
  const left = new Set((await findLeftovers(folder)).map(({ path }) => path));
  const groups = new Map<string, string[]>();
  for (const entry of await namesIn(folder)) {
    const { name } = entry;
    if (/^v\d+$/.test(name)) continue;
    const stem = left.has(join(folder, name)) ? name : stemOf(entry);
    groups.set(stem, [...(groups.get(stem) ?? []), join(folder, name)]);
  }
  return Promise.all([...groups.values()].map((files) => entryOf(files, kind, state, left)));
}

/** `KEY` for the folder `KEY`, the file `KEY.gguf` and all companions. Names of folders may hold dots. */
function stemOf(entry: Dirent): string {
  const name = entry.name.replace(COMPANION, '');
  return entry.isDirectory() ? name : name.replace(/\.(gguf|jsonl|json|index)$/, '');
}

async function entryOf(
  files: readonly string[],
  kind: CacheKind,
  state: 'current' | 'other format',
  left: ReadonlySet<string>,
): Promise<CacheEntry> {
  const measured = await Promise.all(files.map(measure));
  const itself = files.filter((file) => !COMPANION.test(file));
  const path = itself[0] ?? files[0]!;
  const isLeft = left.has(path) || (itself.length === 0 && files.every((file) => !/\.(fetching|part)/.test(file)));
  const inUse = (await Promise.all(files.map(isHeld))).includes(true);
  return {
    kind: kind.name,
    path,
    bytes: measured.reduce((sum, { bytes }) => sum + bytes, 0),
    used: measured.reduce((latest, { used }) => Math.max(latest, used), 0),
    about: isLeft ? undefined : await kind.about(path),
    state: inUse ? 'in use' : isLeft ? 'leftover' : state,
    files,
  };
}

async function namesIn(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch(() => []);
}

/** Of a file, or of all files below a folder. Links count as themselves: what they lead to is not removed either. */
async function measure(path: string): Promise<{ bytes: number; used: number }> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts === undefined) return { bytes: 0, used: 0 };
  if (!facts.isDirectory()) {
    const isAside = path.endsWith(ABOUT) || /\.lock(\.|$)/.test(path);
    return { bytes: facts.size, used: isAside ? 0 : Math.max(facts.mtimeMs, facts.atimeMs) };
  }
  const inner = await Promise.all((await namesIn(path)).map(({ name }) => measure(join(path, name))));
  // The times of a folder itself say little: to list its names, as is done here, counts as a use of it.
  return {
    bytes: inner.reduce((sum, { bytes }) => sum + bytes, 0),
    used: inner.length === 0 ? facts.mtimeMs : Math.max(...inner.map(({ used }) => used)),
  };
}

/** Whether a lock's process runs, or may run on another machine. Another file is not held. */
async function isHeld(path: string): Promise<boolean> {
  if (!/\.lock(\.[0-9a-f]{6})?$/.test(path)) return false;
  const owner = parseIdentity(await readFile(path, 'utf8').catch(() => ''));
  return owner !== undefined && lifeOf(owner) !== 'gone';
}

export interface CleanOptions {
  home?: string | undefined;
  /** Entries that were not used for this long go. */
  olderThanDays: number;
  /** Names of the kinds to clean. Default: all but the precious ones. */
  kinds?: readonly string[] | undefined;
  /** Removes everything that is not in use. */
  all?: boolean | undefined;
  /** Says what would be removed, and removes nothing. */
  dryRun?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

const DAY = 24 * 60 * 60 * 1000;

/**
 * Removes entries that are old, of another format, or half made by a process that is gone; never what is in use.
 * @returns what was removed, or would be
 * @throws AbortedError
 */
export async function cleanCache(table: readonly CacheKind[], options: CleanOptions): Promise<CacheEntry[]> {
  const { home, olderThanDays, kinds, all = false, dryRun = false, signal } = options;
  const chosen = table.filter(({ name, isPrecious }) => kinds?.includes(name) ?? (all || !isPrecious));
  const precious = table.filter((kind) => kind.isPrecious && !chosen.includes(kind));
  const limit = Date.now() - olderThanDays * DAY;
  const old = (await listCache(chosen, { home, signal })).filter(
    ({ state, used }) => state !== 'in use' && (all || state !== 'current' || used < limit),
  );
  // What killed downloads have left is of no use to anybody.
  const left = kinds === undefined ? (await listCache(precious, { home, signal })).filter(isLeft) : [];
  if (dryRun) return [...old, ...left];
  const removed: CacheEntry[] = [];
  for (const entry of [...old, ...left]) {
    throwIfAborted(signal);
    const { files } = entry;
    // Somebody may have begun to work on it since it was listed.
    if ((await Promise.all(files.map(isHeld))).includes(true)) continue;
    removed.push(entry);
    // The note and the lock last: what is half removed when this is stopped is still an entry.
    const inOrder = [...files].sort((a, b) => Number(COMPANION.test(a)) - Number(COMPANION.test(b)));
    for (const file of inOrder) await rm(file, { recursive: true, force: true });
  }
  return removed;
}

function isLeft({ state }: CacheEntry): boolean {
  return state === 'leftover';
}
