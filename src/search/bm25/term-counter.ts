import type { Analyzer } from './analyzers.ts';
import { splitWords } from './english-analyzer.ts';

/** Maximum number of spellings whose term is cached; then the cache is cleared. */
const REMEMBERED_WORDS = 1_000_000;

/** Terms that have numbers already. */
export interface NumberedTerms {
  /** Term number → term. A term that occurs in two fields has two numbers. */
  terms: readonly string[];
  /** The field of each term // [terms] */
  fieldOf: ArrayLike<number>;
  /** Term → its number, for each field // [fields] */
  fields: readonly ReadonlyMap<string, number>[];
}

/** Numbers the terms of a corpus as they are found, those of each field by themselves, and counts them text by text. */
export class TermCounter implements NumberedTerms {
  readonly terms: string[];
  readonly fieldOf: number[];
  readonly fields: Map<string, number>[];
  /** Spelling → term number, or -1 for a stop word // [fields] */
  readonly #words: Map<string, number>[];
  readonly #counts = new Map<number, number>();
  readonly #analyzer: Analyzer;

  /** @param known terms that keep their numbers; other terms get the next ones */
  constructor(analyzer: Analyzer, fields: number, known?: NumberedTerms) {
    this.#analyzer = analyzer;
    this.terms = [...(known?.terms ?? [])];
    this.fieldOf = Array.from(known?.fieldOf ?? []);
    this.fields = Array.from({ length: fields }, (_none, field) => new Map(known?.fields[field]));
    this.#words = Array.from({ length: fields }, () => new Map());
  }

  /** Counts the terms of a text. The map is valid until the next call. */
  count(field: number, text: string): { counts: ReadonlyMap<number, number>; length: number } {
    const counts = this.#counts;
    counts.clear();
    let length = 0;
    for (const word of splitWords(text)) {
      const term = this.#term(field, word);
      if (term < 0) continue;
      counts.set(term, (counts.get(term) ?? 0) + 1);
      length++;
    }
    return { counts, length };
  }

  #term(field: number, word: string): number {
    const words = this.#words[field]!;
    const known = words.get(word);
    if (known !== undefined) return known;
    if (words.size >= REMEMBERED_WORDS) words.clear();
    const term = this.#termNumber(field, this.#analyzer.term(word));
    words.set(word, term);
    return term;
  }

  #termNumber(field: number, term: string | undefined): number {
    if (term === undefined) return -1;
    const numbers = this.fields[field]!;
    const known = numbers.get(term);
    if (known !== undefined) return known;
    numbers.set(term, this.terms.length);
    this.fieldOf.push(field);
    return this.terms.push(term) - 1;
  }
}
