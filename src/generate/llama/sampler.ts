import type { Random } from '../../system/index.ts';
import type { Sampling } from '../generator.ts';

/** The likeliest tokens, best first, with their scores: logit divided by the temperature. */
export interface ScoredTokens {
  tokens: number[]; // [count]
  scores: number[]; // [count], descending
}

/** What the LLM says about the next token of one sequence. */
export interface TokenScores {
  readonly vocabularySize: number;
  /** The token with the largest logit. */
  best(): Promise<number>;
  /** The `count` likeliest tokens. */
  top(count: number, temperature: number): Promise<ScoredTokens>;
  /** Σ exp(score - best score) over the whole vocabulary: what a candidate's weight is divided by. */
  totalWeight(temperature: number): Promise<number>;
}

/** How many candidates are looked at first; the nucleus of an LLM at a usual temperature nearly always fits. */
const FIRST_CANDIDATES = 128;

/**
 * Draws the next token in the order of Hugging Face and vLLM, which the published figures were made with: the logits
 * are divided by the temperature, then top-k, then the nucleus (Holtzman et al. 2020, section 3.1) of what is left, then the draw.
 * llama.cpp's own chain divides by the temperature last, which gives another distribution wherever it is not 1.
 *
 * Only the head of the vocabulary is fetched, sorted, and more of it when the head does not hold the whole nucleus;
 * the normaliser is the whole vocabulary's, so the result is exact.
 */
export async function sampleToken(scores: TokenScores, sampling: Sampling, random: Random): Promise<number> {
  if (sampling.temperature === 0) return scores.best();
  const uniform = random.uniform();
  const { temperature, topP, topK } = sampling;
  if (topK > 0) {
    const candidates = await scores.top(Math.min(topK, scores.vocabularySize), temperature);
    return drawToken(candidates, sumOfWeights(candidates), topP, uniform) ?? lastOf(candidates);
  }
  const total = scores.totalWeight(temperature);
  for (let count = FIRST_CANDIDATES; ; count *= 8) {
    const whole = count >= scores.vocabularySize;
    const [candidates, weight] = await Promise.all([
      scores.top(whole ? scores.vocabularySize : count, temperature),
      total,
    ]);
    const token = drawToken(candidates, weight, topP, uniform);
    if (token !== undefined) return token;
    if (whole) return lastOf(candidates);
  }
}

/**
 * Draws from the nucleus of the candidates, by the inverse of their cumulative weight.
 *
 * @param total the weight of everything that is allowed, in units of the best candidate's; larger than the candidates'
 *   own sum where they are only the head of it
 * @param uniform a random number in [0, 1)
 * @returns undefined when the candidates do not reach far enough to decide
 */
export function drawToken(candidates: ScoredTokens, total: number, topP: number, uniform: number): number | undefined {
  const limit = topP < 1 ? nucleusWeight(candidates.scores, total, topP) : total;
  if (limit === undefined) return undefined;
  const target = uniform * limit;
  let cumulative = 0;
  for (const [index, weight] of weights(candidates.scores)) {
    cumulative += weight;
    if (cumulative > target) return candidates.tokens[index];
  }
  return undefined;
}

/**
 * The weight of the nucleus: of the smallest set of likeliest tokens whose probability reaches `topP`; at least one
 * token. Undefined when the scores (descending) do not reach so far.
 */
export function nucleusWeight(scores: readonly number[], total: number, topP: number): number | undefined {
  let cumulative = 0;
  for (const [, weight] of weights(scores)) {
    cumulative += weight;
    if (cumulative >= topP * total) return cumulative;
  }
  return undefined;
}

function sumOfWeights({ scores }: ScoredTokens): number {
  let sum = 0;
  for (const [, weight] of weights(scores)) sum += weight;
  return sum;
}

/** exp(score - best score), with its index. */
function* weights(scores: readonly number[]): Generator<[index: number, weight: number]> {
  const best = scores[0] ?? 0;
  for (let index = 0; index < scores.length; index++) yield [index, Math.exp(scores[index]! - best)];
}

/** Where rounding leaves the draw beyond the last candidate. */
function lastOf({ tokens }: ScoredTokens): number {
  return tokens[tokens.length - 1]!;
}
