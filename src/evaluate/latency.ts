import { throwIfAborted } from '../system/index.ts';
import type { ArmPlan } from './arms.ts';

/** Queries searched before the timing starts: they allocate buffers, compile code and read files. */
const WARM_UP = 3;
const MOST_QUERIES = 25;
/** Time limit for all arms together. A slow search is timed on fewer queries, but on at least this minimum. */
const BUDGET_MILLISECONDS = 6000;
const LEAST_QUERIES = 3;

export interface LatencyOptions {
  depth: number;
  dropSelf: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Measures the median wall time per query, in milliseconds, by arm name: embedding and search, one query at a time,
 * without the LLM. After a warm-up, the arms take turns query by query, so other work on the machine affects all equally.
 *
 * @param arms arms with the same topics, whose encoder does not cache vectors
 */
export async function measureLatencies(
  arms: readonly Pick<ArmPlan, 'name' | 'retriever' | 'topics'>[],
  { depth, dropSelf, signal }: LatencyOptions,
): Promise<Map<string, number>> {
  const times = new Map(arms.map(({ name }) => [name, [] as number[]]));
  const queries = Math.min(MOST_QUERIES, ...arms.map(({ topics }) => topics.queries.length));
  const search = async ({ name, retriever, topics }: (typeof arms)[number], at: number, timed: boolean) => {
    throwIfAborted(signal);
    const started = performance.now();
    await retriever.retrieve([topics.queries[at]!], { depth, dropSelf, signal });
    if (timed) times.get(name)!.push(performance.now() - started);
  };
  for (let at = 0; at < Math.min(WARM_UP, queries); at++) for (const arm of arms) await search(arm, at, false);
  const started = performance.now();
  for (let at = 0; at < queries; at++) {
    if (at >= LEAST_QUERIES && performance.now() - started > BUDGET_MILLISECONDS) break;
    for (const arm of arms) await search(arm, at, true);
  }
  return new Map([...times].map(([name, all]) => [name, median(all)]));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
