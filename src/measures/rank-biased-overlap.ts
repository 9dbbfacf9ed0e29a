import { UsageError } from '../system/index.ts';

/**
 * Rank-biased overlap of two rankings, extrapolated from their first `depth` places (Webber, Moffat and Zobel 2010, equation 23):
 * from 0, nothing in common, to 1, the same documents in the same order. The first places count most.
 * @param a ids, best first, each once
 * @param b ids, best first, each once
 * @param options.p persistence: the weight of place d falls as p^d; 0.9 by default, which gives the first ten places 86 % of the weight
 * @param options.depth places to compare; 100 by default, at most as many as the shorter ranking has
 * @returns 1 for two empty rankings, 0 if only one is empty
 * @throws UsageError unless p is between 0 and 1
 */
export function rankBiasedOverlap(
  a: readonly string[],
  b: readonly string[],
  { p = 0.9, depth = 100 }: { p?: number; depth?: number } = {},
): number {
  if (!(p > 0 && p < 1)) throw new UsageError(`p is ${p}`, { fix: 'Pass a number between 0 and 1, such as 0.9.' });
  const places = Math.min(depth, a.length, b.length);
  if (places === 0) return a.length === b.length ? 1 : 0;
  const [seenA, seenB] = [new Set<string>(), new Set<string>()];
  let [common, sum, weight] = [0, 0, 1];
  for (let place = 0; place < places; place++) {
    const [one, other] = [a[place]!, b[place]!];
    if (one === other) common++;
    else common += Number(seenB.has(one)) + Number(seenA.has(other));
    seenA.add(one);
    seenB.add(other);
    weight *= p;
    sum += (common / (place + 1)) * weight;
  }
  return ((1 - p) / p) * sum + (common / places) * weight;
}
