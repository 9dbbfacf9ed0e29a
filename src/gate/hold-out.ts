import { Random } from '../system/index.ts';
import { probabilityUnder } from './calibrated-model.ts';
import type { GateData } from './gate-file.ts';
import { weightPlace } from './policy.ts';
import { comparePolicies, type PolicyValues } from './policy-report.ts';
import { type GateExample, type LearnedGate, learnSafeGate } from './train-gate.ts';

/** Parts of a single collection. */
const FOLDS = 10;

export interface HoldOutOptions {
  /** Ascending; the first is 0. */
  weights: readonly number[];
  /** The weight of always expanding; one of the weights. */
  always: number;
  seed: number;
  /** Share of queries that the gates may harm; default any. */
  harmAtMost?: number | undefined;
}

/**
 * Reports how a gate does on a collection that it was not trained on: for each collection, a gate is trained on the others. With a single
 * collection, gates are trained on nine tenths of it and tried on the rest, so the report says nothing of other collections.
 */
export function holdOut(examples: readonly GateExample[], options: HoldOutOptions): GateData['heldOut'] {
  const collections = [...new Set(examples.map(({ collection }) => collection))];
  const results = collections.length > 1 ? byCollection(examples, options) : inParts(examples, options);
  return collections.map((collection) => {
    const values = results.filter((one) => one.collection === collection);
    return { collection, ...comparePolicies(values, options.seed) };
  });
}

type Result = PolicyValues & { collection: string };

function byCollection(examples: readonly GateExample[], options: HoldOutOptions): Result[] {
  const collections = [...new Set(examples.map(({ collection }) => collection))];
  return collections.flatMap((left) => {
    const others = examples.filter(({ collection }) => collection !== left);
    const gate = learnSafeGate(others, options);
    return examples.filter(({ collection }) => collection === left).map((one) => tryGate(gate, one, options));
  });
}

function inParts(examples: readonly GateExample[], options: HoldOutOptions): Result[] {
  const shuffled = new Random(options.seed).shuffle([...examples]);
  const folds = Math.min(FOLDS, shuffled.length);
  return Array.from({ length: folds }, (_none, fold) => fold).flatMap((fold) => {
    const others = shuffled.filter((_one, at) => at % folds !== fold);
    const gate = learnSafeGate(others, options);
    return shuffled.filter((_one, at) => at % folds === fold).map((one) => tryGate(gate, one, options));
  });
}

function tryGate(
  { before, after, policy, constant }: LearnedGate,
  example: GateExample,
  options: HoldOutOptions,
): Result {
  const { features, values, collection } = example;
  const { weights, always } = options;
  const asked = probabilityUnder(before, features);
  const place = weightPlace(policy, weights, asked, probabilityUnder(after, features));
  return {
    collection,
    ...{ never: values[0]!, always: values[weights.indexOf(always)]!, constant: values[weights.indexOf(constant)]! },
    ...{ gate: values[place]!, oracle: Math.max(...values), isWritten: asked >= policy.writeFrom },
  };
}
