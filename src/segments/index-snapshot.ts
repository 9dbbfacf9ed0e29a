import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Document } from '../data/index.ts';
import type { Encoder, VectorManifest } from '../embed/index.ts';
import { readFully } from '../files/index.ts';
import {
  ANALYZERS_FORMAT,
  type AnalyzerName,
  type Bm25BuildOptions,
  type Bm25Fields,
  Bm25Index,
  type ListSegment,
} from '../search/index.ts';
import { contentKey, DataError, sha256, systemFault, throwIfAborted, toKebab, UsageError } from '../system/index.ts';
import { LiveVectors } from './live-vectors.ts';
import {
  corpusKey,
  type IndexEncoder,
  type IndexManifest,
  type IndexSettings,
  liveDocuments,
  manifestOf,
  readManifest,
  type SegmentFacts,
} from './manifest.ts';
import { Segment } from './segment.ts';

/** A segment, and the documents of it that still count. */
export interface LiveSegment {
  segment: Segment;
  /** Numbers of the deleted documents. */
  deleted: ReadonlySet<number>;
}

/** A generation may be replaced and removed while it is opened; then the next one is opened. */
const ATTEMPTS = 10;

/**
 * One generation of an index folder, as a corpus: what is added or deleted later does not show in it. It keeps the segments' files open, so
 * {@link close} it.
 */
export class IndexSnapshot {
  readonly folder: string;
  readonly manifest: IndexManifest;
  readonly segments: readonly LiveSegment[];
  /** Id → segment and number of each document that counts; made on first use. */
  #places: ReadonlyMap<string, { part: LiveSegment; number: number }> | undefined;

  private constructor(folder: string, manifest: IndexManifest, segments: readonly LiveSegment[]) {
    [this.folder, this.manifest, this.segments] = [folder, manifest, segments];
  }

  /** @throws DataError if the folder is no index, or a file of it is missing or damaged */
  static async open(folder: string): Promise<IndexSnapshot> {
    for (let attempt = 1; ; attempt++) {
      const manifest = await readManifest(folder);
      const opened: LiveSegment[] = [];
      try {
        for (const facts of manifest.segments) {
          const segment = await Segment.open(folder, facts);
          opened.push({ segment, deleted: new Set() });
          opened[opened.length - 1] = { segment, deleted: await readDeleted(folder, facts) };
        }
        return new IndexSnapshot(folder, manifest, opened);
      } catch (error) {
        for (const { segment } of opened) await segment.close();
        const isReplaced = (await readManifest(folder)).generation !== manifest.generation;
        if (!isReplaced || attempt === ATTEMPTS) throw error;
      }
    }
  }

  get size(): number {
    return liveDocuments(this.manifest);
  }

  get settings(): IndexSettings {
    return this.manifest.settings;
  }

  /** Words / overlap of its passages; undefined if its vectors are of whole documents. */
  get passages(): string | undefined {
    return this.settings.passages;
  }

  /** Yields the documents, segment by segment. */
  async *documents(signal?: AbortSignal): AsyncGenerator<Document> {
    for (const { segment, deleted } of this.segments) {
      for await (const document of segment.documents(liveNumbers(segment, deleted))) {
        throwIfAborted(signal);
        yield document;
      }
    }
  }

  async count(): Promise<number> {
    return this.size;
  }

  async corpusHash(): Promise<string> {
    return corpusKey(this.manifest);
  }

  /** Returns documents by id, in no particular order; those that are not there are missing. */
  async lookUp(ids: Iterable<string>): Promise<Map<string, Document>> {
    const found = new Map<string, Document>();
    for (const id of new Set(ids)) {
      const place = this.#place(id);
      if (place === undefined) continue;
      for await (const document of place.part.segment.documents([place.number])) found.set(id, document);
    }
    return found;
  }

  has(id: string): boolean {
    return this.#place(id) !== undefined;
  }

  /** Returns where a document stands; undefined if it is not there. */
  place(id: string): { part: LiveSegment; number: number } | undefined {
    return this.#place(id);
  }

  /**
   * Returns its vectors.
   * @throws UsageError if it has none, or those of another encoder
   */
  async vectors({
    id,
    fingerprint,
    documentFingerprint = fingerprint,
    dimensions: width,
    settings,
  }: Encoder): Promise<LiveVectors> {
    const { encoder = this.#firstEncoder({ id, fingerprint: documentFingerprint, dimensions: width, settings }) } =
      this.manifest;
    if (encoder === undefined) {
      throw new UsageError('the index holds no vectors', {
        file: this.folder,
        fix: 'Search with --retriever bm25, or build an index with vectors.',
      });
    }
    if (encoder.fingerprint !== documentFingerprint) {
      const words = Object.entries(encoder.options).map(([name, value]) => `--${toKebab(name)} ${value}`);
      throw new UsageError(
        `the vectors of the index were made by ${encoder.id}, or with other options than those of ${id}`,
        {
          file: this.folder,
          fix: `Search with the options that it was built with: ${words.join(' ') || 'the defaults'}.`,
        },
      );
    }
    const { dimensions } = encoder;
    const inPassages = this.passages !== undefined;
    const parts = this.segments.map(({ segment, deleted }) => {
      const source = segment.vectors(dimensions, inPassages);
      const key = contentKey({ segment: segment.facts.hash, encoder: encoder.fingerprint, passages: this.passages });
      return { source, key, live: deleted.size === 0 ? undefined : liveRows(segment, deleted) };
    });
    const cut = this.#countCut();
    const manifest: Pick<VectorManifest, 'key' | 'encoder' | 'rows' | 'cut'> = {
      key: contentKey({ documents: corpusKey(this.manifest), encoder: encoder.fingerprint, passages: this.passages }),
      encoder,
      rows: parts.reduce((sum, { source, live }) => sum + (live?.length ?? source.rows), 0),
      cut,
    };
    const pick = async (part: number, row: number) =>
      this.segments[part]!.segment.readVectors(row, row + 1, dimensions);
    return new LiveVectors(parts, manifest, dimensions, pick);
  }

  /**
   * Returns its BM25 index, with the statistics of the documents that count.
   * @throws UsageError if it has none, or one of another analyzer
   */
  async lexical(options: Bm25BuildOptions & { analyzer: AnalyzerName; fields: Bm25Fields }): Promise<Bm25Index> {
    const { retriever, analyzer, fields } = this.settings;
    if (retriever === 'dense') {
      throw new UsageError('the index holds no BM25 lists', {
        file: this.folder,
        fix: 'Search with --retriever dense, or build an index with --retriever rrf.',
      });
    }
    if (options.analyzer !== analyzer || options.fields !== fields) {
      throw new UsageError(`the BM25 lists of the index were made with --analyzer ${analyzer} --fields ${fields}`, {
        file: this.folder,
        fix: 'Search with the same two options.',
      });
    }
    refuseOtherAnalyzers(this);
    return Bm25Index.ofSegments(await listSegments(this.segments, options.signal), options);
  }

  async close(): Promise<void> {
    for (const { segment } of this.segments) await segment.close();
  }

  #place(id: string) {
    this.#places ??= new Map(
      this.segments.flatMap((part) =>
        liveNumbers(part.segment, part.deleted).map((number) => [part.segment.ids[number]!, { part, number }] as const),
      ),
    );
    return this.#places.get(id);
  }

  /** An index of vectors to which nothing was added yet takes any encoder. */
  #firstEncoder(facts: Omit<IndexEncoder, 'options'>): IndexEncoder | undefined {
    if (this.settings.retriever === 'bm25' || this.segments.length > 0) return undefined;
    return { ...facts, settings: { ...facts.settings }, options: {} };
  }

  #countCut(): VectorManifest['cut'] {
    const tokens = this.manifest.encoder?.settings.maxLength;
    if (typeof tokens !== 'number') return undefined;
    let documents = 0;
    for (const { segment, deleted } of this.segments) {
      const { rows, cuts } = segment.table;
      for (const number of liveNumbers(segment, deleted)) {
        for (let row = rows[number]!; row < rows[number + 1]!; row++) if (cuts[row] === 1) documents++;
      }
    }
    return { documents, tokens };
  }
}

/** Tells what an index folder holds. @throws DataError */
export async function describeIndex(folder: string) {
  const snapshot = await IndexSnapshot.open(folder);
  await snapshot.close();
  const { generation, settings, encoder, segments } = snapshot.manifest;
  const total = (count: (facts: SegmentFacts) => number) => segments.reduce((sum, facts) => sum + count(facts), 0);
  return {
    ...{ documents: snapshot.size, deleted: total(({ deleted }) => deleted?.count ?? 0) },
    ...{ segments: segments.length, vectors: total(({ rows }) => rows), generation, settings, encoder },
    bytes: total(({ bytes }) => Object.values(bytes).reduce((sum, size) => sum + size, 0)),
  };
}

/** @throws DataError if the words of the lists are those of another version of the analyzers */
export function refuseOtherAnalyzers({ folder, manifest: { settings, analyzers } }: IndexSnapshot): void {
  if (settings.retriever === 'dense' || analyzers === ANALYZERS_FORMAT) return;
  throw new DataError('the BM25 lists of the index were made by another version of the analyzers', {
    file: folder,
    fix: 'Build the index again: `llm-qe index build` into another folder.',
  });
}

/** Reads the BM25 lists of segments, and tells which of their documents count. */
export async function listSegments(segments: readonly LiveSegment[], signal?: AbortSignal): Promise<ListSegment[]> {
  const found: ListSegment[] = [];
  for (const { segment, deleted } of segments) {
    const lists = await segment.lists(signal);
    const gone = new Set(Array.from(deleted, (number) => segment.ids[number]!));
    found.push({ lists, isLive: (number) => !gone.has(lists.ids[number]!) });
  }
  return found;
}

/** Numbers of the documents that count, ascending. */
export function liveNumbers({ ids }: Pick<Segment, 'ids'>, deleted: ReadonlySet<number>): number[] {
  const numbers = Array.from(ids, (_id, number) => number);
  return deleted.size === 0 ? numbers : numbers.filter((number) => !deleted.has(number));
}

/** Rows of the vectors of the documents that count, ascending. */
export function liveRows(segment: Segment, deleted: ReadonlySet<number>): Uint32Array {
  const { rows } = segment.table;
  const found: number[] = [];
  for (const number of liveNumbers(segment, deleted)) {
    for (let row = rows[number]!; row < rows[number + 1]!; row++) found.push(row);
  }
  return Uint32Array.from(found);
}

async function readDeleted(folder: string, { deleted, documents }: SegmentFacts): Promise<Set<number>> {
  if (deleted === undefined) return new Set();
  const file = join(folder, deleted.file);
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const bytes = new Uint8Array(4 * deleted.count);
    const isWhole = await readFully(handle, bytes, 0);
    const numbers = new Set(new Uint32Array(bytes.buffer));
    const fits = numbers.size === deleted.count && [...numbers].every((number) => number < documents);
    if (isWhole && fits && sha256(bytes) === deleted.hash) return numbers;
  } catch (error) {
    throw systemFault(error, file);
  } finally {
    await handle?.close();
  }
  throw new DataError('the list of deleted documents is damaged', { file, fix: 'Build the index again.' });
}

/** Tells one generation of a folder from another by one look at the facts of a file. @throws ResourceError */
export async function generationOf(folder: string): Promise<string> {
  const file = manifestOf(folder);
  const found = await stat(file, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    // Whoever opens the index says what is wrong.
    if (error.code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  });
  return found === undefined ? 'missing' : `${found.ino} ${found.size} ${found.mtimeNs}`;
}
