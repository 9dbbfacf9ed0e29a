/** Texts that go through the network together, by their numbers. */
export interface Batch {
  texts: number[];
  /** Tokens of the longest. */
  longest: number;
}

/** Tokens of a batch, padding included: large enough for the matrix products' full speed, small enough for the cache. */
const MOST_TOKENS = 1024;
const FEWEST_TOKENS = 256;

/** A short list is cut into about this many batches, so that several threads share it. */
const SHARES = 4;

/**
 * Groups texts of like length, the longest first, so that next to nothing is padded. The grouping depends on the
 * lengths alone, never on the number of threads: the same list gives the same batches, and the same bits.
 * @param lengths tokens of each text
 */
export function planBatches(lengths: readonly number[]): Batch[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const budget = Math.min(MOST_TOKENS, Math.max(FEWEST_TOKENS, Math.ceil(total / SHARES)));
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: Batch[] = [];
  let open: Batch | undefined;
  for (const text of order) {
    if (open === undefined || (open.texts.length + 1) * open.longest > budget) {
      open = { texts: [], longest: lengths[text]! };
      batches.push(open);
    }
    open.texts.push(text);
  }
  return batches;
}

/** Texts that are tokenised together, and grouped by length: enough to find like lengths, few enough to stop between. */
const MOST_TEXTS = 2048;
const MOST_CHARACTERS = 1_000_000;

/** Cuts a list into runs of consecutive texts: where each begins, and after which text it ends. */
export function* windows(texts: readonly string[]): Generator<{ start: number; end: number }> {
  let start = 0;
  let characters = 0;
  for (let end = 0; end < texts.length; end++) {
    const size = texts[end]!.length;
    if (end > start && (end - start >= MOST_TEXTS || characters + size > MOST_CHARACTERS)) {
      yield { start, end };
      start = end;
      characters = 0;
    }
    characters += size;
  }
  if (start < texts.length) yield { start, end: texts.length };
}
