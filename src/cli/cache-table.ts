import { z } from 'zod';
import { type CacheEntry, cacheHome, counted, UsageError } from '../system/index.ts';
import { CACHES } from './caches.ts';
import { formatTable } from './table.ts';

export const KIND_OPTION = z
  .string()
  .optional()
  .describe(`only these kinds, comma-separated: ${CACHES.map(({ name }) => name).join(', ')}`);

/** Reads `--kind`. @throws UsageError for an unknown kind */
export function kindsNamed(option: string | undefined): string[] | undefined {
  if (option === undefined) return undefined;
  const names = option.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !CACHES.some((kind) => kind.name === name));
  if (unknown === undefined) return names;
  throw new UsageError(`--kind: there is no cache ${JSON.stringify(unknown)}`, {
    fix: `Choose from ${CACHES.map(({ name }) => name).join(', ')}.`,
  });
}

/** An entry in the JSON documents of `cache list` and `cache clean`. */
export function entryRecord({ kind, path, bytes, used, about, state }: CacheEntry): Record<string, unknown> {
  return { kind, path, bytes, lastUsed: new Date(used).toISOString(), about: about ?? null, state };
}

/** Lays out the entries as a table, largest first. A kind that has many small entries takes one line. */
export function describeEntries(entries: readonly CacheEntry[]): string[] {
  if (entries.length === 0) return [`the cache ${cacheHome()} is empty`];
  const small = new Set(CACHES.filter(({ isSmall }) => isSmall).map(({ name }) => name));
  const large = entries.filter(({ kind }) => !small.has(kind)).sort((a, b) => b.bytes - a.bytes);
  const rows = large.map((entry) => [wordsOf(entry), entry.kind, formatBytes(entry.bytes), formatAge(entry.used)]);
  for (const name of small) {
    const notes = entries.filter(({ kind }) => kind === name);
    if (notes.length === 0) continue;
    const used = Math.max(...notes.map((note) => note.used));
    rows.push([counted(notes.length, 'small entry'), name, formatBytes(totalOf(notes)), formatAge(used)]);
  }
  return [
    formatTable(['what', 'kind', 'size', 'last used'], rows),
    `${formatBytes(totalOf(entries))} in ${cacheHome()}`,
  ];
}

function wordsOf({ about, path, state }: CacheEntry): string {
  const name = about ?? path.split(/[\\/]/).at(-1)!;
  return state === 'current' ? name : `${name} (${state})`;
}

function totalOf(entries: readonly CacheEntry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

function formatAge(used: number): string {
  const hours = Math.max(0, Date.now() - used) / 3.6e6;
  if (hours < 1) return 'now';
  return hours < 48 ? `${Math.floor(hours)} hours ago` : `${Math.floor(hours / 24)} days ago`;
}
