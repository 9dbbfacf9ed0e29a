import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { ModelError, type Progress, placeInside, sha256File, systemFault } from '../../../system/index.ts';
import { describeMismatch } from '../store-manifest.ts';
import type { FileRecord, ModelFormat, PinnedFile } from '../store-types.ts';

/** What a source is asked for. */
export interface FetchOrder {
  /** Where the files go; what an interrupted order left there may be used again. */
  folder: string;
  /** The files that are wanted; undefined lets the source pick what is needed. */
  files: readonly PinnedFile[] | undefined;
  /** The formats that can be used; undefined: any. Another one is refused before its weights are fetched. */
  formats: readonly ModelFormat[] | undefined;
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
  const file = placeInside(folder, path);
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

/** @throws ModelError for a format that cannot be used where the model is wanted */
export function refuseFormat(format: ModelFormat, wanted: readonly ModelFormat[] | undefined, label: string): void {
  if (wanted === undefined || wanted.includes(format)) return;
  const fix = wanted.includes('gguf')
    ? 'Name a repository or folder with the same model as GGUF (hf:owner/name-GGUF/FILE.gguf), or write one with `llm-qe models export --to gguf`.'
    : 'Name the original model with config.json, tokenizer and model.safetensors.';
  const needed = wanted.includes('gguf') ? 'a GGUF file' : 'a model in safetensors or PyTorch format';
  throw new ModelError(`${label} holds the model as ${format}, and ${needed} is needed here`, { fix });
}
