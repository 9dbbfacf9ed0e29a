import { throwIfAborted } from '../system/index.ts';
import type { ArmPlan } from './arms.ts';

/** Queries searched before any is timed: buffers are made, code is compiled, files are read. */
const WARM_UP = 3;
const MOST_QUERIES = 25;
/** For all arms together; a slow search is timed on fewer queries, but on at least as many as these. */
const BUDGET_MILLISECONDS = 6000;
const LEAST_QUERIES = 3;

export interface LatencyOptions {
  depth: number;
  dropSelf: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Median wall time of one query, in milliseconds, for each arm by its name: embedding and search, one query at a time, without the
 * LLM. The arms take turns query by query after a warm-up, so that what else the machine does falls on all alike.
 *
 * @param arms they hold the same topics; their encoder must not remember vectors
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
