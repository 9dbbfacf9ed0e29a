import type { Dirent } from 'node:fs';
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted } from '../errors.ts';
import { lifeOf, parseIdentity } from '../workers/process-identity.ts';
import { ABOUT, type CacheKind } from './cache-kind.ts';
import { findLeftovers } from './leftovers.ts';
import { cacheHome } from './places.ts';

/** One entry of a cache: a file or folder, with the small files that belong to it. */
export interface CacheEntry {
  kind: string;
  /** The file or folder itself. */
  path: string;
  /** Size of the entry with its companions. */
  bytes: number;
  /** Time of the last write or (if the file system records it) the last read, in milliseconds since 1970. */
  used: number;
  about: string | undefined;
  /**
   * 'current'; 'other format': made by a version of this program with another format; 'leftover': half made by a process that is
   * gone; 'in use': a process is working on it.
   */
  state: 'current' | 'other format' | 'leftover' | 'in use';
  /** All files of the entry, including the entry itself. */
  files: readonly string[];
}

/** Returns every entry of the given kinds, including what killed processes left behind. */
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

/** Companions of an entry `KEY` or `KEY.ext`: its lock, note, manifest, and partial downloads. */
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

/** Returns `KEY` for the folder `KEY`, the file `KEY.gguf` and all companions. Names of folders may contain dots. */
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

/** Measures a file, or all files in a folder. Links count as themselves because their targets are not removed. */
async function measure(path: string): Promise<{ bytes: number; used: number }> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts === undefined) return { bytes: 0, used: 0 };
  if (!facts.isDirectory()) {
    const isAside = path.endsWith(ABOUT) || /\.lock(\.|$)/.test(path);
    return { bytes: facts.size, used: isAside ? 0 : Math.max(facts.mtimeMs, facts.atimeMs) };
  }
  const inner = await Promise.all((await namesIn(path)).map(({ name }) => measure(join(path, name))));
  // The access times of folders are ignored: listing a folder's names, as here, counts as an access.
  return {
    bytes: inner.reduce((sum, { bytes }) => sum + bytes, 0),
    used: inner.length === 0 ? facts.mtimeMs : Math.max(...inner.map(({ used }) => used)),
  };
}

/** Whether a file of an entry is a lock that is held, or a folder with one. */
async function isHeld(path: string): Promise<boolean> {
  const inside = (await namesIn(path)).map(({ name }) => join(path, name));
  return (await Promise.all([path, ...inside].map(isHeldLock))).includes(true);
}

/** Returns whether a lock's process runs, or may run on another machine. Files that are not locks are not held. */
async function isHeldLock(path: string): Promise<boolean> {
  if (!/\.lock(\.[0-9a-f]{6})?$/.test(path)) return false;
  const owner = parseIdentity(await readFile(path, 'utf8').catch(() => ''));
  return owner !== undefined && lifeOf(owner) !== 'gone';
}

export interface CleanOptions {
  home?: string | undefined;
  /** Removes entries that were not used for this many days. */
  olderThanDays: number;
  /** Names of the kinds to clean. Default: all except the precious ones. */
  kinds?: readonly string[] | undefined;
  /** Removes everything that is not in use. */
  all?: boolean | undefined;
  /** Reports what would be removed, and removes nothing. */
  dryRun?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

const DAY = 24 * 60 * 60 * 1000;

/**
 * Removes entries that are old, of another format, or half made by a process that is gone. Never removes what is in use.
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
  // Nothing can use what killed downloads left behind.
  const left = kinds === undefined ? (await listCache(precious, { home, signal })).filter(isLeft) : [];
  if (dryRun) return [...old, ...left];
  const removed: CacheEntry[] = [];
  for (const entry of [...old, ...left]) {
    throwIfAborted(signal);
    const { files } = entry;
    // Another process may have begun to use it since it was listed.
    if ((await Promise.all(files.map(isHeld))).includes(true)) continue;
    removed.push(entry);
    // Note and lock go last: if this is interrupted, what is left is still an entry.
    const inOrder = [...files].sort((a, b) => Number(COMPANION.test(a)) - Number(COMPANION.test(b)));
    for (const file of inOrder) await rm(file, { recursive: true, force: true });
  }
  return removed;
}

function isLeft({ state }: CacheEntry): boolean {
  return state === 'leftover';
}
