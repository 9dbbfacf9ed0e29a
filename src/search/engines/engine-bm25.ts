import { join } from 'node:path';
import type { Document } from '../../data/index.ts';
import type { Hits } from '../../measures/index.ts';
import { contentKey, DataError, UsageError } from '../../system/index.ts';
import { type AnalyzerName, openAnalyzer } from '../bm25/analyzers.ts';
import { checkSettings } from '../bm25/bm25-index.ts';
import { type Bm25Fields, fieldCount, fieldTexts } from '../bm25/field-texts.ts';
import type { Bm25Settings } from '../bm25/lucene-bm25.ts';
import type { SparseRows } from '../bm25/sparse-rows.ts';
import type { LexicalQuery } from '../bm25/term-queries.ts';
import {
  collectStatistics,
  readStatistics,
  STATISTICS_FORMAT,
  type TermStatistics,
  writeStatistics,
} from '../bm25/term-statistics.ts';
import type { SearchIndex, SearchOptions } from '../search-index.ts';
import { Bm25Rows } from './bm25-rows.ts';
import type { EngineContent } from './engine.ts';
import { parseEngineAddress } from './engine-address.ts';
import { EngineIndex, type EngineOptions } from './engine-index.ts';
import { MilvusEngine } from './milvus-engine.ts';
import { MILVUS_SPARSE } from './milvus-forms.ts';
import { PostgresEngine } from './postgres-engine.ts';
import { postgresSparse } from './postgres-vectors.ts';

/** Increase it when the same documents and settings would give other rows. */
const ROWS_FORMAT = 1;

/** An index that searches by words. */
export interface LexicalIndex extends SearchIndex<readonly LexicalQuery[]> {
  /** Ids of all documents, in no particular order. */
  readonly ids: readonly string[];
  search(queries: readonly LexicalQuery[], k: number, options?: SearchOptions): Promise<Hits>;
  /** Returns the inverse document frequencies of the distinct terms of a text; undefined for a term that no document holds. */
  idfsOf(text: string): (number | undefined)[];
}

export interface OpenBm25EngineOptions extends EngineOptions, Bm25Settings {
  fields: Bm25Fields;
  analyzer: AnalyzerName;
  /** Folder of cached statistics. */
  folder: string;
  /** Content hash of the corpus. */
  corpusHash: string;
  /** Number of documents, if known: only for the progress. */
  count?: number | undefined;
}

/**
 * BM25 in an engine on a server: it holds the lists and searches them, and the words of the corpus with their frequencies are held here, in
 * memory and in a cache. Scores equal those of `Bm25Index` but for their rounding.
 */
export class EngineBm25 implements LexicalIndex {
  readonly #index: EngineIndex<readonly LexicalQuery[], SparseRows>;
  readonly #rows: Bm25Rows;
  readonly #statistics: TermStatistics;

  private constructor(
    index: EngineIndex<readonly LexicalQuery[], SparseRows>,
    rows: Bm25Rows,
    statistics: TermStatistics,
  ) {
    [this.#index, this.#rows, this.#statistics] = [index, rows, statistics];
  }

  /**
   * Connects to the engine of an address, loads what it lacks, and opens it for search. The documents are read once to count their words and
   * once to be loaded; not at all if both was done.
   * @throws UsageError for an address or settings that it does not know; DataError for a duplicate id, an empty corpus, or a collection that
   *   holds something else; ResourceError if the engine's client is not installed; NetworkError; AbortedError
   */
  static async open(
    address: string,
    documents: () => AsyncIterable<Document>,
    { k1, b, fields, analyzer: name, folder, corpusHash, count, ...options }: OpenBm25EngineOptions,
  ): Promise<EngineBm25> {
    checkSettings({ k1, b });
    const parsed = parseEngineAddress(address);
    if (parsed.search === 'hnsw') {
      throw new UsageError('search=hnsw does not work with BM25', { fix: 'Omit it: lists are searched exactly.' });
    }
    const analyzer = await openAnalyzer(name);
    const key = contentKey({ format: STATISTICS_FORMAT, analyzer: analyzer.version, corpusHash, fields });
    const file = join(folder, `terms-${key.slice(0, 32)}.index`);
    const { signal, progress } = options;
    const collect = async () => {
      const how = { analyzer, fields: fieldCount(fields), signal, progress, count };
      const statistics = await collectStatistics(fieldTexts(documents(), fields), how);
      await writeStatistics(file, key, statistics, signal);
      return statistics;
    };
    const statistics = (await readStatistics(file, key, signal)) ?? (await collect());
    if (statistics.ids.length === 0) {
      throw new DataError('the corpus holds no documents', { fix: 'Check the corpus file.' });
    }
    const rows = new Bm25Rows(documents, statistics, { k1, b, analyzer, fields });
    const content: EngineContent = {
      ...{ key: contentKey({ format: ROWS_FORMAT, statistics: key, k1, b }), dimensions: rows.dimensions },
      ...{ similarity: 'bm25', format: 'f32', rows: rows.rows },
    };
    const engine =
      parsed.kind === 'milvus'
        ? await MilvusEngine.connect(parsed, content, MILVUS_SPARSE)
        : await PostgresEngine.connect(parsed, content, postgresSparse(content));
    return new EngineBm25(await EngineIndex.open(engine, rows, options), rows, statistics);
  }

  get size(): number {
    return this.#index.size;
  }

  get ids(): readonly string[] {
    return this.#statistics.ids;
  }

  get facts(): Record<string, string | number | boolean> {
    return this.#index.facts;
  }

  idfsOf(text: string): (number | undefined)[] {
    return this.#rows.analyzer.idfsOf(text);
  }

  search(queries: readonly LexicalQuery[], k: number, options: SearchOptions = {}): Promise<Hits> {
    return this.#index.search(queries, k, options);
  }

  close(): Promise<void> {
    return this.#index.close();
  }
}
