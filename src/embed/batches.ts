/** Texts that go through the network together, by their numbers. */
export interface Batch {
  texts: number[];
  /** Tokens of the longest. */
  longest: number;
}

/** Tokens of a batch, padding included: large enough for the matrix products' full speed, small enough for the cache. */
const MAX_TOKENS = 1024;
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
 * Groups texts that are padded to one length, which follows from each text's own length alone. The rows of a matrix product are
 * summed alike however many there are, so a text's vector then has the same bits in every list.
 * @param options.longest no text is padded beyond it
 * @param options.alone a batch for each text, for arithmetic that ties the texts of a batch together (dynamic quantisation)
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

/** Steps of an eighth of the length at most: little padding, and yet enough texts of one length. */
function paddedLength(length: number): number {
  const step = length <= 16 ? 1 : length <= 32 ? 2 : length <= 64 ? 4 : 8;
  return Math.ceil(length / step) * step;
}

/** Texts that are tokenised together, and grouped by length: enough to find like lengths, few enough to stop between. */
const MAX_TEXTS = 2048;
const MOST_CHARACTERS = 1_000_000;

/** Cuts a list into runs of consecutive texts: where each begins, and after which text it ends. */
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
