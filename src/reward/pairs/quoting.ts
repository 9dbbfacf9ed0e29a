/**
 * Detects whether a text quotes another. A candidate that quotes the gold document was remembered, not written. The
 * retriever then finds the document by its own words, and the reward says nothing about expansion (a leak).
 */

/** A sequence of this many words is a quotation... */
const QUOTE_WORDS = 8;
/** ...and so is a shorter document in full if it has at least this many words: three words can coincide. */
const SHORTEST_QUOTE = 4;
/** Overlap is counted in sequences of this many words. */
const OVERLAP_WORDS = 4;
/** An answer is copied if this fraction of it occurs in the document. */
const COPIED_SHARE = 0.8;

/** The words of a text: runs of letters and digits, in lower case. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** A query's gold documents, prepared for detecting them in other texts. */
export class GoldWords {
  readonly #documents: { words: string[]; quotes: { length: number; grams: Set<string> } | undefined }[];
  readonly #grams = new Map<number, Set<string>[]>();

  /** @param query words of the query itself are not quotations */
  constructor(gold: readonly string[], query: string) {
    const queryWords = wordsOf(query);
    this.#documents = gold.map((text) => {
      const words = wordsOf(text);
      if (words.length < SHORTEST_QUOTE) return { words, quotes: undefined };
      const length = Math.min(QUOTE_WORDS, words.length);
      const own = new Set(gramsOf(queryWords, length));
      return { words, quotes: { length, grams: new Set(gramsOf(words, length).filter((gram) => !own.has(gram))) } };
    });
  }

  /**
   * Whether 8 consecutive words of a gold document occur in the text, other than those of the query. A document of 4 to
   * 7 words must occur in full. Case and punctuation are ignored.
   */
  isQuotedIn(words: readonly string[]): boolean {
    return this.#documents.some(
      ({ quotes }) => quotes !== undefined && gramsOf(words, quotes.length).some((gram) => quotes.grams.has(gram)),
    );
  }

  /**
   * Fraction of the text's 4-word sequences (or 1 sequence if the text is shorter) that also occur in a gold document.
   */
  overlap(words: readonly string[]): number {
    const length = Math.min(OVERLAP_WORDS, words.length);
    if (length === 0) return 0;
    const grams = gramsOf(words, length);
    const shares = this.#gramsOfLength(length).map(
      (held) => grams.filter((gram) => held.has(gram)).length / grams.length,
    );
    return Math.max(0, ...shares);
  }

  /** Whether an answer is copied from a gold document: at least 0.8 of it overlaps. */
  isCopiedIn(words: readonly string[]): boolean {
    return this.overlap(words) >= COPIED_SHARE;
  }

  #gramsOfLength(length: number): Set<string>[] {
    const known = this.#grams.get(length);
    if (known !== undefined) return known;
    const made = this.#documents.map(({ words }) => new Set(gramsOf(words, length)));
    this.#grams.set(length, made);
    return made;
  }
}

function gramsOf(words: readonly string[], length: number): string[] {
  const grams: string[] = [];
  for (let start = 0; start + length <= words.length; start++) grams.push(words.slice(start, start + length).join(' '));
  return grams;
}
