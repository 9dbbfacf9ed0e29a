import { type FeatureOptions, type GateExample, readAfter, readBefore } from '../gate/index.ts';
import { relevantSelves } from '../measures/index.ts';
import type { CorpusSearch, Retriever, TriedCombination } from '../retrieve/index.ts';
import { valuesOfCombinations } from './combination-values.ts';
import type { Topics } from './topics.ts';

export interface GateExampleOptions {
  kind: Retriever['name'];
  /** Weights to learn from, ascending; the first is 0. */
  weights: readonly number[];
  /** Weight of the search whose hits a feature compares. */
  probe: number;
  measure: string;
  depth: number;
  keepSelf: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Returns the examples that a gate learns from: the features of each query, and its measure under each weight.
 * @param search with an encoder that remembers vectors: the texts are embedded more than once
 */
export async function gateExamples(
  search: CorpusSearch,
  topics: Topics,
  options: GateExampleOptions,
): Promise<GateExample[]> {
  const { kind, weights, probe } = options;
  const featureOptions = featureOptionsOf(topics, options);
  const before = await readBefore(search, kind, topics.queries, featureOptions);
  const features = await readAfter(search, kind, topics.queries, { ...featureOptions, before, probe });
  const values = await valuesOfCombinations(search, topics, weights.map(combinationOfWeight), options);
  return topics.queries.map(({ id }) => {
    return {
      ...{ collection: topics.dataset, query: id, features: features.get(id)! },
      values: values.map((one) => one.get(id) ?? 0),
    };
  });
}

/** How the hits of a query itself are treated where features are computed. */
export function featureOptionsOf(
  { qrels }: Topics,
  { keepSelf, signal }: Pick<GateExampleOptions, 'keepSelf' | 'signal'>,
): FeatureOptions {
  return { dropSelf: !keepSelf, keepSelfOf: relevantSelves(qrels), signal };
}

/** A weight of 0 means that a query is not expanded at all, in a lexical search too. */
export function combinationOfWeight(weight: number): TriedCombination {
  return weight === 0 ? { alpha: 0, texts: 0 } : { alpha: weight };
}
