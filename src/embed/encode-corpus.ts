import { join } from 'node:path';
import { type Document, documentText } from '../data/index.ts';
import { IdSet } from '../files/index.ts';
import {
  contentKey,
  DataError,
  isThere,
  makeFolder,
  type Progress,
  type ProgressTask,
  SILENT,
  throwIfAborted,
  withFileLock,
} from '../system/index.ts';
import type { Encoder } from './encoder.ts';
import { refuseBrokenVectors } from './finite-vectors.ts';
import { corpusFiles, VECTORS_FORMAT, VectorFile, type VectorManifest, writeCorpus } from './vector-file.ts';
import { CUT, type Cut, keyOfText, VectorStore } from './vector-store.ts';

export interface EncodeCorpusOptions {
  /** The folder of all vectors; each encoder gets its own folder inside. */
  folder: string;
  /** The SHA-256 of the corpus. */
  corpusHash: string;
  /**
   * The number of documents, or a function that finds it. Needed only to report progress if there is something to
   * encode.
   */
  count?: number | (() => Promise<number>) | undefined;
  /** The number of documents that are encoded and stored together. Default 256. */
  batchRows?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** How a document becomes a text; see `documentText`. */
const TEXT_FORM = 'title text';

const BATCH_ROWS = 256;
/** The maximum number of characters in a batch: a few seconds of work. */
const BATCH_CHARACTERS = 250_000;
/** The number of concurrent batches: one starts while the last texts of the other are encoded, so no thread waits. */
const BATCHES_AT_ONCE = 2;

/** Texts without a vector yet. */
interface Batch {
  ids: string[];
  texts: string[];
  keys: Buffer[];
  characters: number;
}

/**
 * Encodes each document of a corpus. Vectors are stored by the content of encoder and text: a text that was encoded
 * before, in this corpus or another, is not encoded again. An interruption (Ctrl-C, kill -9, a full disk) loses at most
 * the running batches. If all vectors exist, the corpus is not even read. Memory holds two batches, the ids, and the
 * keys of all texts of this encoder. A second process that encodes the same corpus waits for the first; one that encodes another with the
 * same encoder does not, and uses what the first has stored by then.
 *
 * A local encoder in f32 gives a document the same bits whatever is encoded with it, so vectors added in several runs
 * equal those of a single run.
 * @throws DataError if the corpus is empty, an id is a duplicate, or a vector is not finite; AbortedError
 */
export async function encodeCorpus(
  encoder: Encoder,
  documents: AsyncIterable<Document>,
  options: EncodeCorpusOptions,
): Promise<VectorFile> {
  const { corpusHash, signal, progress } = options;
  const folder = folderOfVectors(options.folder, encoder);
  const key = contentKey({ ...aboutVectors(encoder), corpus: corpusHash });
  const kept = await openIfWhole(folder, key);
  if (kept !== undefined) return kept;
  await makeFolder(folder);
  const work = async () => {
    // Another process may have encoded it while this one waited.
    const made = await openIfWhole(folder, key);
    if (made !== undefined) return made;
    await encodeMissing(encoder, documents, folder, key, options);
    return VectorFile.open(folder, key);
  };
  return withFileLock(corpusFiles(folder, key).lock, work, { signal, progress, what: 'encodes the same corpus' });
}

/** Returns the folder in which {@link encodeCorpus} stores the vectors of an encoder. @param folder of all vectors */
export function folderOfVectors(folder: string, encoder: Encoder): string {
  return join(folder, contentKey(aboutVectors(encoder)).slice(0, 32));
}

/** What decides the vector of a document, but for its text. */
function aboutVectors(encoder: Encoder) {
  return { format: VECTORS_FORMAT, encoder: fingerprintOf(encoder), textForm: TEXT_FORM };
}

/** Of the vectors of documents. */
function fingerprintOf({ fingerprint, documentFingerprint = fingerprint }: Encoder): string {
  return documentFingerprint;
}

/** Opens the vectors of a corpus, if they are complete; damaged ones are made again from the documents. */
async function openIfWhole(folder: string, key: string): Promise<VectorFile | undefined> {
  if (!(await isThere(corpusFiles(folder, key).manifest))) return undefined;
  return VectorFile.open(folder, key).catch((error: unknown) => {
    if (error instanceof DataError) return undefined;
    throw error;
  });
}

async function encodeMissing(
  encoder: Encoder,
  documents: AsyncIterable<Document>,
  folder: string,
  key: string,
  options: EncodeCorpusOptions,
): Promise<void> {
  const { count, progress = SILENT, corpusHash, signal } = options;
  const total = typeof count === 'function' ? await count() : count;
  const store = await VectorStore.open({ folder, dimensions: encoder.dimensions, signal });
  const task = progress.task('encoding documents', total, 'documents');
  try {
    const encoding = new CorpusEncoding(encoder, store, task, options);
    const { ids, keys } = await encoding.run(documents);
    const rows = keys.map((text) => store.row(text)!);
    const manifest: VectorManifest = {
      ...{ version: VECTORS_FORMAT, key, dimensions: encoder.dimensions, textForm: TEXT_FORM, corpusHash },
      encoder: { id: encoder.id, fingerprint: fingerprintOf(encoder), settings: { ...encoder.settings } },
      rows: rows.length,
      cut: countCut(rows, store, encoder),
    };
    await writeCorpus(folder, manifest, { ids, rows, marks: keys.map((text) => text.readUInt32LE(0)) });
  } finally {
    task.done();
    await store.close();
  }
}

function countCut(rows: readonly number[], store: VectorStore, { settings }: Encoder): VectorManifest['cut'] {
  const tokens = settings.maxLength;
  if (typeof tokens !== 'number' || rows.some((row) => store.cut(row) === CUT.unknown)) return undefined;
  return { documents: rows.filter((row) => store.cut(row) === CUT.yes).length, tokens };
}

/** One pass over the documents: those with a vector are skipped, the others are collected and encoded. */
class CorpusEncoding {
  readonly #encoder: Encoder;
  readonly #store: VectorStore;
  readonly #task: ProgressTask;
  readonly #options: EncodeCorpusOptions;
  readonly #seen = new IdSet();
  /** Texts that are being encoded. */
  readonly #wanted = new Set<string>();
  readonly #running: Promise<void>[] = [];

  constructor(encoder: Encoder, store: VectorStore, task: ProgressTask, options: EncodeCorpusOptions) {
    this.#encoder = encoder;
    this.#store = store;
    this.#task = task;
    this.#options = options;
  }

  /** Encodes the documents. @returns the id and key of each */
  async run(documents: AsyncIterable<Document>): Promise<{ ids: string[]; keys: Buffer[] }> {
    const { batchRows = BATCH_ROWS, signal } = this.#options;
    const ids: string[] = [];
    const keys: Buffer[] = [];
    let batch = emptyBatch();
    try {
      for await (const document of documents) {
        throwIfAborted(signal);
        this.#refuseDoubled(document.id);
        const text = documentText(document);
        const key = keyOfText(text);
        ids.push(document.id);
        keys.push(key);
        if (!this.#want(key)) {
          this.#task.skip(1);
          continue;
        }
        addTo(batch, document.id, text, key);
        if (batch.texts.length < batchRows && batch.characters < BATCH_CHARACTERS) continue;
        await this.#start(batch);
        batch = emptyBatch();
      }
      if (batch.texts.length > 0) await this.#start(batch);
      while (this.#running.length > 0) await this.#running.shift();
    } finally {
      // Let the running batches finish; the first failure is already being thrown.
      await Promise.allSettled(this.#running);
    }
    if (ids.length > 0) return { ids, keys };
    throw new DataError('the corpus holds no documents', { fix: 'Check the corpus file.' });
  }

  #refuseDoubled(id: string): void {
    if (this.#seen.add(id)) return;
    throw new DataError('the corpus holds two documents with this id', { id, fix: 'Give each document a unique id.' });
  }

  /** Marks a text as wanted. Returns false if it already has a vector or a place in a batch. */
  #want(key: Buffer): boolean {
    const name = key.toString('latin1');
    if (this.#wanted.has(name) || this.#store.row(key) !== undefined) return false;
    this.#wanted.add(name);
    return true;
  }

  /** Starts a batch; first waits for the oldest one if enough are running. */
  async #start(batch: Batch): Promise<void> {
    const before = this.#running.at(-1) ?? Promise.resolve();
    const work = this.#encode(batch, before);
    work.catch(() => {});
    this.#running.push(work);
    if (this.#running.length >= (this.#encoder.batchesAtOnce ?? BATCHES_AT_ONCE)) await this.#running.shift();
  }

  /** Encodes a batch. Batches are appended in order, so that the rows of a corpus are contiguous. */
  async #encode({ ids, texts, keys }: Batch, before: Promise<void>): Promise<void> {
    const tells = typeof this.#encoder.settings.maxLength === 'number';
    const cuts = new Array<Cut>(texts.length).fill(tells ? CUT.no : CUT.unknown);
    const vectors = await this.#encoder.encode(texts, 'document', {
      signal: this.#options.signal,
      onTexts: (count) => this.#task.advance(count),
      onCut: (row) => {
        cuts[row] = CUT.yes;
      },
    });
    refuseBrokenVectors(vectors, texts, this.#encoder.id, ids);
    await before;
    await this.#store.append(keys, cuts, vectors);
    for (const key of keys) this.#wanted.delete(key.toString('latin1'));
  }
}

function emptyBatch(): Batch {
  return { ids: [], texts: [], keys: [], characters: 0 };
}

function addTo(batch: Batch, id: string, text: string, key: Buffer): void {
  batch.ids.push(id);
  batch.texts.push(text);
  batch.keys.push(key);
  batch.characters += text.length;
}
