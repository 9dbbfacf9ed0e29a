import { describe, expect, it } from 'vitest';
import { Random } from '../../system/index.ts';
import type { Sampling } from '../generator.ts';
import { drawToken, nucleusWeight, sampleToken, type TokenScores } from './sampler.ts';

/** A vocabulary with given logits, read in the same way as the embedded runtime's. */
class ToyScores implements TokenScores {
  readonly #logits: number[];
  fetched = 0;

  constructor(logits: number[]) {
    this.#logits = logits;
  }

  get vocabularySize() {
    return this.#logits.length;
  }

  async best() {
    return this.#sorted()[0]!.token;
  }

  async top(count: number, temperature: number) {
    const kept = this.#sorted().slice(0, count);
    this.fetched = Math.max(this.fetched, kept.length);
    return { tokens: kept.map(({ token }) => token), scores: kept.map(({ logit }) => logit / temperature) };
  }

  async totalWeight(temperature: number) {
    const best = Math.max(...this.#logits);
    return this.#logits.reduce((sum, logit) => sum + Math.exp((logit - best) / temperature), 0);
  }

  async logProbability(token: number) {
    const total = this.#logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return this.#logits[token]! - Math.log(total);
  }

  #sorted() {
    return this.#logits.map((logit, token) => ({ token, logit })).sort((a, b) => b.logit - a.logit);
  }
}

/** The probabilities of the nucleus, computed without shortcuts. With `temperatureFirst` false, in llama.cpp's order. */
function analyticNucleus(
  logits: number[],
  { temperature, topP }: Sampling,
  temperatureFirst = true,
): Map<number, number> {
  const softmax = (values: [number, number][]) => {
    const total = values.reduce((sum, [, value]) => sum + Math.exp(value), 0);
    return values.map(([token, value]): [number, number] => [token, Math.exp(value) / total]);
  };
  const entries = logits.map((logit, token): [number, number] => [
    token,
    temperatureFirst ? logit / temperature : logit,
  ]);
  const sorted = softmax(entries).sort((a, b) => b[1] - a[1]);
  let mass = 0;
  const kept: [number, number][] = [];
  for (const entry of sorted) {
    kept.push([entry[0], logits[entry[0]]! / temperature]);
    mass += entry[1];
    if (mass >= topP) break;
  }
  return new Map(softmax(kept));
}

async function countDraws(logits: number[], sampling: Sampling, draws: number): Promise<Map<number, number>> {
  const random = new Random(7);
  const scores = new ToyScores(logits);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < draws; draw++) {
    const token = await sampleToken(scores, sampling, random);
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  return counts;
}

/** Pearson's statistic; infinite if a token outside the support was drawn. */
function chiSquare(counts: Map<number, number>, expected: Map<number, number>, draws: number): number {
  for (const token of counts.keys()) if (!expected.has(token)) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (const [token, probability] of expected) {
    sum += ((counts.get(token) ?? 0) - draws * probability) ** 2 / (draws * probability);
  }
  return sum;
}

const LOGITS = [2.1, 1.7, 1.5, 0.9, 0.4, 0.1, -0.3, -0.8, -1.5, -2.5];
const DRAWS = 20_000;

describe('sampleToken', () => {
  it.each([
    { temperature: 1, topP: 0.9, topK: 0 },
    { temperature: 0.8, topP: 0.9, topK: 0 },
    { temperature: 1.1, topP: 0.9, topK: 0 },
    { temperature: 1, topP: 1, topK: 0 },
    { temperature: 1.5, topP: 0.5, topK: 0 },
  ])('draws from the analytic nucleus at %o', async (settings) => {
    const sampling = { ...settings, maxTokens: 1 };
    const expected = analyticNucleus(LOGITS, sampling);
    const statistic = chiSquare(await countDraws(LOGITS, sampling, DRAWS), expected, DRAWS);
    // The 0.9999 quantile of chi-square with up to 9 degrees of freedom.
    expect(statistic).toBeLessThan(33.7);
  });

  it('divides by the temperature first: the test rejects the other order', async () => {
    const sampling = { temperature: 1.5, topP: 0.8, topK: 0, maxTokens: 1 };
    const first = analyticNucleus(LOGITS, sampling);
    const last = analyticNucleus(LOGITS, sampling, false);
    expect(first.size).not.toBe(last.size);
    const counts = await countDraws(LOGITS, sampling, DRAWS);
    expect(chiSquare(counts, first, DRAWS)).toBeLessThan(33.7);
    expect(chiSquare(counts, last, DRAWS)).toBeGreaterThan(1000);
  });

  it('takes the nucleus of the tokens that top-k keeps', async () => {
    const sampling = { temperature: 1, topP: 0.9, topK: 3, maxTokens: 1 };
    const counts = await countDraws(LOGITS, sampling, DRAWS);
    const expected = analyticNucleus(LOGITS.slice(0, 3), sampling);
    expect(chiSquare(counts, expected, DRAWS)).toBeLessThan(33.7);
  });

  it('reads more of the vocabulary if the nucleus is wider than its head', async () => {
    const flat = Array.from({ length: 3000 }, (_, token) => (token % 7) * 0.001);
    const scores = new ToyScores(flat);
    const random = new Random(3);
    const seen = new Set<number>();
    for (let draw = 0; draw < 300; draw++) {
      seen.add(await sampleToken(scores, { temperature: 1, topP: 0.9, topK: 0, maxTokens: 1 }, random));
    }
    expect(scores.fetched).toBe(3000);
    expect(seen.size).toBeGreaterThan(200);
  });

  it('takes the most likely token at temperature 0 and draws nothing', async () => {
    const random = new Random(1);
    const token = await sampleToken(
      new ToyScores([0, 3, 1]),
      { temperature: 0, topP: 0.5, topK: 2, maxTokens: 1 },
      random,
    );
    expect(token).toBe(1);
    expect(random.bits()).toBe(new Random(1).bits());
  });

  it('repeats its draws for the same seed', async () => {
    const sampling = { temperature: 1, topP: 0.95, topK: 0, maxTokens: 1 };
    expect(await countDraws(LOGITS, sampling, 50)).toEqual(await countDraws(LOGITS, sampling, 50));
  });
});

describe('drawToken', () => {
  const candidates = { tokens: [10, 20, 30], scores: [Math.log(0.5), Math.log(0.3), Math.log(0.2)] };

  it('keeps the token with which the nucleus reaches topP, and none after it', () => {
    expect(nucleusWeight(candidates.scores, 2, 0.5)).toBeCloseTo(1);
    expect(nucleusWeight(candidates.scores, 2, 0.51)).toBeCloseTo(1.6);
    expect(drawToken(candidates, 2, 0.51, 0.999)).toBe(20);
    expect(drawToken(candidates, 2, 1e-9, 0.999)).toBe(10);
  });

  it('reports when the candidates are too few to decide', () => {
    expect(drawToken(candidates, 4, 0.9, 0.1)).toBeUndefined();
    expect(drawToken(candidates, 4, 1, 0.9)).toBeUndefined();
    expect(drawToken(candidates, 4, 1, 0.1)).toBe(10);
  });
});
