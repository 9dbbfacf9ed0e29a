/** Texts that go through the network together, by their indices. */
export interface Batch {
  texts: number[];
  /** The number of tokens of the longest text. */
  longest: number;
}

/**
 * The maximum number of tokens in a batch, padding included: enough for full speed of the matrix products, and few
 * enough for the cache.
 */
const MAX_TOKENS = 1024;
const FEWEST_TOKENS = 256;

/** A short list is split into about this many batches, to be shared by several threads. */
const SHARES = 4;

/**
 * Groups texts of similar length, the longest first, to need almost no padding. The groups depend only on the lengths,
 * not on the number of threads: the same list gives the same batches and the same bits.
 * @param lengths the number of tokens of each text
 */
export function planBatches(lengths: readonly number[]): Batch[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const budget = Math.min(MAX_TOKENS, Math.max(FEWEST_TOKENS, Math.ceil(total / SHARES)));
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

/**
 * Groups texts by padded length, which depends only on a text's own length. A matrix product sums each row in the same
 * way, however many rows there are, so a text's vector has the same bits in every list.
 * @param options.longest the maximum padded length
 * @param options.alone whether each text gets its own batch, for arithmetic that couples the texts of a batch (dynamic
 * quantisation)
 */
export function planAlike(
  lengths: readonly number[],
  { longest, alone }: { longest: number; alone: boolean },
): Batch[] {
  const open = new Map<number, Batch>();
  const batches: Batch[] = [];
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const text of order) {
    const padded = Math.min(longest, paddedLength(lengths[text]!));
    let batch = open.get(padded);
    if (batch === undefined || alone || (batch.texts.length + 1) * padded > MAX_TOKENS) {
      batch = { texts: [], longest: padded };
      open.set(padded, batch);
      batches.push(batch);
    }
    batch.texts.push(text);
  }
  return batches;
}

/** Rounds a length up in steps of at most an eighth: little padding, but enough texts of equal length. */
function paddedLength(length: number): number {
  const step = length <= 16 ? 1 : length <= 32 ? 2 : length <= 64 ? 4 : 8;
  return Math.ceil(length / step) * step;
}

/**
 * The maximum number of texts to tokenise and group together: enough to find similar lengths, and few enough to stop in
 * between.
 */
const MAX_TEXTS = 2048;
const MOST_CHARACTERS = 1_000_000;

/** Splits a list into runs of consecutive texts: `start` up to, not including, `end`. */
export function* windows(texts: readonly string[]): Generator<{ start: number; end: number }> {
  let start = 0;
  let characters = 0;
  for (let end = 0; end < texts.length; end++) {
    const size = texts[end]!.length;
    if (end > start && (end - start >= MAX_TEXTS || characters + size > MOST_CHARACTERS)) {
      yield { start, end };
      start = end;
      characters = 0;
    }
    characters += size;
  }
  if (start < texts.length) yield { start, end: texts.length };
}
