import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, type Progress, sha256File, systemFault } from '../../../system/index.ts';
import { describeMismatch } from '../store-manifest.ts';
import type { FileRecord, PinnedFile } from '../store-types.ts';

/** What a source is asked for. */
export interface FetchOrder {
  /** Where the files go; what an interrupted order left there may be used again. */
  folder: string;
  /** The files that are wanted; undefined lets the source pick what is needed. */
  files: readonly PinnedFile[] | undefined;
  signal: AbortSignal | undefined;
  progress: Progress;
}

/** A place where models are published. */
export interface ModelSource {
  /** For messages and for the manifest: "the Hugging Face hub (owner/name@revision)". */
  readonly label: string;
  /**
   * Puts every wanted file into the folder, with the pinned bytes, and says what it put there.
   * @throws LlmQeError where this source cannot deliver; the next one is then tried
   */
  fetch(order: FetchOrder): Promise<FileRecord[]>;
}

/** Reads back what stands in a folder and holds it against the pins. @throws ModelError where it is something else */
export async function recordPinned(
  folder: string,
  pins: readonly PinnedFile[],
  label: string,
  signal?: AbortSignal,
): Promise<FileRecord[]> {
  const records: FileRecord[] = [];
  for (const pin of pins) {
    const record = await recordFile(folder, pin.path, signal);
    if (record === undefined) throw refusal(`${label} does not hold ${pin.path}`);
    const mismatch = describeMismatch(record, pin);
    if (mismatch !== undefined) throw refusal(`${label}: ${mismatch}`);
    records.push(record);
  }
  return records;
}

/** Undefined where there is no such file. */
export async function recordFile(folder: string, path: string, signal?: AbortSignal): Promise<FileRecord | undefined> {
  const file = join(folder, path);
  try {
    const { size } = await stat(file);
    return { path, bytes: size, sha256: await sha256File(file, signal) };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  }
}

/** The id that git gives a file's content: SHA-1 over a short header and the bytes. The hub states it for small files. */
export async function gitBlobId(file: string): Promise<string> {
  const content = await readFile(file);
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

/** The error of a source whose bytes are not those of the model. */
export function refusal(reason: string): ModelError {
  return new ModelError(reason, { fix: 'Take the model from another source, or name the one you have by its path.' });
}
