import { z } from 'zod';
import { shareTest } from '../measures/index.ts';
import { Random } from '../system/index.ts';
import { NEVER, type Policy, type PolicyExample, STEPS, weightPlace } from './policy.ts';
import { HARM_CONFIDENCE, isHarmed } from './policy-report.ts';

/** How the harm of a gate was limited, as in its file. */
export const harmControlSchema = z.strictObject({
  /** The share of queries that may be harmed. */
  atMost: z.number().gt(0).lt(1),
  confidence: z.literal(HARM_CONFIDENCE),
  /** Queries that nothing was learned from, on which thresholds were tested. */
  queries: z.int().nonnegative(),
  /** The thresholds of the weight in the order of testing, with harmed queries and p; the last one may have failed. */
  tested: z.array(z.strictObject({ weightFrom: z.number(), harmed: z.int().nonnegative(), p: z.number() })).max(50),
  /** Whether the gate's own threshold was rejected, so that a stricter one, or none, took its place. */
  isStricter: z.boolean(),
});
export type HarmControl = z.output<typeof harmControlSchema>;

/**
 * Raises the threshold of a gate's weight until the share of harmed queries is at most a limit, with 95 % confidence: Learn then Test
 * (Angelopoulos, Bates, Candès, Jordan and Lei, arXiv 2110.01052), with fixed-sequence testing. Thresholds are tested from 1 down to the
 * gate's own, each by the exact binomial test of "more than the limit is harmed"; testing ends at the first that cannot be rejected, and the
 * last one before it is taken. Whatever the gate is, the threshold taken exceeds the limit with a probability of 5 % at most, over the draw of
 * the queries. If none passes, the gate never expands, which harms nobody.
 * @param examples queries that nothing was learned from, drawn as those that the gate will see
 * @param weights the grid, ascending; the first is 0
 */
export function controlHarm(
  examples: readonly Omit<PolicyExample, 'group'>[],
  policy: Policy,
  weights: readonly number[],
  atMost: number,
): { policy: Policy; harm: HarmControl } {
  const tested: HarmControl['tested'] = [];
  let chosen: Policy = { ...policy, writeFrom: NEVER, weightFrom: NEVER };
  for (const weightFrom of thresholdsFor(policy)) {
    const tried = { ...policy, weightFrom };
    const harmed = examples.filter(({ before, after, values }) =>
      isHarmed(values[weightPlace(tried, weights, before, after)]!, values[0]!),
    ).length;
    const p = shareTest(harmed, examples.length, atMost);
    tested.push({ weightFrom, harmed, p });
    if (p > 1 - HARM_CONFIDENCE) break;
    chosen = tried;
  }
  const isStricter = tested.length > 0 && chosen.weightFrom !== policy.weightFrom;
  const harm: HarmControl = { atMost, confidence: HARM_CONFIDENCE, queries: examples.length, tested, isStricter };
  return { policy: chosen, harm };
}

/** From the most cautious threshold to the gate's own. None for a gate that never expands. */
function thresholdsFor({ writeFrom, weightFrom }: Policy): number[] {
  if (writeFrom > 1 || weightFrom > 1) return [];
  return [...STEPS.filter((step) => step > weightFrom).reverse(), weightFrom];
}

/** The number of queries without a harmed one that pass a test: fewer can show nothing. */
export function fewestQueries(atMost: number): number {
  return Math.ceil(Math.log(1 - HARM_CONFIDENCE) / Math.log(1 - atMost));
}

/** Divides examples into those to learn from and those to test on, half of each collection. */
export function splitForHarm<E extends { collection: string }>(
  examples: readonly E[],
  seed: number,
): { learning: E[]; testing: E[] } {
  const shuffled = new Random(seed).shuffle([...examples]);
  const testing = new Set<E>();
  const counts = new Map<string, number>();
  for (const one of shuffled) {
    const count = counts.get(one.collection) ?? 0;
    counts.set(one.collection, count + 1);
    if (count % 2 === 1) testing.add(one);
  }
  return { learning: examples.filter((one) => !testing.has(one)), testing: [...testing] };
}
