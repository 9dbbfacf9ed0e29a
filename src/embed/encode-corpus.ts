import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, documentText } from '../data/index.ts';
import {
  contentKey,
  DataError,
  makeFolder,
  type Progress,
  type ProgressTask,
  SILENT,
  throwIfAborted,
  withFileLock,
  writeDurably,
} from '../system/index.ts';
import type { Encoder } from './encoder.ts';
import { VectorFile, type VectorManifest } from './vector-file.ts';
import { findShards, readShardIds, type Shard, writeShard } from './vector-shards.ts';

export interface EncodeCorpusOptions {
  /** Folder of all vectors; those of this encoder and corpus get a folder of their own inside. */
  folder: string;
  /** SHA-256 of the corpus. */
  corpusHash: string;
  /** Number of documents, or how to learn it; asked only when there is something to encode, for the progress alone. */
  count?: number | (() => Promise<number>) | undefined;
  /** Documents of a shard, the unit that an interruption may cost. Default 1024. */
  shardRows?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** How a document becomes a text; see `documentText`. */
const TEXT_FORM = 'title text';

/** The documents of the next shard, and where the stream of documents stands. */
interface Gathered {
  ids: string[];
  texts: string[];
}

/**
 * Encodes a corpus into a folder that is named by the content key of encoder, text form and corpus, so that vectors of
 * another model are never taken for these. Memory holds one shard, and the ids. Work that was cut off keeps its whole
 * shards byte for byte and goes on with the next document; finished work is opened as it is. A second process that
 * comes for the same vectors waits for the first.
 * @throws DataError on an empty corpus, a doubled id, or shards that do not fit the documents; AbortedError
 */
export async function encodeCorpus(
  encoder: Encoder,
  documents: AsyncIterable<Document>,
  options: EncodeCorpusOptions,
): Promise<VectorFile> {
  const { corpusHash, signal } = options;
  const key = contentKey({ encoder: encoder.fingerprint, textForm: TEXT_FORM, corpus: corpusHash });
  const folder = join(options.folder, key.slice(0, 32));
  if (await isFinished(folder)) return VectorFile.open(folder, key);
  await makeFolder(folder);
  await withFileLock(
    `${folder}.lock`,
    async () => {
      if (await isFinished(folder)) return;
      const shards = await new CorpusEncoding(encoder, folder, options).run(documents);
      const manifest: VectorManifest = {
        ...{ version: 1, key, dimensions: encoder.dimensions, textForm: TEXT_FORM, corpusHash },
        encoder: { id: encoder.id, fingerprint: encoder.fingerprint, settings: { ...encoder.settings } },
        rows: shards.reduce((sum, { rows }) => sum + rows, 0),
        shards,
      };
      await writeDurably(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    },
    { signal, progress: options.progress, what: 'encodes the same corpus' },
  );
  return VectorFile.open(folder, key);
}

async function isFinished(folder: string): Promise<boolean> {
  const found = await stat(join(folder, 'manifest.json')).catch(() => undefined);
  return found !== undefined;
}

/** One pass over the documents: those of whole shards are compared by id, the others are encoded. */
class CorpusEncoding {
  readonly #encoder: Encoder;
  readonly #folder: string;
  readonly #options: EncodeCorpusOptions;
  readonly #seen = new Set<string>();

  constructor(encoder: Encoder, folder: string, options: EncodeCorpusOptions) {
    this.#encoder = encoder;
    this.#folder = folder;
    this.#options = options;
  }

  async run(documents: AsyncIterable<Document>): Promise<Shard[]> {
    const { count, shardRows = 1024, progress = SILENT } = this.#options;
    const shards = await findShards(this.#folder, this.#encoder.dimensions);
    const task = progress.task('encoding documents', typeof count === 'function' ? await count() : count, 'documents');
    const stream = documents[Symbol.asyncIterator]();
    try {
      for (const shard of shards) task.advance(await this.#skip(shard, stream));
      for (;;) {
        const gathered = await this.#gather(stream, shardRows);
        if (gathered.ids.length > 0) shards.push(await this.#encode(gathered, shards.length, task));
        if (gathered.ids.length < shardRows) break;
      }
    } finally {
      await stream.return?.();
      task.done();
    }
    if (shards.length > 0) return shards;
    throw new DataError('the corpus holds no documents', { fix: 'Check the corpus file.' });
  }

  /** Passes the documents that a whole shard holds. @throws DataError where they are others */
  async #skip(shard: Shard, stream: AsyncIterator<Document>): Promise<number> {
    for (const id of await readShardIds(this.#folder, shard)) {
      const document = await this.#next(stream);
      if (document?.id === id) continue;
      throw new DataError(`holds vectors of other documents (${document?.id ?? 'the end'} stands in the corpus)`, {
        file: join(this.#folder, shard.file),
        id,
        fix: 'Remove the folder of vectors and encode the corpus again.',
      });
    }
    return shard.rows;
  }

  async #gather(stream: AsyncIterator<Document>, rows: number): Promise<Gathered> {
    const gathered: Gathered = { ids: [], texts: [] };
    while (gathered.ids.length < rows) {
      const document = await this.#next(stream);
      if (document === undefined) break;
      gathered.ids.push(document.id);
      gathered.texts.push(documentText(document));
    }
    return gathered;
  }

  async #next(stream: AsyncIterator<Document>): Promise<Document | undefined> {
    throwIfAborted(this.#options.signal);
    const { done, value } = await stream.next();
    if (done) return undefined;
    if (this.#seen.has(value.id)) {
      throw new DataError('the corpus holds two documents of this id', { id: value.id, fix: 'Give each its own id.' });
    }
    this.#seen.add(value.id);
    return value;
  }

  async #encode({ ids, texts }: Gathered, index: number, task: ProgressTask): Promise<Shard> {
    const vectors = await this.#encoder.encode(texts, 'document', {
      signal: this.#options.signal,
      onTexts: (count) => task.advance(count),
    });
    return writeShard(this.#folder, index, ids, vectors);
  }
}
