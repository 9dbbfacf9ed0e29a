import type { TextTokenizer } from '../models/index.ts';

/** Characters per wanted token that the first attempt reads. An English token has four or five. */
const CHARACTERS_PER_TOKEN = 16;

/** Each further attempt reads this many times more. */
const GROWTH = 8;

/**
 * Characters per wanted token that are read at most: a text that needs more consists of blanks or of one endless word.
 */
const MAX_CHARACTERS_PER_TOKEN = 1024;

/**
 * How far back to search for a blank, to cut between words. BERT treats a longer word as unknown, wherever it is cut.
 */
const MAX_WORD_LENGTH = 1000;

/** The tokens of a text, and whether the text continues after them. */
export interface CutText {
  ids: Int32Array;
  isCut: boolean;
}

/**
 * Tokenises the beginnings of texts: 256 tokens of a text of 40 MB do not need the complete text. The tokens equal
 * those of the complete text, because BERT's tokenizer never joins two words.
 */
export class CuttingTokenizer {
  readonly #tokenizer: TextTokenizer;
  readonly #maxLength: number;
  /** The number of special tokens that close a text. */
  readonly #closing: number;

  private constructor(tokenizer: TextTokenizer, maxLength: number, closing: number) {
    this.#tokenizer = tokenizer;
    this.#maxLength = maxLength;
    this.#closing = closing;
  }

  /** @param maxLength the maximum number of tokens per text, special ones included */
  static async create(tokenizer: TextTokenizer, maxLength: number): Promise<CuttingTokenizer> {
    const [empty, word] = await tokenizer.encodeBatch(['', 'a'], { maxLength: 64 });
    let closing = 0;
    while (closing < empty!.length && empty!.at(-1 - closing) === word!.at(-1 - closing)) closing++;
    return new CuttingTokenizer(tokenizer, maxLength, closing);
  }

  async encode(texts: readonly string[]): Promise<CutText[]> {
    const found = new Array<CutText>(texts.length);
    let open = texts.map((_text, row) => row);
    for (let share = CHARACTERS_PER_TOKEN; open.length > 0; share *= GROWTH) {
      const limit = Math.min(share, MAX_CHARACTERS_PER_TOKEN) * this.#maxLength;
      const beginnings = open.map((row) => beginningOf(texts[row]!, limit));
      // One extra token shows whether the text continues.
      const tokens = await this.#tokenizer.encodeBatch(beginnings, { maxLength: this.#maxLength + 1 });
      const unfinished: number[] = [];
      for (const [at, row] of open.entries()) {
        const isWhole = beginnings[at]!.length === texts[row]!.length;
        const isLong = tokens[at]!.length > this.#maxLength;
        if (!isWhole && !isLong && share < MAX_CHARACTERS_PER_TOKEN) unfinished.push(row);
        else found[row] = { ids: isLong ? this.#cut(tokens[at]!) : tokens[at]!, isCut: isLong || !isWhole };
      }
      open = unfinished;
    }
    return found;
  }

  /** Drops the last token before the closing ones. */
  #cut(ids: Int32Array): Int32Array {
    const drop = ids.length - 1 - this.#closing;
    return ids.filter((_id, at) => at !== drop);
  }
}

/** Returns the beginning of a text, if possible up to the end of a word. */
function beginningOf(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const start = Math.max(0, limit - MAX_WORD_LENGTH);
  const blank = text.slice(start, limit).search(/\s\S*$/);
  return text.slice(0, blank < 0 ? limit : start + blank);
}
