import type { TextRole } from '../embed/index.ts';
import { compareDocumentIds, type ScoredDocument } from '../measures/index.ts';
import { countRepeats, repeatQuery, type TermShare, TopScores } from '../search/index.ts';
import type { CorpusSearch } from './corpus-search.ts';
import { MixedScores, type VectorScores } from './mixed-scores.ts';
import type { Retriever } from './retriever.ts';
import { ScoreMemory } from './score-memory.ts';
import type { RetrievalSettings } from './settings.ts';

/** A query with its expansions, and how they are searched. */
export interface ExplainedQuery {
  text: string;
  expansions: readonly string[];
  kind: Retriever['name'];
  /** Weight of the expansions in a dense search. */
  alpha: number;
  /** How often a lexical search repeats the query before the expansions. */
  queryRepeats: number;
}

/** What query and expansions add to a dense score: its sum. */
export interface DenseShares {
  score: number;
  query: number;
  /** // [expansions] */
  expansions: number[];
}

/** What terms add to a BM25 score: its sum. */
export interface TermShares {
  score: number;
  /** Largest first. `ofQuery` is the part that the words of the query earn; the expansions earn the rest. */
  terms: (TermShare & { ofQuery: number })[];
}

/** What the ranks in both lists add to a fused score: its sum. */
export interface FusedShares {
  dense: { rank: number; share: number } | undefined;
  bm25: { rank: number; share: number } | undefined;
}

/** What a score is made of; a fused search has all three. */
export interface Explanation {
  dense?: DenseShares | undefined;
  bm25?: TermShares | undefined;
  fused?: FusedShares | undefined;
}

/** A document in a ranking, from rank 1. */
export interface RankedDocument extends ScoredDocument {
  rank: number;
}

/** The score of every document, and what explains it. */
interface Scored {
  /** `-Infinity` for a document that is not found // [documents] */
  scores: Float32Array;
  explain(documents: readonly number[]): Promise<Explanation[]>;
}

/** Bytes of scores that are kept: at 20,000 documents, those of 1,600 texts. */
const KEPT_BYTES = 2 ** 27;
const NOT_FOUND = Number.NEGATIVE_INFINITY;

/**
 * Ranks a whole corpus for a query and its expansions, and says exactly what each score is made of. The scores of each text are kept, so
 * that another alpha, fewer expansions or another retriever rank again without embedding or searching anything.
 */
export class ExplainedSearch {
  /** Of all documents, in the order in which ties are broken: by id, descending. */
  readonly ids: readonly string[];
  readonly #places: ReadonlyMap<string, number>;
  readonly #search: CorpusSearch;
  readonly #settings: RetrievalSettings;
  readonly #vectors = new ScoreMemory<VectorScores & { bytes: number }>(KEPT_BYTES);
  readonly #lexical = new ScoreMemory<{ scores: Float32Array; bytes: number }>(KEPT_BYTES);

  /**
   * @param ids of all documents, in any order
   * @param search without feedback, whose dense index is exact
   */
  constructor(ids: readonly string[], search: CorpusSearch, settings: RetrievalSettings) {
    this.ids = ids.toSorted((a, b) => compareDocumentIds(b, a));
    this.#places = new Map(this.ids.map((id, place) => [id, place]));
    [this.#search, this.#settings] = [search, settings];
  }

  /** Returns the number of a document in {@link ids}. */
  placeOf(id: string): number | undefined {
    return this.#places.get(id);
  }

  /** Ranks all documents, as a retriever of this kind does. Empty expansions are left out. */
  async rank(query: ExplainedQuery): Promise<ExplainedRanking> {
    const asked = { ...query, expansions: query.expansions.filter((text) => text.trim() !== '') };
    return new ExplainedRanking(this.ids, await this.#score(asked));
  }

  async #score(query: ExplainedQuery): Promise<Scored> {
    if (query.kind === 'dense') return this.#dense(query);
    if (query.kind === 'bm25') return this.#bm25(query);
    const [dense, bm25] = [await this.#dense(query), await this.#bm25(query)];
    return fuse(dense, bm25, this.#settings);
  }

  async #dense({ text, expansions, alpha }: ExplainedQuery): Promise<Scored> {
    const [query] = await this.#scoreTexts([text], 'query');
    const used = await this.#scoreTexts(expansions, this.#settings.expansionRole);
    const { similarity } = this.#settings;
    const mixed = new MixedScores(query!, used, { alpha, similarity });
    return {
      scores: mixed.all(),
      async explain(documents) {
        return documents.map((document) => {
          const [ofQuery, ...others] = mixed.shares(document);
          const score = others.reduce((sum, share) => sum + share, ofQuery!);
          return { dense: { score, query: ofQuery!, expansions: others } };
        });
      },
    };
  }

  /** Texts that are not known yet are embedded in one call, and searched in one pass; all callers wait for it, so none may end it. */
  #scoreTexts(texts: readonly string[], role: TextRole): Promise<VectorScores[]> {
    const keyOf = (text: string) => `${role} ${text}`;
    const unknown = [...new Set(texts)].filter((text) => this.#vectors.get(keyOf(text)) === undefined);
    const made = unknown.length === 0 ? undefined : this.#embed(unknown, role);
    for (const [row, text] of unknown.entries()) {
      void this.#vectors.keep(
        keyOf(text),
        made!.then((all) => all[row]!),
      );
    }
    return Promise.all(texts.map((text) => this.#vectors.get(keyOf(text))!));
  }

  async #embed(texts: readonly string[], role: TextRole) {
    const encoder = await this.#search.encoder();
    const vectors = await encoder.encode([...texts], role);
    const hits = await this.#search.scoreAll(vectors);
    return texts.map((_text, row) => {
      const scores = this.#byPlace(hits.at(row) ?? []);
      const vector = vectors.slice(row * encoder.dimensions, (row + 1) * encoder.dimensions);
      return { vector, scores, bytes: scores.byteLength + vector.byteLength };
    });
  }

  async #bm25({ text, expansions, queryRepeats }: ExplainedQuery): Promise<Scored> {
    const index = await this.#search.lexicalIndex();
    const searched = repeatQuery(text, expansions, queryRepeats);
    const search = async () => {
      const hits = await index.search([searched], Math.max(1, index.size));
      const scores = this.#byPlace(hits.at(0) ?? []);
      return { scores, bytes: scores.byteLength };
    };
    const { scores } = await (this.#lexical.get(searched) ?? this.#lexical.keep(searched, search()));
    const repeats = expansions.length === 0 ? 1 : countRepeats(text, expansions, queryRepeats);
    const [ofQuery, inAll] = [index.countTerms(text), index.countTerms(searched)];
    const partOf = (term: string) => Math.min(1, (repeats * (ofQuery.get(term) ?? 0)) / inAll.get(term)!);
    return {
      scores,
      explain: async (documents) => {
        const ids = documents.map((document) => this.ids[document]!);
        const shares = await index.explain(searched, ids);
        return ids.map((id) => {
          const terms = (shares.get(id) ?? []).map(({ term, share }) => ({
            term,
            share,
            ofQuery: share * partOf(term),
          }));
          terms.sort((a, b) => b.share - a.share);
          return { bm25: { score: terms.reduce((sum, { share }) => sum + share, 0), terms } };
        });
      },
    };
  }

  #byPlace(hits: readonly ScoredDocument[]): Float32Array {
    const scores = new Float32Array(this.ids.length).fill(NOT_FOUND);
    for (const { id, score } of hits) scores[this.#places.get(id)!] = score;
    return scores;
  }
}

/** All documents of a corpus, ranked. */
export class ExplainedRanking {
  readonly #ids: readonly string[];
  readonly #scored: Scored;

  constructor(ids: readonly string[], scored: Scored) {
    [this.#ids, this.#scored] = [ids, scored];
  }

  /**
   * Returns the best documents, in the order of trec_eval.
   * @param passing which documents take part, by their place; default all // [documents]
   */
  top(count: number, passing?: Uint8Array): RankedDocument[] {
    const { scores } = this.#scored;
    const { numbers, scores: best } = topOf(scores, count, passing);
    return Array.from(numbers, (place, at) => ({ id: this.#ids[place]!, score: best[at]!, rank: at + 1 }));
  }

  /** Returns the rank of a document, by its place, among those that take part; undefined if it is not found. */
  rankOf(place: number, passing?: Uint8Array): number | undefined {
    const { scores } = this.#scored;
    const own = scores[place];
    if (own === undefined || own === NOT_FOUND || passing?.[place] === 0) return undefined;
    let better = 0;
    for (let other = 0; other < scores.length; other++) {
      const score = scores[other]!;
      if (score < own || passing?.[other] === 0) continue;
      if (score > own || other < place) better++;
    }
    return better + 1;
  }

  /** Returns what the scores of documents, by their places, are made of. */
  explain(places: readonly number[]): Promise<Explanation[]> {
    return this.#scored.explain(places);
  }
}

/** Places are in the order of ties, so that the smaller number goes first. */
function topOf(scores: Float32Array, count: number, passing?: Uint8Array) {
  const top = new TopScores(Math.max(1, Math.min(count, scores.length)), 'number');
  for (let place = 0; place < scores.length; place++) {
    if (scores[place] !== NOT_FOUND && passing?.[place] !== 0) top.offer(scores[place]!, place);
  }
  return top.take();
}

/** Fuses by reciprocal ranks, as `fuseRuns` does with the first `depth` documents of both lists. */
function fuse(dense: Scored, bm25: Scored, { fusionWeight, rrfK, depth }: RetrievalSettings): Scored {
  const lists = [dense, bm25].map(({ scores }, at) => {
    const weight = 2 * (at === 0 ? fusionWeight : 1 - fusionWeight);
    const { numbers } = topOf(scores, depth);
    return new Map(Array.from(numbers, (place, row) => [place, { rank: row + 1, share: weight / (rrfK + row + 1) }]));
  });
  const scores = new Float32Array(dense.scores.length).fill(NOT_FOUND);
  const sums = new Map<number, number>();
  for (const list of lists) for (const [place, { share }] of list) sums.set(place, (sums.get(place) ?? 0) + share);
  for (const [place, sum] of sums) scores[place] = sum;
  return {
    scores,
    async explain(documents) {
      const [ofDense, ofBm25] = [await dense.explain(documents), await bm25.explain(documents)];
      return documents.map((place, at) => ({
        ...ofDense[at],
        ...ofBm25[at],
        fused: { dense: lists[0]!.get(place), bm25: lists[1]!.get(place) },
      }));
    },
  };
}
