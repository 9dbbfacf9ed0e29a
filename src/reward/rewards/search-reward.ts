import type { TrainingQuery } from '../../data/index.ts';
import { IdSet } from '../../files/index.ts';
import {
  evaluateRun,
  judgesItselfRelevant,
  MEASURES_FORMAT,
  parseQualityMeasure,
  type Qrels,
  type Run,
  type ScoredDocument,
} from '../../measures/index.ts';
import { SEARCH_FORMATS } from '../../retrieve/index.ts';
import { combineQueryVectors, type SearchIndex } from '../../search/index.ts';
import { contentKey, DataError, forgetFailure } from '../../system/index.ts';
import { type CandidateSet, perCandidate } from './candidate-set.ts';
import type { Reward } from './reward.ts';

/** The search results of a query and of each of its distinct texts, best first. */
export interface FoundDocuments {
  raw: readonly ScoredDocument[];
  /** // [texts] */
  expanded: (readonly ScoredDocument[])[];
}

/** Searches the corpus with each query alone, and with each distinct text of its candidates. */
export interface CandidateSearch {
  /** Content key of the index and the settings. */
  readonly fingerprint: string;
  search(items: readonly CandidateSet[], depth: number, signal?: AbortSignal): Promise<FoundDocuments[]>;
  /** Whether the corpus holds a document; undefined if that is unknown. */
  readonly holds?: ((id: string) => Promise<boolean>) | undefined;
}

/** Lists the ids of all documents of a corpus; called once, at the first lookup. */
export type DocumentIds = () => Iterable<string> | AsyncIterable<string>;

/** Search depth for a measure without a cut-off. */
const WHOLE_DEPTH = 1000;
/** Number of ids that an error names. */
const NAMED_IDS = 3;

/** Identifies the versions of the search rewards, of the measures and of all code that determines a run. */
export function searchFingerprint(): string {
  const formats = Object.entries({ search: 2, measures: MEASURES_FORMAT, ...SEARCH_FORMATS });
  return formats.map(([name, format]) => `${name}/${format}`).join(', ');
}

/**
 * The change of a measure if the query is searched with the candidate instead of alone: `change-nDCG@10`,
 * `change-Recall@100`, `change-MRR@10`, or any other measure. The search is that of the evaluation, over the complete
 * corpus (as in arXiv 2603.13776). 0 means no change; a candidate that hurts has a negative reward.
 */
export class SearchReward implements Reward {
  readonly name: string;
  readonly fingerprint: string;
  readonly needsAnswer = false;
  readonly #measure: string;
  readonly #depth: number;
  readonly #search: CandidateSearch;
  readonly #qrels: Qrels;
  readonly #dropSelf: boolean;

  /**
   * @param measure such as nDCG@10
   * @param qrels judgements of the training queries
   * @param options.dropSelf drop a document whose id equals the query's, unless it is judged relevant for the query;
   * default true, as in evaluation
   * @throws UsageError for an unknown measure, or one that only counts or needs the pool of judged documents
   */
  constructor(measure: string, search: CandidateSearch, qrels: Qrels, options: { dropSelf?: boolean } = {}) {
    const { displayName, cutoff } = parseQualityMeasure(measure);
    this.name = `change-${displayName}`;
    this.#measure = displayName;
    this.#depth = Number.isFinite(cutoff) ? cutoff : WHOLE_DEPTH;
    this.#search = search;
    this.#qrels = qrels;
    this.#dropSelf = options.dropSelf ?? true;
    this.fingerprint = contentKey({ kind: searchFingerprint(), search: search.fingerprint, dropSelf: this.#dropSelf });
  }

  async score(item: CandidateSet, signal?: AbortSignal): Promise<Float32Array> {
    return (await this.scoreAll([item], signal))[0]!;
  }

  /** @throws DataError if the corpus holds no relevant document of a query: no search could find one */
  async scoreAll(items: readonly CandidateSet[], signal?: AbortSignal): Promise<Float32Array[]> {
    for (const { query } of items) await this.#refuseUnknown(query);
    const found = await this.#search.search(items, this.#depth + (this.#dropSelf ? 1 : 0), signal);
    return items.map((item, row) => perCandidate(this.#changes(item, found[row]!), item));
  }

  /** The measure of each distinct text, minus that of the query alone // [texts] */
  #changes({ query }: CandidateSet, { raw, expanded }: FoundDocuments): Float64Array {
    const judged = this.#judged(query);
    const self = this.#dropSelf && !judgesItselfRelevant(query.id, judged) ? query.id : undefined;
    const lists = [raw, ...expanded].map((hits) => this.#keep(hits, self));
    // The rankings of one query are scored as one run, each under its own key.
    const run: Run = new Map(lists.map((hits, at) => [String(at), hits]));
    const qrels: Qrels = new Map(lists.map((_hits, at) => [String(at), judged]));
    const { perQuery } = evaluateRun(qrels, run, { measures: [this.#measure], complete: true });
    const values = lists.map((_hits, at) => perQuery.get(String(at))?.[this.#measure] ?? 0);
    return Float64Array.from(values.slice(1), (value) => value - values[0]!);
  }

  #judged({ id, documents }: TrainingQuery): Map<string, number> {
    return this.#qrels.get(id) ?? new Map(documents.map((document) => [document, 1]));
  }

  async #refuseUnknown(query: TrainingQuery): Promise<void> {
    if (this.#search.holds === undefined) return;
    const relevant = [...this.#judged(query)].flatMap(([id, grade]) => (grade > 0 ? [id] : []));
    for (const id of relevant) if (await this.#search.holds(id)) return;
    const named = relevant.slice(0, NAMED_IDS).map((id) => JSON.stringify(id));
    const more = relevant.length > NAMED_IDS ? ` and ${relevant.length - NAMED_IDS} more` : '';
    throw new DataError(
      `no relevant document of the query is in the corpus (${named.join(', ')}${more}): ${this.name} would be 0 for all candidates`,
      { id: query.id, fix: 'Search the corpus that the judgements belong to, or choose rewards that do not search.' },
    );
  }

  #keep(hits: readonly ScoredDocument[], self: string | undefined): ScoredDocument[] {
    const kept = self === undefined ? hits : hits.filter(({ id }) => id !== self);
    return kept.slice(0, this.#depth);
  }
}

export interface DenseSearchOptions {
  /** Weight of the candidate: (1 - alpha)·E(query) + alpha·E(candidate), as in evaluation. */
  alpha: number | 'mean';
  /** Content key of encoder, corpus and similarity. */
  fingerprint: string;
  /** If set, a query whose relevant documents are not in the index is an error; otherwise its rewards are zero. */
  ids?: DocumentIds | undefined;
}

/**
 * Searches with the combined vectors of query and candidate. The set already holds both vectors, so nothing is embedded
 * again.
 */
export class DenseCandidateSearch implements CandidateSearch {
  readonly fingerprint: string;
  readonly holds: CandidateSearch['holds'];
  readonly #index: SearchIndex<Float32Array>;
  readonly #alpha: number | 'mean';

  constructor(index: SearchIndex<Float32Array>, { alpha, fingerprint, ids }: DenseSearchOptions) {
    this.#index = index;
    this.#alpha = alpha;
    this.holds = ids && lookUp(ids);
    this.fingerprint = contentKey({ kind: 'dense', alpha, of: fingerprint });
  }

  async search(items: readonly CandidateSet[], depth: number, signal?: AbortSignal): Promise<FoundDocuments[]> {
    const hits = await this.#index.search(this.#vectors(items), depth, { signal });
    let next = 0;
    return items.map(({ texts }) => {
      const [raw, ...expanded] = Array.from({ length: 1 + texts.length }, () => hits.at(next++)!);
      return { raw: raw!, expanded };
    });
  }

  /** For each set, the query's own vector, then the query combined with each text // [sum of 1 + texts, dimensions] */
  #vectors(items: readonly CandidateSet[]): Float32Array {
    const dimensions = items[0]?.vectors.dimensions ?? 0;
    const counts = items.flatMap(({ texts }) => [0, ...texts.map(() => 1)]);
    const queries = new Float32Array(counts.length * dimensions);
    const texts = new Float32Array(items.reduce((sum, item) => sum + item.vectors.texts.length, 0));
    let row = 0;
    let start = 0;
    for (const { vectors, texts: own } of items) {
      for (let copy = 0; copy <= own.length; copy++) queries.set(vectors.query, row++ * dimensions);
      texts.set(vectors.texts, start);
      start += vectors.texts.length;
    }
    return combineQueryVectors(queries, texts, counts, { dimensions, alpha: this.#alpha });
  }
}

/** A complete search method, as in evaluation; `Retriever` is one. */
export interface TextSearch {
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  retrieve(
    queries: readonly { id: string; text: string; expansions: readonly string[] }[],
    options: { depth: number; dropSelf: boolean; signal?: AbortSignal | undefined },
  ): Promise<{ run: Run }>;
}

/** Searches with a retriever of the evaluation: BM25, or the fusion of BM25 and vectors. */
export class RetrieverCandidateSearch implements CandidateSearch {
  readonly fingerprint: string;
  readonly holds: CandidateSearch['holds'];
  readonly #retriever: TextSearch;

  /**
   * @param corpus SHA-256 of the corpus that the retriever searches
   * @param ids as {@link DenseSearchOptions.ids}
   */
  constructor(retriever: TextSearch, corpus: string, ids?: DocumentIds) {
    this.#retriever = retriever;
    this.holds = ids && lookUp(ids);
    this.fingerprint = contentKey({ kind: 'retriever', settings: retriever.settings, corpus });
  }

  async search(items: readonly CandidateSet[], depth: number, signal?: AbortSignal): Promise<FoundDocuments[]> {
    const queries = items.flatMap(({ query, texts }, row) => [
      { id: keyOf(row, 0), text: query.text, expansions: [] },
      ...texts.map((text, at) => ({ id: keyOf(row, at + 1), text: query.text, expansions: [text] })),
    ]);
    // Queries have other ids here, so the retriever cannot drop the document that is the query itself.
    const { run } = await this.#retriever.retrieve(queries, { depth, dropSelf: false, signal });
    return items.map(({ texts }, row) => ({
      raw: run.get(keyOf(row, 0)) ?? [],
      expanded: texts.map((_text, at) => run.get(keyOf(row, at + 1)) ?? []),
    }));
  }
}

/** Looks up ids in a set of hashes, because a corpus may have millions. */
function lookUp(ids: DocumentIds): (id: string) => Promise<boolean> {
  let known: Promise<IdSet> | undefined;
  const read = async () => {
    const set = new IdSet();
    for await (const id of ids()) set.add(id);
    return set;
  };
  return async (id) => {
    known ??= forgetFailure(read(), () => {
      known = undefined;
    });
    return (await known).has(id);
  };
}

function keyOf(row: number, at: number): string {
  return `${row}/${at}`;
}
