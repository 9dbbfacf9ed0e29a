import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { ModelError, type Progress, placeInside, sha256File, systemFault } from '../../../system/index.ts';
import { describeMismatch } from '../store-manifest.ts';
import type { FileRecord, ModelFormat, PinnedFile } from '../store-types.ts';

/** A request to a source. */
export interface FetchOrder {
  /** The target folder; files left by an interrupted order may be used again. */
  folder: string;
  /** The wanted files; if undefined, the source selects what is needed. */
  files: readonly PinnedFile[] | undefined;
  /** The usable formats; undefined: any. Another format is refused before its weights are downloaded. */
  formats: readonly ModelFormat[] | undefined;
  signal: AbortSignal | undefined;
  progress: Progress;
}

/** A place where models are published. */
export interface ModelSource {
  /** The name in messages and in the manifest: "the Hugging Face hub (owner/name@revision)". */
  readonly label: string;
  /**
   * Puts every wanted file into the folder, with the pinned bytes, and returns the records of these files.
   * @throws LlmQeError if this source fails; the next one is then tried
   */
  fetch(order: FetchOrder): Promise<FileRecord[]>;
}

/** Reads the files of a folder back and checks them against the pins. @throws ModelError if they differ */
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

/** Returns the record of a file; undefined if it does not exist. */
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

/**
 * Returns the id that git gives a file's content: SHA-1 over a short header and the bytes. The hub states it for small
 * files.
 */
export async function gitBlobId(file: string): Promise<string> {
  const content = await readFile(file);
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

/** Returns the error for a source with bytes that are not the model's. */
export function refusal(reason: string): ModelError {
  return new ModelError(reason, { fix: 'Use another source, or pass the path of the model that you have.' });
}

/** @throws ModelError if the format cannot be used for this purpose */
export function refuseFormat(format: ModelFormat, wanted: readonly ModelFormat[] | undefined, label: string): void {
  if (wanted === undefined || wanted.includes(format)) return;
  const fix = wanted.includes('gguf')
    ? 'Use a repository or folder with the same model as GGUF (hf:owner/name-GGUF/FILE.gguf), or convert it with `llm-qe models export --to gguf`.'
    : 'Use the original model with config.json, tokenizer and model.safetensors.';
  const needed = wanted.includes('gguf') ? 'a GGUF file' : 'a model in safetensors or PyTorch format';
  throw new ModelError(`${label} holds the model as ${format}, but ${needed} is needed here`, { fix });
}
