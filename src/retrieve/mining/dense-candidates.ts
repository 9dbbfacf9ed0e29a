import type { Document, RetrieverPassage, RetrieverRow } from '../../data/index.ts';
import { type Encoder, encodeCorpus, VECTOR_CACHE, type VectorFile } from '../../embed/index.ts';
import { type Run, TypedRun } from '../../measures/index.ts';
import { ExactIndex } from '../../search/index.ts';
import { contentKey, type Progress } from '../../system/index.ts';
import type { Corpus } from '../corpus.ts';
import { encodeQueries } from '../encode-queries.ts';
import type { ExpandedQuery } from '../retriever.ts';
import type { RetrievalSettings } from '../settings.ts';

interface DenseOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

type DenseSettings = Pick<RetrievalSettings, 'alpha' | 'similarity' | 'expansionRole' | 'threads'>;

/** Vector search for mining: hits of queries, and similarities of queries to any documents. */
export class DenseCandidates {
  readonly #encoder: Encoder;
  readonly #settings: DenseSettings;
  readonly #vectors: VectorFile;
  readonly #index: ExactIndex;

  private constructor(encoder: Encoder, settings: DenseSettings, vectors: VectorFile, index: ExactIndex) {
    [this.#encoder, this.#settings, this.#vectors, this.#index] = [encoder, settings, vectors, index];
  }

  static async open(
    encoder: Encoder,
    corpus: Corpus,
    settings: DenseSettings,
    { signal, progress }: DenseOptions,
  ): Promise<DenseCandidates> {
    const vectors = await encodeCorpus(encoder, corpus.documents(signal), {
      ...{ folder: VECTOR_CACHE.folder(), corpusHash: await corpus.corpusHash(signal) },
      ...{ count: () => corpus.count(signal), signal, progress },
    });
    const { similarity, threads } = settings;
    return new DenseCandidates(encoder, settings, vectors, await ExactIndex.open(vectors, { similarity, threads }));
  }

  /** Vectors of queries, of length 1 if they are compared by cosine // [queries, dimensions] */
  async queryVectors(queries: readonly ExpandedQuery[], signal?: AbortSignal): Promise<Float32Array> {
    return this.#scaled(await encodeQueries(this.#encoder, queries, this.#settings, signal));
  }

  async search(
    queries: readonly ExpandedQuery[],
    vectors: Float32Array,
    depth: number,
    signal?: AbortSignal,
  ): Promise<Run> {
    const hits = await this.#index.search(vectors, depth, { signal });
    return new TypedRun(
      queries.map(({ id }) => id),
      hits,
    );
  }

  /** Returns the similarities of pairs of a query vector and a document of the corpus // [pairs] */
  async similarities(vectors: Float32Array, pairs: readonly { query: number; row: number }[]): Promise<number[]> {
    const documents = this.#scaled(await this.#vectors.pick(pairs.map(({ row }) => row)));
    return pairs.map(({ query }, at) => this.#dot(vectors, query, documents, at));
  }

  /** Returns the similarities of a query to documents of another file, from `start` on // [count] */
  async ownSimilarities(
    vectors: Float32Array,
    query: number,
    documents: VectorFile,
    { start, count }: { start: number; count: number },
  ): Promise<number[]> {
    const own = this.#scaled(await documents.read(start, start + count));
    return Array.from({ length: count }, (_none, at) => this.#dot(vectors, query, own, at));
  }

  async close(): Promise<void> {
    await this.#index.close();
    await this.#vectors.close();
  }

  #scaled(vectors: Float32Array): Float32Array {
    return this.#settings.similarity === 'cosine' ? unitRows(vectors, this.#encoder.dimensions) : vectors;
  }

  #dot(queries: Float32Array, query: number, documents: Float32Array, document: number): number {
    const { dimensions } = this.#encoder;
    let sum = 0;
    for (let at = 0; at < dimensions; at++) {
      sum += queries[query * dimensions + at]! * documents[document * dimensions + at]!;
    }
    return sum;
  }
}

/** Brings rows to length 1, in place; zero rows stay zero. */
function unitRows(vectors: Float32Array, dimensions: number): Float32Array {
  for (let start = 0; start < vectors.length; start += dimensions) {
    const row = vectors.subarray(start, start + dimensions);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    if (length > 0) for (let at = 0; at < dimensions; at++) row[at] = row[at]! / length;
  }
  return vectors;
}

/**
 * Encodes the documents of rows themselves, in the order of the rows. Texts that were encoded before cost nothing.
 * @param hash of the rows and of which documents are asked for
 */
export function encodeOwnDocuments(
  encoder: Encoder,
  rows: () => AsyncIterable<RetrieverRow>,
  documentsOf: (row: RetrieverRow) => readonly RetrieverPassage[],
  { hash, signal, progress }: DenseOptions & { hash: string },
): Promise<VectorFile> {
  async function* documents(): AsyncGenerator<Document> {
    let number = 0;
    for await (const row of rows()) {
      for (const { text } of documentsOf(row)) yield { id: String(number++), title: '', text };
    }
  }
  const corpusHash = contentKey(['documents of rows', hash]);
  return encodeCorpus(encoder, documents(), { folder: VECTOR_CACHE.folder(), corpusHash, signal, progress });
}
