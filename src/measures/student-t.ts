import { regularisedBeta } from './beta-function.ts';

/**
 * Two-sided p of Student's t: the probability of a value at least this far from 0 with `df` degrees of freedom, as the
 * regularised incomplete beta function I_x(df / 2, 1 / 2) at x = df / (df + t²) (DLMF 8.17).
 */
export function studentTwoSided(t: number, df: number): number {
  if (t === 0) return 1;
  if (!Number.isFinite(t)) return 0;
  const square = t * t;
  return regularisedBeta(df / (df + square), square / (df + square), df / 2, 0.5);
}
