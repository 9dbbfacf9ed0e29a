/** The best entries of one query, best first. */
export interface RankedScores {
  scores: Float32Array;
  /** Document numbers, one per score. */
  numbers: Uint32Array;
}

/**
 * Collects the `k` best of many scored documents. Entries that reach the k-th best score so far are appended to a
 * buffer; when it is full, the k-th best score is found again (Hoare's selection) and the rest is thrown out: constant
 * time an entry, whatever the order.
 *
 * Among equal scores the smaller document number wins, where numbers stand for an order of the documents
 * (`ties: 'number'`); or, with `ties: 'keep'`, all entries equal to the k-th are kept as far as they fit, for the caller
 * to choose by id, and {@link overflowed} tells when they did not.
 */
export class TopScores {
  /** Entries with a lower score need not be offered. */
  threshold = Number.NEGATIVE_INFINITY;
  overflowed = false;
  readonly k: number;
  readonly #keepTies: boolean;
  readonly #scores: Float32Array;
  readonly #numbers: Uint32Array;
  #count = 0;
  /** Entries with exactly the threshold score are accepted only below this number. */
  #tieLimit = Number.POSITIVE_INFINITY;

  constructor(k: number, ties: 'number' | 'keep') {
    this.k = k;
    this.#keepTies = ties === 'keep';
    this.#scores = new Float32Array(topScoresCapacity(k));
    this.#numbers = new Uint32Array(topScoresCapacity(k));
  }

  /** Number of entries that are kept so far. */
  get count(): number {
    return this.#count;
  }

  /** Forgets all entries. */
  clear(): void {
    this.#count = 0;
    this.threshold = Number.NEGATIVE_INFINITY;
    this.#tieLimit = Number.POSITIVE_INFINITY;
  }

  /** @param score a 32-bit float */
  offer(score: number, number: number): void {
    if (!(score >= this.threshold) || (score === this.threshold && number >= this.#tieLimit)) return;
    this.#scores[this.#count] = score;
    this.#numbers[this.#count] = number;
    if (++this.#count === this.#scores.length) this.#compact();
  }

  /** The best entries, at most `k` (and all that equal the last, where ties are kept); the buffer is empty afterwards. */
  take(): RankedScores {
    if (this.#count > this.k) this.#compact();
    const ranked = rank(this.#scores.subarray(0, this.#count), this.#numbers.subarray(0, this.#count));
    this.clear();
    return ranked;
  }

  #compact(): void {
    const scores = this.#scores;
    const numbers = this.#numbers;
    const limit = kthLargest(scores.slice(0, this.#count), this.k);
    let kept = 0;
    let tied = 0;
    const ties = new Uint32Array(this.#count);
    for (let at = 0; at < this.#count; at++) {
      if (scores[at]! > limit) {
        scores[kept] = scores[at]!;
        numbers[kept++] = numbers[at]!;
      } else if (scores[at] === limit) ties[tied++] = numbers[at]!;
    }
    this.threshold = limit;
    const chosen = this.#chooseTies(ties.subarray(0, tied), kept);
    scores.fill(limit, kept, kept + chosen.length);
    numbers.set(chosen, kept);
    this.#count = kept + chosen.length;
  }

  #chooseTies(ties: Uint32Array, better: number): Uint32Array {
    const room = this.k - better;
    if (this.#keepTies && better + ties.length <= (this.k + this.#scores.length) / 2) return ties;
    if (this.#keepTies && ties.length > room) this.overflowed = true;
    ties.sort();
    this.#tieLimit = ties[room - 1]!;
    return ties.subarray(0, room);
  }
}

/** Maximum number of entries of a collector of `k`, at 8 bytes each. */
export function topScoresCapacity(k: number): number {
  return 2 * k + 256;
}

/** The k-th largest of more than `k - 1` numbers (Hoare's FIND, 1961); reorders them. */
export function kthLargest(values: Float32Array, k: number): number {
  const target = k - 1;
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const pivot = values[(low + high) >>> 1]!;
    let left = low;
    let right = high;
    while (left <= right) {
      while (values[left]! > pivot) left++;
      while (values[right]! < pivot) right--;
      if (left > right) break;
      const kept = values[left]!;
      values[left++] = values[right]!;
      values[right--] = kept;
    }
    if (target <= right) high = right;
    else if (target >= left) low = left;
    else break;
  }
  return values[target]!;
}

/**
 * Sorts by score descending, then number ascending, as 64-bit integers: the score's bits, turned so that a larger score
 * is a smaller integer, above the number (little-endian machines, as all that the runtime supports).
 */
function rank(scores: Float32Array, numbers: Uint32Array): RankedScores {
  const keys = new BigUint64Array(scores.length);
  const halves = new Uint32Array(keys.buffer);
  const sorted = new Float32Array(scores.length);
  for (let at = 0; at < scores.length; at++) sorted[at] = scores[at]! + 0; // + 0 makes -0 equal to 0
  const bits = new Uint32Array(sorted.buffer);
  for (let at = 0; at < scores.length; at++) {
    halves[2 * at] = numbers[at]!;
    halves[2 * at + 1] = flip(bits[at]!);
  }
  keys.sort();
  const places = new Uint32Array(scores.length);
  for (let at = 0; at < scores.length; at++) {
    places[at] = halves[2 * at]!;
    bits[at] = unflip(halves[2 * at + 1]!);
  }
  return { scores: sorted, numbers: places };
}

/** Converts a float to an unsigned integer that decreases as the float increases. */
function flip(bits: number): number {
  return (bits & 0x80000000) === 0 ? ~bits & 0x7fffffff : bits;
}

function unflip(key: number): number {
  return (key & 0x80000000) === 0 ? ~key & 0x7fffffff : key;
}
