import type { TextTokenizer } from '../models/index.ts';

/** Characters that are looked at first, for each token wanted: English has four or five of them in a token. */
const CHARACTERS_PER_TOKEN = 16;

/** Each further look takes so many times more. */
const GROWTH = 8;

/** Characters for each token wanted that are looked at in all: a text that needs more is blanks or one endless word. */
const MAX_CHARACTERS_PER_TOKEN = 1024;

/** How far back a blank is looked for, to cut between words. A longer word is an unknown one to BERT however it is cut. */
const MAX_WORD_LENGTH = 1000;

/** A text as tokens, and whether the text goes on behind them. */
export interface CutText {
  ids: Int32Array;
  isCut: boolean;
}

/**
 * Tokenises the beginnings of texts: a text of 40 MB of which 256 tokens are wanted is not tokenised whole. The tokens are those of
 * the whole text, since BERT's tokenizer never joins two words.
 */
export class CuttingTokenizer {
  readonly #tokenizer: TextTokenizer;
  readonly #maxLength: number;
  /** Special tokens that close a text. */
  readonly #closing: number;

  private constructor(tokenizer: TextTokenizer, maxLength: number, closing: number) {
    this.#tokenizer = tokenizer;
    this.#maxLength = maxLength;
    this.#closing = closing;
  }

  /** @param maxLength tokens of a text, special ones included */
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
      // One token more than wanted tells whether there are more.
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

/** The beginning of a text, which ends between two words where it can. */
function beginningOf(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const start = Math.max(0, limit - MAX_WORD_LENGTH);
  const blank = text.slice(start, limit).search(/\s\S*$/);
  return text.slice(0, blank < 0 ? limit : start + blank);
}
