import type { Random } from '../../system/index.ts';
import type { Sampling } from '../generator.ts';

/** The most likely tokens, best first, with their scores: logit divided by the temperature. */
export interface ScoredTokens {
  tokens: number[]; // [count]
  scores: number[]; // [count], descending
}

/** The LLM's prediction of the next token of one sequence. */
export interface TokenScores {
  readonly vocabularySize: number;
  /** Returns the token with the largest logit. */
  best(): Promise<number>;
  /** Returns the `count` most likely tokens. */
  top(count: number, temperature: number): Promise<ScoredTokens>;
  /** Returns Σ exp(score - best score) over the complete vocabulary: the normaliser of the candidates' weights. */
  totalWeight(temperature: number): Promise<number>;
  /** Returns the natural logarithm of a token's probability, at temperature 1 and over the complete vocabulary. */
  logProbability(token: number): Promise<number>;
}

/** Number of candidates read first. At a usual temperature an LLM's nucleus nearly always fits. */
const FIRST_CANDIDATES = 128;

/**
 * Draws the next token in the order of Hugging Face and vLLM, with which the published results were produced: the logits are
 * divided by the temperature, then top-k is applied, then the nucleus (Holtzman et al. 2020, section 3.1) of what is left, then the
 * draw. llama.cpp's own chain divides by the temperature last, which gives another distribution at any temperature other than 1.
 *
 * Only the head of the vocabulary is read, sorted, and more of it if the head does not hold the complete nucleus. The normaliser
 * covers the complete vocabulary, so the result is exact.
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
 * Draws from the nucleus of the candidates by inverting their cumulative weight.
 *
 * @param total the weight of all allowed tokens, in units of the best candidate's weight; larger than the candidates' own sum if
 * they are only the head of the vocabulary
 * @param uniform a random number in [0, 1)
 * @returns undefined if the candidates are too few to decide
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
 * Returns the weight of the nucleus: the smallest set of most likely tokens whose probability reaches `topP`; at least one token.
 * Undefined if the scores (descending) are too few.
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

/** Yields exp(score - best score) with its index. */
function* weights(scores: readonly number[]): Generator<[index: number, weight: number]> {
  const best = scores[0] ?? 0;
  for (let index = 0; index < scores.length; index++) yield [index, Math.exp(scores[index]! - best)];
}

/** The result if rounding puts the draw beyond the last candidate. */
function lastOf({ tokens }: ScoredTokens): number {
  return tokens[tokens.length - 1]!;
}
