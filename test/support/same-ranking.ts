import { expect } from 'vitest';
import type { ScoredDocument } from '../../src/measures/index.ts';

/** Scores of the same sum, computed in 32 bits in another order, differ by less than this share of them. */
const ROUNDING = 2e-6;

/**
 * Expects a ranking to have the scores of another up to rounding, and its documents up to swaps of those whose scores are the same up to
 * rounding. At the end of a ranking, a document may stand for another with the score of the last.
 */
export function expectSameRanking(
  found: readonly ScoredDocument[],
  wanted: readonly ScoredDocument[],
  what: string,
): void {
  expect(found, what).toHaveLength(wanted.length);
  const isNear = (one: number, other: number) => Math.abs(one - other) <= ROUNDING * (1 + Math.abs(other));
  const last = wanted.at(-1)?.score ?? 0;
  for (const [rank, { id, score }] of found.entries()) {
    const place = `${what}, rank ${rank + 1}: ${id} ${score}, wanted ${wanted[rank]!.id} ${wanted[rank]!.score}`;
    expect(isNear(score, wanted[rank]!.score), place).toBe(true);
    const same = wanted.filter((other) => isNear(other.score, score)).map((other) => other.id);
    expect(same.includes(id) || isNear(score, last), place).toBe(true);
  }
}
