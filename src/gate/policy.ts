import { z } from 'zod';

/** How probabilities become a decision and a weight, as in the gate's file. */
export const policySchema = z.strictObject({
  /** Nothing is written if the probability before writing is below this; above 1: never. */
  writeFrom: z.number().min(0).max(2),
  /** The weight is 0 if the probability after writing is below this; above 1: always. */
  weightFrom: z.number().min(0).max(2),
  /** The weight rises from 0 to the highest over this range of probabilities; 0: at once. */
  ramp: z.number().min(0).max(1),
  /** Highest weight of the expansions: an alpha, or 1 for a lexical search, which expands or does not. */
  highest: z.number().min(0).max(1),
});
export type Policy = z.output<typeof policySchema>;

/** A query whose measure under each weight is known. */
export interface PolicyExample {
  /** Probability that expansion helps, before and after writing. */
  before: number;
  after: number;
  /** The measure under each weight of the grid // [weights] */
  values: readonly number[];
  /** Examples of one group together count as much as those of another. */
  group: string;
}

/** Thresholds that a policy may have, ascending. */
export const STEPS = Array.from({ length: 21 }, (_none, at) => at / 20);
/** Above every probability. */
export const NEVER = 1.05;
const RAMPS = [0, 0.1, 0.25, 0.5, 1];

/** Differences of means this small are rounding. */
const ROUNDING = 1e-9;

/** Returns the place in the grid of the weight for these probabilities. @param weights ascending, the first is 0 */
export function weightPlace(policy: Policy, weights: readonly number[], before: number, after: number): number {
  return before < policy.writeFrom ? 0 : placeOf(policy, weights, after);
}

function placeOf(
  { weightFrom, ramp, highest }: Omit<Policy, 'writeFrom'>,
  weights: readonly number[],
  after: number,
): number {
  if (after < weightFrom) return 0;
  const share = ramp === 0 ? 1 : Math.min(1, (after - weightFrom) / ramp);
  return nearest(weights, highest * share);
}

/** Of two equally near weights, the smaller. */
function nearest(weights: readonly number[], weight: number): number {
  return weights.reduce(
    (best, one, at) => (Math.abs(one - weight) < Math.abs(weights[best]! - weight) - ROUNDING ? at : best),
    0,
  );
}

/**
 * Chooses the most cautious policy that is as good as the best one: the one with the smallest mean weight among those whose mean
 * measure is within one standard error of the highest (Breiman et al. 1984, section 3.4.3). With that, a gain that chance explains is no
 * reason to expand. Among equally cautious ones, it is the one with the higher mean, then the one that writes least. Means are over groups
 * of means over examples.
 * @param weights the grid, ascending; the first is 0
 */
export function choosePolicy(examples: readonly PolicyExample[], weights: readonly number[]): Policy {
  const shares = groupShares(examples);
  const never: TriedPolicy = {
    policy: { writeFrom: NEVER, weightFrom: NEVER, ramp: 0, highest: weights.at(-1)! },
    ...{ gain: 0, weight: 0 },
  };
  const tried = [never, ...tryPolicies(examples, weights, shares)];
  const best = tried.reduce((one, other) => (other.gain > one.gain + ROUNDING ? other : one));
  const least = best.gain - standardError(examples, weights, best.policy) - ROUNDING;
  const { policy } = tried
    .filter(({ gain }) => gain >= least)
    .reduce((one, other) => (isBefore(other, one) ? other : one));
  return policy;
}

interface TriedPolicy {
  policy: Policy;
  /** Mean gain over never expanding, and mean weight. */
  gain: number;
  weight: number;
}

function isBefore(one: TriedPolicy, other: TriedPolicy): boolean {
  if (Math.abs(one.weight - other.weight) > ROUNDING) return one.weight < other.weight;
  if (Math.abs(one.gain - other.gain) > ROUNDING) return one.gain > other.gain;
  return one.policy.writeFrom > other.policy.writeFrom;
}

function tryPolicies(
  examples: readonly PolicyExample[],
  weights: readonly number[],
  shares: readonly number[],
): TriedPolicy[] {
  const sorted = examples.map((_one, at) => at).sort((a, b) => examples[b]!.before - examples[a]!.before);
  const thresholds = [...STEPS, NEVER].reverse();
  const tried: TriedPolicy[] = [];
  for (const highest of weights.slice(1)) {
    for (const weightFrom of thresholds) {
      for (const ramp of RAMPS) {
        const shape = { weightFrom, ramp, highest };
        // Lowering the threshold of writing adds queries one by one, those with the highest probability first.
        let [gain, weight, next] = [0, 0, 0];
        for (const writeFrom of thresholds) {
          for (; next < sorted.length && examples[sorted[next]!]!.before >= writeFrom; next++) {
            const at = sorted[next]!;
            const { values, after } = examples[at]!;
            const place = placeOf(shape, weights, after);
            gain += shares[at]! * (values[place]! - values[0]!);
            weight += shares[at]! * weights[place]!;
          }
          tried.push({ policy: { writeFrom, ...shape }, gain, weight });
        }
      }
    }
  }
  return tried;
}

/** The standard error of a policy's mean gain: a mean over groups of means over examples. */
function standardError(examples: readonly PolicyExample[], weights: readonly number[], policy: Policy): number {
  const byGroup = new Map<string, number[]>();
  for (const { before, after, values, group } of examples) {
    const gains = byGroup.get(group) ?? [];
    gains.push(values[weightPlace(policy, weights, before, after)]! - values[0]!);
    byGroup.set(group, gains);
  }
  const variances = [...byGroup.values()].map((gains) => {
    const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
    const squares = gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0);
    return squares / Math.max(1, gains.length - 1) / gains.length;
  });
  return Math.sqrt(variances.reduce((sum, variance) => sum + variance, 0)) / byGroup.size;
}

/** Weight of each example in a mean over groups of means over examples. */
function groupShares(examples: readonly { group: string }[]): number[] {
  const sizes = new Map<string, number>();
  for (const { group } of examples) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  return examples.map(({ group }) => 1 / (sizes.get(group)! * sizes.size));
}
