import { DataError, UsageError } from '../../system/index.ts';
import type { CandidateSet } from './candidate-set.ts';

/** Scores the candidates of a query. */
export interface Reward {
  /** Names the reward in files and reports. */
  readonly name: string;
  /**
   * Content key of everything that determines the values in addition to the candidate set: an index, a module's source.
   */
  readonly fingerprint: string;
  /** Whether it reads the answer; queries without one are then skipped. */
  readonly needsAnswer: boolean;
  /** Returns one number per candidate; larger is better // [candidates] */
  score(item: CandidateSet, signal?: AbortSignal): Promise<Float32Array>;
  /**
   * The same for many queries, for rewards that are faster in batches. Without it, queries are scored one after
   * another.
   */
  scoreAll?(items: readonly CandidateSet[], signal?: AbortSignal): Promise<Float32Array[]>;
}

/** A reward and its weight in the total. */
export interface WeightedReward {
  reward: Reward;
  weight: number;
}

/** The scores of the candidates of one query. */
export interface ScoredSet {
  /** By the reward's name // [candidates] each */
  rewards: Map<string, Float32Array>;
  /** The weighted sum // [candidates] */
  total: Float64Array;
}

/**
 * Scores candidate sets by a mixture: total = sum of weight times reward. The published reward is the mixture of
 * `rank-gold` and `rank-answer`, each with weight 1.
 *
 * @throws DataError if a reward does not return one finite value per candidate
 */
export async function scoreMixture(
  mixture: readonly WeightedReward[],
  items: readonly CandidateSet[],
  signal?: AbortSignal,
): Promise<ScoredSet[]> {
  const scored = items.map(({ candidates }) => ({
    rewards: new Map<string, Float32Array>(),
    total: new Float64Array(candidates.length),
  }));
  for (const { reward, weight } of mixture) {
    const all = await scoreEach(reward, items, signal);
    for (const [row, item] of items.entries()) {
      const values = checkedScores(reward, item, all[row]);
      scored[row]!.rewards.set(reward.name, values);
      for (const [at, value] of values.entries()) scored[row]!.total[at]! += weight * value;
    }
  }
  return scored;
}

async function scoreEach(
  reward: Reward,
  items: readonly CandidateSet[],
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  if (reward.scoreAll !== undefined) return reward.scoreAll(items, signal);
  const all: Float32Array[] = [];
  for (const item of items) all.push(await reward.score(item, signal));
  return all;
}

function checkedScores(reward: Reward, { query, candidates }: CandidateSet, values: Float32Array | undefined) {
  if (values?.length !== candidates.length) {
    throw new DataError(
      `reward ${reward.name} returned ${values?.length ?? 'no'} values for ${candidates.length} candidates`,
      { id: query.id, fix: 'Return one number per candidate, in the order of the candidates.' },
    );
  }
  const broken = values.findIndex((value) => !Number.isFinite(value));
  if (broken < 0) return values;
  throw new DataError(
    `reward ${reward.name} returned ${values[broken]} for candidate ${candidates[broken]!.candidateId}`,
    {
      id: query.id,
      fix: 'Return a finite number for every candidate; 0 is allowed.',
    },
  );
}

/** @throws UsageError if the mixture is empty, a name occurs twice, or a weight is not a number */
export function checkMixture(mixture: readonly WeightedReward[]): void {
  const fix = 'Pass each reward once, as NAME or NAME=WEIGHT.';
  if (mixture.length === 0) throw new UsageError('no reward is given', { fix });
  const names = mixture.map(({ reward }) => reward.name);
  const doubled = names.find((name, at) => names.indexOf(name) !== at);
  if (doubled !== undefined) throw new UsageError(`reward ${doubled} is given twice`, { fix });
  for (const { reward, weight } of mixture) {
    if (Number.isFinite(weight)) continue;
    throw new UsageError(`the weight of reward ${reward.name} is ${weight}`, { fix });
  }
}
