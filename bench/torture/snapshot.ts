import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Keys of JSON whose values tell when or how long, or how much of the work a run found done. */
const TIMES =
  /^(\w*(seconds|Seconds|milliseconds|Milliseconds|PerQuery|PerSecond)|started|finished|fetched|created|made|date|time|times|tokensPerSecond|host|reused|modified|memory|version)$/;

/** What tells a half-made file or a lock from a result. */
const LEFTOVER = /\.(partial|old|fetching)$|\.part(\.json)?$|(^|\.)lock(\.[0-9a-f]{6})?$/;

export interface Snapshot {
  /** Content hash of each file by its path, times left out. */
  files: Record<string, string>;
  leftovers: string[];
}

/** All files below a folder. Lines of JSONL are held against each other as sets: some are written in the order in which they come. */
export function snapshot(folder: string): Snapshot {
  const files: Record<string, string> = {};
  const leftovers: string[] = [];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    // The lock of a process that is gone is taken over by the next one that needs it, and removed by `llm-qe cache clean`.
    if (name.startsWith('home/') && /\.lock$/.test(name)) continue;
    if (LEFTOVER.test(entry.name) || /\.(partial|fetching|old)\//.test(name)) leftovers.push(name);
    else if (entry.isFile() && !isForPeople(name)) files[name] = hashOf(path);
  }
  return { files, leftovers };
}

/** Pages and logs tell times in sentences; notes of the cache tell times of files, or which of two equal files came first. */
function isForPeople(name: string): boolean {
  return /\.(html|log)$|(^|\/)(metrics\.jsonl|events\.out\.[^/]*)$|\/(hashes|file-hashes|tokenizer-trials)\/|\.seal\.json$/.test(
    name,
  );
}

function hashOf(path: string): string {
  const bytes = readFileSync(path);
  return createHash('sha256').update(plain(path, bytes)).digest('hex');
}

function plain(path: string, bytes: Buffer): Buffer | string {
  try {
    if (path.endsWith('.json')) return withoutTimes(JSON.parse(bytes.toString()));
    if (!/\.(jsonl|journal)$/.test(path)) return bytes;
    const lines = bytes.toString().trim().split('\n');
    return lines
      .map((line) => withoutTimes(JSON.parse(line)))
      .sort()
      .join('\n');
  } catch {
    return bytes;
  }
}

function withoutTimes(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (TIMES.test(key) || isMetrics(inner) ? undefined : inner));
}

/** The hash of a log of training, whose lines hold times. */
function isMetrics(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'file' in value && /metrics\.jsonl$/.test(String(value.file));
}

/** What differs, in a few words; undefined if nothing does. */
export function difference(expected: Snapshot, found: Snapshot): string | undefined {
  const names = [...new Set([...Object.keys(expected.files), ...Object.keys(found.files)])];
  const differing = names.filter((name) => expected.files[name] !== found.files[name]);
  if (differing.length === 0) return undefined;
  return differing
    .slice(0, 3)
    .map(
      (name) =>
        `${name} ${!(name in found.files) ? 'is missing' : !(name in expected.files) ? 'is too much' : 'differs'}`,
    )
    .join(', ');
}
