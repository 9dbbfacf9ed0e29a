import type { HitRows, ScoredDocument } from '../measures/index.ts';
import { DEFAULT_SEED, Random } from '../system/index.ts';
import type { SearchIndex, SearchOptions } from './search-index.ts';

export interface RecallOptions {
  dimensions: number;
  /** Number of queries that are also searched exactly, drawn with a seed. 0 measures nothing. */
  sample: number;
  /** What the index is, to begin a sentence with: `Vectors stored as int8`. */
  what: string;
  /** What else influences its scores. */
  facts: Readonly<Record<string, string | number | boolean>>;
}

/** Where recall is measured. */
const CUTOFFS = [10, 100];

/** What was measured: of the documents that exact search ranks first, the share that the index ranks first as well. */
interface Recall {
  queries: number;
  /** By cutoff; only those that the search was deep enough for. */
  shares: Map<number, number>;
}

/**
 * An index that may miss documents, and beside it the exact one in f32. The first search draws a sample of its queries, searches
 * them in both, and so tells the recall of this very run.
 */
export class RecallChecked implements SearchIndex<Float32Array> {
  readonly #index: SearchIndex<Float32Array>;
  readonly #exact: SearchIndex<Float32Array> & { close(): Promise<void> };
  readonly #options: RecallOptions;
  checkMilliseconds = 0;
  #recall: Recall | undefined;
  #checking: Promise<void> | undefined;

  /** @param exact is searched once, and closed when this index is closed */
  constructor(
    index: SearchIndex<Float32Array>,
    exact: SearchIndex<Float32Array> & { close(): Promise<void> },
    options: RecallOptions,
  ) {
    [this.#index, this.#exact, this.#options] = [index, exact, options];
  }

  get size(): number {
    return this.#index.size;
  }

  get facts(): Record<string, string | number | boolean> {
    const { queries, shares } = this.#recall ?? { queries: 0, shares: new Map<number, number>() };
    const measured = [...shares].map(([cutoff, share]) => [`recall@${cutoff} against exact f32`, rounded(share)]);
    const sample = queries === 0 ? {} : { 'queries of that recall': queries };
    return { ...this.#options.facts, ...Object.fromEntries(measured), ...sample };
  }

  get notes(): readonly string[] {
    const { what } = this.#options;
    if (this.#recall === undefined) return [`${what}: its recall against exact search in f32 was not measured.`];
    const { queries, shares } = this.#recall;
    const parts = [...shares].map(([cutoff, share]) => `${(100 * share).toFixed(1)} % of the first ${cutoff}`);
    const sample = queries === 1 ? 'one query' : `${queries} queries`;
    return [`${what}: of what exact search in f32 finds, ${parts.join(' and ')} are found (${sample} compared).`];
  }

  async search(queries: Float32Array, k: number, options: SearchOptions = {}): Promise<HitRows> {
    const hits = await this.#index.search(queries, k, options);
    if (this.#options.sample > 0 && queries.length > 0) {
      this.#checking ??= this.#check(queries, hits, k, options).catch((error) => {
        this.#checking = undefined;
        throw error;
      });
      const started = performance.now();
      await this.#checking;
      this.checkMilliseconds += performance.now() - started;
    }
    return hits;
  }

  async close(): Promise<void> {
    await this.#exact.close();
    await this.#index.close?.();
  }

  async #check(queries: Float32Array, hits: HitRows, k: number, { signal, dropSelf }: SearchOptions): Promise<void> {
    const { dimensions, sample } = this.#options;
    const count = queries.length / dimensions;
    const rows = Array.from({ length: count }, (_none, row) => row);
    const chosen = new Random(DEFAULT_SEED).shuffle(rows).slice(0, sample);
    const block = new Float32Array(chosen.length * dimensions);
    for (const [at, row] of chosen.entries()) {
      block.set(queries.subarray(row * dimensions, (row + 1) * dimensions), at * dimensions);
    }
    const deepest = Math.min(k, CUTOFFS.at(-1)!);
    const selves = dropSelf && chosen.map((row) => dropSelf[row]);
    const expected = [...(await this.#exact.search(block, deepest, { signal, dropSelf: selves }))];
    const found = chosen.map((row) => hits.at(row)!);
    const cutoffs = CUTOFFS.filter((cutoff) => cutoff <= k);
    const shares = cutoffs.map((cutoff): [number, number] => [cutoff, recallAt(cutoff, found, expected)]);
    this.#recall = { queries: chosen.length, shares: new Map(shares) };
    // Its threads and vectors are not needed again.
    await this.#exact.close();
  }
}

/** The mean share of the first `cutoff` expected documents that are among the first `cutoff` found. */
function recallAt(
  cutoff: number,
  found: readonly (readonly ScoredDocument[])[],
  expected: readonly (readonly ScoredDocument[])[],
): number {
  let sum = 0;
  for (const [row, hits] of expected.entries()) {
    const wanted = hits.slice(0, cutoff);
    const there = new Set(found[row]!.slice(0, cutoff).map(({ id }) => id));
    sum += wanted.length === 0 ? 1 : wanted.filter(({ id }) => there.has(id)).length / wanted.length;
  }
  return sum / expected.length;
}

function rounded(share: number): number {
  return Math.round(10_000 * share) / 10_000;
}
