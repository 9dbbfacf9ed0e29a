import {
  type AnalyzerName,
  type Bm25Index,
  type LexicalQuery,
  TERM_FEEDBACK,
  type TermFeedbackName,
  type WeightedTerms,
} from '../search/index.ts';
import type { Feedback } from './feedback.ts';

/** Queries whose first documents are read together, in one pass over the index. */
const QUERIES_PER_PASS = 512;

/** Relevance feedback in BM25: searches once, and makes new queries from the terms of each query's first documents. */
export class LexicalFeedback {
  readonly #index: Bm25Index;
  readonly #feedback: Feedback & { name: TermFeedbackName };
  readonly #onlyLatin: boolean;

  /** @param analyzer only `english` terms are held to be of the letters a to z and digits */
  constructor(index: Bm25Index, feedback: Feedback & { name: TermFeedbackName }, analyzer: AnalyzerName) {
    this.#index = index;
    this.#feedback = feedback;
    this.#onlyLatin = analyzer === 'english';
  }

  /**
   * Returns the queries of the second search. As in Anserini, a document with the id of its query counts like any other.
   * @throws AbortedError
   */
  async expand(texts: readonly string[], signal: AbortSignal | undefined): Promise<LexicalQuery[]> {
    const queries: LexicalQuery[] = [];
    for (let first = 0; first < texts.length; first += QUERIES_PER_PASS) {
      queries.push(...(await this.#expandSome(texts.slice(first, first + QUERIES_PER_PASS), signal)));
    }
    return queries;
  }

  async #expandSome(texts: readonly string[], signal: AbortSignal | undefined): Promise<WeightedTerms[]> {
    const index = this.#index;
    const { name, documents, terms, weight } = this.#feedback;
    const hits = await index.search(texts, documents, { signal });
    const numbers = new Set(texts.flatMap((_text, row) => [...hits.list(row).numbers]));
    const found = await index.documentTerms(numbers, signal);
    const corpus = { size: index.size, documentsWith: (term: string) => index.documentsWith(term) };
    const settings = { terms, weight, onlyLatin: this.#onlyLatin };
    return texts.map((text, row) => {
      const list = hits.list(row);
      const read = Array.from(list.numbers, (number, at) => ({ terms: found.get(number)!, score: list.scores[at]! }));
      return TERM_FEEDBACK[name](index.countTerms(text), read, corpus, settings);
    });
  }
}
