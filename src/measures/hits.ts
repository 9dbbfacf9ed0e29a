import type { Run, ScoredDocument } from './records.ts';

/** One query's hits as numbers, best first: 8 bytes per hit (12 if scores are 64-bit). */
export interface HitList {
  /** Document numbers, which {@link Hits.documentId} turns into ids // [hits] */
  numbers: Uint32Array;
  /** Score of each document number // [hits] */
  scores: Float32Array | Float64Array;
}

/** Hits of many queries, row by row. An array of arrays is one, and so is {@link Hits}. */
export type HitRows = Pick<ReadonlyArray<readonly ScoredDocument[]>, 'length' | 'at' | typeof Symbol.iterator>;

/**
 * The hits of many queries as typed arrays, from the search to the measures: a hundred thousand queries of a thousand
 * hits take 0.8 GB, instead of 6.6 GB as objects. Objects are created for one query at a time, on request.
 */
export class Hits implements HitRows {
  /** Returns the id of a document number. */
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

  /** Returns the hits of one query as numbers. @throws RangeError beyond the last query */
  list(row: number): HitList {
    const list = this.#lists[row];
    if (list === undefined) throw new RangeError(`there is no query ${row}`);
    return list;
  }

  /** Returns the hits of one query, created at each call; undefined beyond the last query. */
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

  /** @param queries ids, one per row of the hits */
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

  /** Returns the hits of one query, created at each call. */
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

/** A JavaScript `Map` holds at most 2^24 entries. */
const MOST_ENTRIES = 2 ** 24 - 1;

/** Numbers document ids in the order of their first occurrence. */
export class DocumentNumbers {
  readonly #ids: string[] = [];
  readonly #mostEntries: number;
  readonly #maps: Map<string, number>[] = [new Map()];

  /** @param mostEntries maximum size of a `Map`; then another one is started */
  constructor(mostEntries = MOST_ENTRIES) {
    this.#mostEntries = mostEntries;
  }

  /** Number of distinct ids so far. */
  get size(): number {
    return this.#ids.length;
  }

  /** Returns the number of a known id; undefined for an unknown one. */
  find(id: string): number | undefined {
    for (const map of this.#maps) {
      const known = map.get(id);
      if (known !== undefined) return known;
    }
    return undefined;
  }

  /** Returns the number of an id, and assigns one to a new id. */
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

  /** Returns the id of a number. */
  id(number: number): string {
    return this.#ids[number]!;
  }
}
