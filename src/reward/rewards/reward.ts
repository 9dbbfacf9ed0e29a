import { DataError, UsageError } from '../../system/index.ts';
import type { CandidateSet } from './candidate-set.ts';

/** Something that says how good the candidates of a query are. */
export interface Reward {
  /** Names the reward in files and reports. */
  readonly name: string;
  /** Content key of all that decides the numbers besides the candidate set: an index, a module's source. */
  readonly fingerprint: string;
  /** Whether it reads the answer; a query without one is then left out. */
  readonly needsAnswer: boolean;
  /** One number a candidate, larger is better // [candidates] */
  score(item: CandidateSet, signal?: AbortSignal): Promise<Float32Array>;
  /** The same for many queries, for a reward that is quicker that way; without it they are scored one after another. */
  scoreAll?(items: readonly CandidateSet[], signal?: AbortSignal): Promise<Float32Array[]>;
}

/** A reward and its share in the total. */
export interface WeightedReward {
  reward: Reward;
  weight: number;
}

/** What the candidates of one query earned. */
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
 * @throws DataError when a reward gives another number of values than there are candidates, or one that is not finite
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
      `reward ${reward.name} gave ${values?.length ?? 'no'} values for ${candidates.length} candidates`,
      { id: query.id, fix: 'A reward gives one number a candidate, in the order of the candidates.' },
    );
  }
  const broken = values.findIndex((value) => !Number.isFinite(value));
  if (broken < 0) return values;
  throw new DataError(`reward ${reward.name} gave ${values[broken]} for candidate ${candidates[broken]!.candidateId}`, {
    id: query.id,
    fix: 'A reward is a finite number; 0 is one.',
  });
}

/** @throws UsageError for an empty mixture, a name given twice, a weight that is not a number */
export function checkMixture(mixture: readonly WeightedReward[]): void {
  const fix = 'Give each reward once, as NAME or NAME=WEIGHT.';
  if (mixture.length === 0) throw new UsageError('no reward is given', { fix });
  const names = mixture.map(({ reward }) => reward.name);
  const doubled = names.find((name, at) => names.indexOf(name) !== at);
  if (doubled !== undefined) throw new UsageError(`reward ${doubled} is given twice`, { fix });
  for (const { reward, weight } of mixture) {
    if (Number.isFinite(weight)) continue;
    throw new UsageError(`the weight of reward ${reward.name} is ${weight}`, { fix });
  }
}
