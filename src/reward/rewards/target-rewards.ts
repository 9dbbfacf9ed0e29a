import { type CandidateSet, perCandidate } from './candidate-set.ts';
import type { Reward } from './reward.ts';

/** What a candidate is compared with. */
export type Target = 'gold' | 'answer';

/** A reward by how similar the candidates of a query are to one target; named after both, such as `rank-gold`. */
export abstract class TargetReward implements Reward {
  readonly name: string;
  abstract readonly fingerprint: string;
  readonly needsAnswer: boolean;
  readonly #target: Target;

  constructor(kind: string, target: Target) {
    this.name = `${kind}-${target}`;
    this.needsAnswer = target === 'answer';
    this.#target = target;
  }

  /** None where there is no such target. */
  async score(item: CandidateSet): Promise<Float32Array> {
    const similarities = item.similarities[this.#target];
    return similarities === undefined ? new Float32Array(0) : perCandidate(this.values(similarities), item);
  }

  /** What each distinct text earns, by its cosine // [distinct texts] both */
  protected abstract values(similarities: ArrayLike<number>): ArrayLike<number>;
}
