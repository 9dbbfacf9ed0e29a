import type { Breather } from '../breather.ts';
import type { Analyzer } from './analyzers.ts';
import type { TermQueries } from './bm25-scorer.ts';
import { splitWords } from './english-analyzer.ts';
import type { InvertedLists } from './inverted-lists.ts';

/** Maximum number of spellings of query words whose term is cached; then the cache is cleared. */
const REMEMBERED_WORDS = 100_000;

/** A query as weighted terms, as feedback makes it. */
export interface WeightedTerms {
  /** Term, as the analyzer spells it → weight. Terms that the corpus lacks are ignored. */
  weights: ReadonlyMap<string, number>;
  /** Whether weights are multiplied by the terms' idf, as Lucene does with boosts. */
  timesIdf: boolean;
}

/** A text, whose words count as often as they occur, or weighted terms. */
export type LexicalQuery = string | WeightedTerms;

/** Turns queries into the terms of an index. */
export class QueryAnalyzer {
  readonly #lists: Pick<InvertedLists, 'fields' | 'idf'>;
  readonly #analyzer: Analyzer;
  /** Spelling → term; undefined for a stop word. */
  readonly #words = new Map<string, string | undefined>();

  constructor(lists: Pick<InvertedLists, 'fields' | 'idf'>, analyzer: Analyzer) {
    this.#lists = lists;
    this.#analyzer = analyzer;
  }

  /** Returns how often each term occurs in a text, in the order of the text, with those that the corpus lacks. */
  countTerms(text: string): Map<string, number> {
    const counts = new Map<string, number>();
    for (const word of splitWords(text)) {
      const term = this.#term(word);
      if (term !== undefined) counts.set(term, (counts.get(term) ?? 0) + 1);
    }
    return counts;
  }

  /**
   * Returns the inverse document frequencies of the distinct terms of a text; undefined for a term that no document holds. Stop
   * words are left out.
   */
  idfsOf(text: string): (number | undefined)[] {
    const { fields, idf } = this.#lists;
    return Array.from(this.countTerms(text).keys(), (spelling) => {
      const term = fields.at(-1)!.get(spelling);
      return term === undefined ? undefined : idf[term]!;
    });
  }

  /** @throws AbortedError */
  async termQueries(queries: readonly LexicalQuery[], breather: Breather): Promise<TermQueries> {
    const { fields, idf } = this.#lists;
    const starts = new Uint32Array(queries.length + 1);
    const terms: number[] = [];
    const weights: number[] = [];
    for (const [row, query] of queries.entries()) {
      const isText = typeof query === 'string';
      const timesIdf = isText || query.timesIdf;
      for (const [spelling, weight] of isText ? this.countTerms(query) : query.weights) {
        for (const numbers of fields) {
          const term = numbers.get(spelling);
          if (term === undefined) continue;
          terms.push(term);
          weights.push(timesIdf ? weight * idf[term]! : weight);
        }
      }
      starts[row + 1] = terms.length;
      if (breather.due) await breather.rest();
    }
    return { starts, terms: Uint32Array.from(terms), weights: Float32Array.from(weights) };
  }

  #term(word: string): string | undefined {
    const known = this.#words.get(word);
    if (known !== undefined || this.#words.has(word)) return known;
    if (this.#words.size >= REMEMBERED_WORDS) this.#words.clear();
    const term = this.#analyzer.term(word);
    this.#words.set(word, term);
    return term;
  }
}
