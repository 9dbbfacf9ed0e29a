/**
 * Whether a text quotes another. A candidate that quotes the gold document was not written but remembered: the retriever
 * then finds the document by its own words, and the reward says nothing about expansion (a leak).
 */

/** A stretch of so many words is a quotation... */
const QUOTE_WORDS = 8;
/** ...and the whole of a shorter document, from so many words on: three words can coincide. */
const SHORTEST_QUOTE = 4;
/** Overlap is counted in stretches of so many words. */
const OVERLAP_WORDS = 4;
/** An answer is copied when so much of it stands in the document. */
const COPIED_SHARE = 0.8;

/** The words of a text: runs of letters and digits, in lower case. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** A query's gold documents, made ready to be looked for in other texts. */
export class GoldWords {
  readonly #documents: { words: string[]; quotes: { length: number; grams: Set<string> } | undefined }[];
  readonly #grams = new Map<number, Set<string>[]>();

  /** @param query what the query says itself is no quotation */
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
   * Whether 8 words in a row of a gold document stand in the text, other than those of the query; of a document of 4 to 7
   * words, whether all of it does. Case and punctuation do not count.
   */
  isQuotedIn(words: readonly string[]): boolean {
    return this.#documents.some(
      ({ quotes }) => quotes !== undefined && gramsOf(words, quotes.length).some((gram) => quotes.grams.has(gram)),
    );
  }

  /** Share of the text's stretches of 4 words (of the whole text where it is shorter) that a gold document holds too. */
  overlap(words: readonly string[]): number {
    const length = Math.min(OVERLAP_WORDS, words.length);
    if (length === 0) return 0;
    const grams = gramsOf(words, length);
    const shares = this.#gramsOfLength(length).map(
      (held) => grams.filter((gram) => held.has(gram)).length / grams.length,
    );
    return Math.max(0, ...shares);
  }

  /** Whether an answer is copied out of a gold document: at least 0.8 of it overlaps. */
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
