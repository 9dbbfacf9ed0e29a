import { UsageError } from '../system/index.ts';
import { studentTwoSided } from './student-t.ts';

/** The effect that was measured in one study: here, the mean change on one data set. */
export interface StudyEffect {
  effect: number;
  /** Squared standard error of the effect. */
  variance: number;
}

/** What several studies say together, if their true effects differ. */
export interface MetaAnalysis {
  studies: number;
  /** Weighted mean of the studies' effects. */
  effect: number;
  /** Standard error of the effect (Hartung and Knapp, at least that of the sampling). */
  standardError: number;
  /** 95 % confidence interval of the mean effect. */
  interval: { low: number; high: number };
  /** Two-sided p of the mean effect, by Student's t with studies - 1 degrees of freedom. */
  p: number;
  /** Variance of the true effects between studies (DerSimonian and Laird). */
  tauSquared: number;
  /** Cochran's Q, the weighted spread of the effects. */
  q: number;
  /** Share of the spread that sampling does not explain, from 0 to 1. */
  iSquared: number;
  /** Where the effect of another study of the same kind lies, with a probability of 95 %; undefined below three studies. */
  prediction: { low: number; high: number } | undefined;
}

/**
 * Combines the effects of several studies by a random-effects model: each study has a true effect of its own, and the mean of
 * these is estimated. The variance between studies is DerSimonian and Laird's (1986); the interval of the mean is Hartung and
 * Knapp's (2001), which stays honest with few studies (IntHout et al. 2014). Their factor is at least 1,
 * as Röver, Knapp and Friede (2015) modify it: effects that agree by chance give no certainty. Soboroff (CIKM 2018) argues for such an
 * analysis over test collections.
 * The prediction interval is that of Higgins, Thompson and Spiegelhalter (2009).
 *
 * @returns undefined for fewer than two studies
 * @throws UsageError if a value is not finite, or a variance is not positive
 */
export function combineEffects(studies: readonly StudyEffect[]): MetaAnalysis | undefined {
  for (const { effect, variance } of studies) {
    if (Number.isFinite(effect) && Number.isFinite(variance) && variance > 0) continue;
    throw new UsageError(`an effect of ${effect} with variance ${variance} cannot be combined with others`, {
      fix: 'Leave out studies whose values are all equal.',
    });
  }
  if (studies.length < 2) return undefined;
  const df = studies.length - 1;
  const fixed = weigh(studies, 0);
  const spread = fixed.total - sumOf(fixed.weights, (weight) => weight * weight) / fixed.total;
  const tauSquared = Math.max(0, (fixed.q - df) / spread);
  const random = weigh(studies, tauSquared);
  // Below 1, the factor would make the interval narrower than sampling alone allows; equal effects would have none.
  const standardError = Math.sqrt(Math.max(1, random.q / df) / random.total);
  const t = quantileOfStudent(0.975, df);
  return {
    ...{ studies: studies.length, effect: random.mean, standardError },
    interval: around(random.mean, t * standardError),
    p: studentTwoSided(random.mean / standardError, df),
    ...{ tauSquared, q: fixed.q, iSquared: fixed.q === 0 ? 0 : Math.max(0, 1 - df / fixed.q) },
    prediction:
      studies.length < 3
        ? undefined
        : around(random.mean, quantileOfStudent(0.975, df - 1) * Math.sqrt(tauSquared + 1 / random.total)),
  };
}

/** Weights the studies by their precision, given the variance between them. */
function weigh(studies: readonly StudyEffect[], tauSquared: number) {
  const weights = studies.map(({ variance }) => 1 / (variance + tauSquared));
  const total = sumOf(weights, (weight) => weight);
  const mean = sumOf(weights, (weight, at) => weight * studies[at]!.effect) / total;
  const q = sumOf(weights, (weight, at) => weight * (studies[at]!.effect - mean) ** 2);
  return { weights, total, mean, q };
}

function around(middle: number, half: number): { low: number; high: number } {
  return { low: middle - half, high: middle + half };
}

function sumOf(values: readonly number[], term: (value: number, at: number) => number): number {
  return values.reduce((sum, value, at) => sum + term(value, at), 0);
}

/** Quantile of Student's t, above its middle, by bisection of its two-sided p. */
function quantileOfStudent(share: number, df: number): number {
  const p = 2 * (1 - share);
  let [low, high] = [0, 1];
  while (studentTwoSided(high, df) > p) high *= 2;
  for (let step = 0; step < 100 && high - low > 1e-14 * high; step++) {
    const middle = (low + high) / 2;
    if (studentTwoSided(middle, df) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
