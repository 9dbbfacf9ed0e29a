import { createHash } from 'node:crypto';
import type { Document, RetrieverRow } from '../../data/index.ts';
import { type Encoder, encodeCorpus, VECTOR_CACHE, type VectorFile } from '../../embed/index.ts';
import { contentKey, type Progress } from '../../system/index.ts';
import type { ContrastiveBatch } from './contrastive-batch.ts';
import { FORBIDDEN } from './loss-inputs.ts';
import { documentTexts, type OpenRows, queryTexts } from './row-texts.ts';

export interface GuideOptions {
  /** Whether queries are also asked for as one text with their expansions. */
  wantsJoined: boolean;
  /** Folder of the caches. Default: the store's. */
  cache?: string | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** What a guide decides by: how much less similar than the positive a negative has to be. */
export interface GuideMargins {
  absoluteMargin?: number | undefined;
  relativeMargin?: number | undefined;
}

/** A guide's vectors of all texts of some rows. They are computed once, and stored by content. */
export class Guide {
  readonly #dimensions: number;
  readonly #queries: VectorFile;
  readonly #documents: VectorFile;

  private constructor(dimensions: number, queries: VectorFile, documents: VectorFile) {
    [this.#dimensions, this.#queries, this.#documents] = [dimensions, queries, documents];
  }

  /**
   * Encodes the texts of rows, by the numbers that {@link ExampleStore} gives them.
   * @param rows read three times
   */
  static async open(
    encoder: Encoder,
    rows: () => OpenRows,
    { wantsJoined, cache, signal, progress }: GuideOptions,
  ): Promise<Guide> {
    const hash = await hashRows(rows);
    const encode = (role: 'query' | 'document', textsOf: (row: RetrieverRow) => string[]) =>
      encodeCorpus(role === 'query' ? asDocuments(encoder) : encoder, numbered(rows, textsOf), {
        ...{ folder: VECTOR_CACHE.folder(cache), signal, progress },
        corpusHash: contentKey(['texts of rows', hash, role, wantsJoined]),
      });
    const queries = await encode('query', (row) => queryTexts(row, wantsJoined));
    return new Guide(encoder.dimensions, queries, await encode('document', documentTexts));
  }

  /**
   * Forbids documents that the guide finds more similar to a query than its positive less the margins, which are 0 by default
   * (GISTEmbed, Solatorio 2024, arXiv 2402.16829).
   * @param bias of the loss // [queries, documents]
   * @returns the number of documents that it forbids
   */
  async forbid(bias: Float32Array, batch: ContrastiveBatch, margins: GuideMargins): Promise<number> {
    const { queries, documents } = batch;
    const similarities = await this.#similarities(batch);
    let forbidden = 0;
    for (const [row, { target }] of queries.entries()) {
      const start = row * documents.length;
      const limit = limitOf(similarities[start + target]!, margins);
      for (const column of documents.keys()) {
        if (column === target || bias[start + column] !== 0 || similarities[start + column]! <= limit) continue;
        bias[start + column] = FORBIDDEN;
        forbidden++;
      }
    }
    return forbidden;
  }

  async close(): Promise<void> {
    await this.#queries.close();
    await this.#documents.close();
  }

  /** Cosines // [queries, documents] */
  async #similarities({ queries, documents }: ContrastiveBatch): Promise<Float32Array> {
    const size = this.#dimensions;
    const texts = queries.flatMap((query, row) => query.texts.map(({ weight, number }) => ({ row, weight, number })));
    const vectors = await this.#queries.pick(texts.map(({ number }) => number!));
    const asked = new Float32Array(queries.length * size);
    for (const [at, { row, weight }] of texts.entries()) {
      for (let index = 0; index < size; index++) asked[row * size + index]! += weight * vectors[at * size + index]!;
    }
    const found = await this.#documents.pick(documents.map(({ number }) => number!));
    const [lengthsOfQueries, lengthsOfDocuments] = [lengths(asked, size), lengths(found, size)];
    const result = new Float32Array(queries.length * documents.length);
    for (const row of queries.keys()) {
      for (const column of documents.keys()) {
        let sum = 0;
        for (let index = 0; index < size; index++) sum += asked[row * size + index]! * found[column * size + index]!;
        result[row * documents.length + column] = sum / (lengthsOfQueries[row]! * lengthsOfDocuments[column]!);
      }
    }
    return result;
  }
}

function limitOf(positive: number, { absoluteMargin, relativeMargin }: GuideMargins): number {
  return Math.min(positive - (absoluteMargin ?? 0), positive - Math.abs(positive) * (relativeMargin ?? 0));
}

function lengths(vectors: Float32Array, size: number): number[] {
  return Array.from({ length: vectors.length / size }, (_none, row) => {
    const vector = vectors.subarray(row * size, (row + 1) * size);
    return Math.max(1e-12, Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)));
  });
}

/** The same encoder for texts that are queries: vectors are stored under another key. */
function asDocuments(encoder: Encoder): Encoder {
  return {
    ...{ id: encoder.id, dimensions: encoder.dimensions, settings: encoder.settings },
    fingerprint: contentKey([encoder.fingerprint, 'queries']),
    encode: (texts, _role, options) => encoder.encode(texts, 'query', options),
    close: async () => {},
  };
}

async function* numbered(rows: () => OpenRows, textsOf: (row: RetrieverRow) => string[]): AsyncGenerator<Document> {
  let number = 0;
  for await (const row of rows()) for (const text of textsOf(row)) yield { id: String(number++), title: '', text };
}

async function hashRows(rows: () => OpenRows): Promise<string> {
  const hash = createHash('sha256');
  for await (const { query, expansions, positives, negatives } of rows()) {
    hash.update(`${JSON.stringify([query, expansions, documentTexts({ positives, negatives })])}\n`);
  }
  return hash.digest('hex');
}
