import { fitCalibrated, type LabelledExample, probabilityUnder } from './calibrated-model.ts';
import { BEFORE_NAMES, FEATURE_NAMES, type Features } from './features.ts';
import type { GateData } from './gate-file.ts';
import { controlHarm, splitForHarm } from './harm-control.ts';
import { choosePolicy } from './policy.ts';

/** A development query: its features, and its measure under each weight. */
export interface GateExample {
  collection: string;
  query: string;
  /** All features, from before and after writing. */
  features: Features;
  /** The measure under each weight; the first is that of the raw query // [weights] */
  values: readonly number[];
}

/** The parts of a gate that are learned. */
export type LearnedGate = Pick<GateData, 'before' | 'after' | 'policy' | 'constant' | 'harm'>;

/**
 * Learns when to expand, as {@link learnGate} does from one half of the examples, and limits the harm on the other half.
 * @param weights ascending; the first is 0
 * @param harmAtMost share of queries that may be harmed; without it, all examples are learned from, and harm is not limited
 */
export function learnSafeGate(
  examples: readonly GateExample[],
  { weights, seed, harmAtMost }: { weights: readonly number[]; seed: number; harmAtMost?: number | undefined },
): LearnedGate {
  if (harmAtMost === undefined) return learnGate(examples, weights, seed);
  const { learning, testing } = splitForHarm(examples, seed);
  const gate = learnGate(learning, weights, seed);
  const tested = testing.map(({ features, values }) => ({
    ...{ before: probabilityUnder(gate.before, features), after: probabilityUnder(gate.after, features), values },
  }));
  return { ...gate, ...controlHarm(tested, gate.policy, weights, harmAtMost) };
}

/**
 * Learns when to expand. Both models learn whether the best constant weight helps or hurts a query, with examples weighing by the size
 * of the change, each collection as much as another; the policy is then chosen on probabilities of queries that were held out with
 * their collection (or in ten parts, for a single one).
 *
 * @param weights ascending; the first is 0
 */
export function learnGate(examples: readonly GateExample[], weights: readonly number[], seed: number): LearnedGate {
  const means = weights.map((_weight, at) => meanByCollection(examples, ({ values }) => values[at]!));
  const best = (from: number) =>
    means.reduce((one, mean, at) => (at >= from && mean > means[one]! + 1e-12 ? at : one), from);
  const labelled = label(examples, best(1));
  const before = fitCalibrated(labelled, BEFORE_NAMES, seed);
  const after = fitCalibrated(labelled, FEATURE_NAMES, seed);
  const policy = choosePolicy(
    examples.map(({ collection, values }, at) => {
      return { before: before.heldOut[at]!, after: after.heldOut[at]!, values, group: collection };
    }),
    weights,
  );
  return { before: before.model, after: after.model, policy, constant: weights[best(0)]! };
}

/** @param place of the weight whose changes are learned */
function label(examples: readonly GateExample[], place: number): LabelledExample[] {
  const sizes = new Map<string, number>();
  for (const { collection } of examples) sizes.set(collection, (sizes.get(collection) ?? 0) + 1);
  const changes = examples.map(({ values, collection }) => {
    const change = values[place]! - values[0]!;
    return { change, weight: Math.abs(change) / sizes.get(collection)! };
  });
  const weighing = changes.filter(({ weight }) => weight > 1e-9);
  const mean = weighing.reduce((sum, { weight }) => sum + weight, 0) / Math.max(1, weighing.length);
  return examples.map(({ features, collection }, at) => {
    const { change, weight } = changes[at]!;
    return { features, label: change > 0, weight: weight > 1e-9 ? weight / mean : 0, group: collection };
  });
}

/** Returns the mean over collections of the mean over their queries. */
function meanByCollection(examples: readonly GateExample[], measureOf: (example: GateExample) => number): number {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const example of examples) {
    const one = sums.get(example.collection) ?? { sum: 0, count: 0 };
    one.sum += measureOf(example);
    one.count++;
    sums.set(example.collection, one);
  }
  return [...sums.values()].reduce((total, { sum, count }) => total + sum / count, 0) / sums.size;
}
