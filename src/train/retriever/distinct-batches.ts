import type { ArrangeEpoch } from '../loop/batches.ts';
import type { RetrieverExample } from './retriever-example.ts';

/** Rows that were put off are looked through so far for each place: enough for the duplicates of real data, in bounded time. */
const MOST_LOOKED_AT = 256;

/**
 * Keeps rows that share a text (a query, a positive, a negative) out of one batch: a row that does not fit waits for a later batch of
 * the epoch. Where none is left that fits, one that does not goes in (its duplicates are masked), and is counted.
 */
export class DistinctBatches {
  readonly #examples: readonly RetrieverExample[];
  /** Rows of the last epoch that was arranged which share a batch with a duplicate. */
  fallbacks = 0;

  constructor(examples: readonly RetrieverExample[]) {
    this.#examples = examples;
  }

  readonly arrange: ArrangeEpoch = (order, batchSize) => {
    const arranged = new Uint32Array(order.length);
    const waiting: number[] = [];
    let next = 0;
    let placed = 0;
    this.fallbacks = 0;
    while (placed < order.length) {
      const taken = new Set<string>();
      const room = Math.min(batchSize, order.length - placed);
      const put = (row: number) => {
        arranged[placed++] = row;
        for (const key of this.#keysOf(row)) taken.add(key);
      };
      const end = placed + room;
      const fits = (row: number) => !this.#keysOf(row).some((key) => taken.has(key));
      for (let at = 0; at < Math.min(waiting.length, MOST_LOOKED_AT) && placed < end; ) {
        if (fits(waiting[at]!)) put(waiting.splice(at, 1)[0]!);
        else at++;
      }
      while (placed < end && next < order.length) {
        const row = order[next++]!;
        if (fits(row)) put(row);
        else waiting.push(row);
      }
      for (; placed < end; this.fallbacks++) put(waiting.shift()!);
    }
    return arranged;
  };

  /** What the rows of a batch must not share. */
  #keysOf(row: number): string[] {
    const { queryKey, positives, negatives } = this.#examples[row]!;
    return [`query ${queryKey}`, ...positives.map(({ key }) => key), ...negatives.map(({ key }) => key)];
  }
}
