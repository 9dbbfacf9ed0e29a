import { type Bm25Settings, denominator, inverseNorm, lossyLength } from './lucene-bm25.ts';

/** Frequencies below this are found in an array, the few others in a map. */
const COMMON_FREQUENCIES = 32;

/** Largest number of lossy lengths: Lucene stores them in one byte. */
const LENGTHS = 256;

/** Allocates shared memory for 32-bit numbers. */
export function sharedNumbers(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * count);
}

/**
 * The pairs of a term's frequency and its document's length that occur in a corpus, numbered in the order in which they are
 * found. A score depends on a posting only by this pair, so a posting holds the number of its pair.
 */
export class SaturationTable {
  readonly #inverses: ((length: number) => number)[];
  /** Lossy length → its place in the arrays below. */
  readonly #lengthPlaces = new Map<number, number>();
  readonly #fields: { common: Int32Array; others: Map<number, number> }[];
  readonly #frequencies: number[] = [];
  readonly #denominators: number[] = [];

  /** @param averages mean length of each field // [fields] */
  constructor(averages: readonly number[], settings: Bm25Settings) {
    this.#inverses = averages.map((average) => (length) => inverseNorm(length, average, settings));
    this.#fields = averages.map(() => ({
      common: new Int32Array(LENGTHS * COMMON_FREQUENCIES).fill(-1),
      others: new Map(),
    }));
  }

  /** Returns the number of a pair, and assigns one to a new pair. */
  row(field: number, length: number, frequency: number): number {
    const { common, others } = this.#fields[field]!;
    const isCommon = frequency < COMMON_FREQUENCIES;
    const place = this.#lengthPlace(length) + frequency * LENGTHS;
    const known = isCommon ? common[place]! : (others.get(place) ?? -1);
    if (known >= 0) return known;
    const row = this.#frequencies.push(frequency) - 1;
    this.#denominators.push(denominator(frequency, this.#inverses[field]!(length)));
    if (isCommon) common[place] = row;
    else others.set(place, row);
    return row;
  }

  /** Number of pairs. */
  get size(): number {
    return this.#frequencies.length;
  }

  /** // [pairs] */
  frequencies(): Uint32Array {
    const shared = new Uint32Array(sharedNumbers(this.#frequencies.length));
    shared.set(this.#frequencies);
    return shared;
  }

  /** // [pairs] */
  denominators(): Float32Array {
    const shared = new Float32Array(sharedNumbers(this.#denominators.length));
    shared.set(this.#denominators);
    return shared;
  }

  #lengthPlace(length: number): number {
    const kept = lossyLength(length);
    const known = this.#lengthPlaces.get(kept);
    if (known !== undefined) return known;
    this.#lengthPlaces.set(kept, this.#lengthPlaces.size);
    return this.#lengthPlaces.size - 1;
  }
}
