import type { Run, ScoredDocument } from './records.ts';

/** One query's hits as numbers, best first: 8 bytes a hit (12 where scores are 64-bit). */
export interface HitList {
  /** Document numbers, which {@link Hits.documentId} turns into ids // [hits] */
  numbers: Uint32Array;
  /** One a number // [hits] */
  scores: Float32Array | Float64Array;
}

/** Hits of many queries, row by row. An array of arrays is one, and so is {@link Hits}. */
export type HitRows = Pick<ReadonlyArray<readonly ScoredDocument[]>, 'length' | 'at' | typeof Symbol.iterator>;

/**
 * The hits of many queries as typed arrays, as a search hands them to the measures: a hundred thousand queries of a thousand
 * hits are 0.8 GB, and would be 6.6 GB as objects. Objects are made for one query at a time, when it is asked for.
 */
export class Hits implements HitRows {
  /** Id of a document's number. */
  readonly documentId: (number: number) => string;
  readonly #lists: readonly HitList[];

  /** @param lists // [queries] */
  constructor(lists: readonly HitList[], documentId: (number: number) => string) {
    this.#lists = lists;
    this.documentId = documentId;
  }

  /** Number of queries. */
  get length(): number {
    return this.#lists.length;
  }

  /** The hits of one query, made anew at each call; undefined beyond the last. */
  at(row: number): ScoredDocument[] | undefined {
    const list = this.#lists.at(row);
    if (list === undefined) return undefined;
    const { numbers, scores } = list;
    const hits = new Array<ScoredDocument>(numbers.length);
    for (let at = 0; at < numbers.length; at++) hits[at] = { id: this.documentId(numbers[at]!), score: scores[at]! };
    return hits;
  }

  *[Symbol.iterator](): Generator<ScoredDocument[], undefined, unknown> {
    for (let row = 0; row < this.length; row++) yield this.at(row)!;
    return undefined;
  }
}

/** A run whose hits stay typed arrays; see {@link Hits}. It reads like a `Map`. */
export class TypedRun implements Run {
  readonly #rows: Map<string, number>;
  readonly #hits: Pick<HitRows, 'at'>;

  /** @param queries ids, one a row of the hits */
  constructor(queries: Iterable<string>, hits: Pick<HitRows, 'at'>) {
    let row = 0;
    this.#rows = new Map();
    for (const query of queries) this.#rows.set(query, row++);
    this.#hits = hits;
  }

  get size(): number {
    return this.#rows.size;
  }

  has(query: string): boolean {
    return this.#rows.has(query);
  }

  /** The hits of one query, made anew at each call. */
  get(query: string): readonly ScoredDocument[] | undefined {
    const row = this.#rows.get(query);
    return row === undefined ? undefined : this.#hits.at(row);
  }

  keys(): MapIterator<string> {
    return this.#rows.keys();
  }

  *values(): Generator<readonly ScoredDocument[], undefined, unknown> {
    for (const row of this.#rows.values()) yield this.#hits.at(row) ?? [];
    return undefined;
  }

  *entries(): Generator<[string, readonly ScoredDocument[]], undefined, unknown> {
    for (const [query, row] of this.#rows) yield [query, this.#hits.at(row) ?? []];
    return undefined;
  }

  [Symbol.iterator](): Generator<[string, readonly ScoredDocument[]], undefined, unknown> {
    return this.entries();
  }

  forEach(use: (hits: readonly ScoredDocument[], query: string, run: Run) => void): void {
    for (const [query, hits] of this) use(hits, query, this);
  }
}

/** The largest `Map` that JavaScript's engine makes holds 2^24 entries. */
const MOST_ENTRIES = 2 ** 24 - 1;

/** Numbers for document ids, given in the order in which the ids are first met. */
export class DocumentNumbers {
  readonly #ids: string[] = [];
  readonly #mostEntries: number;
  readonly #maps: Map<string, number>[] = [new Map()];

  /** @param mostEntries of a `Map`; beyond it a further one is begun */
  constructor(mostEntries = MOST_ENTRIES) {
    this.#mostEntries = mostEntries;
  }

  /** How many distinct ids were met. */
  get size(): number {
    return this.#ids.length;
  }

  /** The number of an id that was met; undefined for another. */
  find(id: string): number | undefined {
    for (const map of this.#maps) {
      const known = map.get(id);
      if (known !== undefined) return known;
    }
    return undefined;
  }

  /** The number of an id; the same id always has the same. */
  number(id: string): number {
    const known = this.find(id);
    if (known !== undefined) return known;
    let last = this.#maps.at(-1)!;
    if (last.size >= this.#mostEntries) {
      last = new Map();
      this.#maps.push(last);
    }
    last.set(id, this.#ids.length);
    return this.#ids.push(id) - 1;
  }

  /** The id of a number. */
  id(number: number): string {
    return this.#ids[number]!;
  }
}
