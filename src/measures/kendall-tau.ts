/**
 * Computes Kendall's tau-b of two rankings of the same items: 1 if they agree on every pair of items, -1 if they disagree
 * on every pair, corrected for ties (Kendall 1945).
 *
 * @returns undefined if one of the rankings ties all items, because tau is then not defined
 */
export function kendallTau(a: ArrayLike<number>, b: ArrayLike<number>): number | undefined {
  let agreement = 0;
  let distinctA = 0;
  let distinctB = 0;
  for (let i = 0; i < a.length; i++) {
    for (let j = i + 1; j < a.length; j++) {
      const inA = Math.sign(a[i]! - a[j]!);
      const inB = Math.sign(b[i]! - b[j]!);
      agreement += inA * inB;
      distinctA += Math.abs(inA);
      distinctB += Math.abs(inB);
    }
  }
  return distinctA === 0 || distinctB === 0 ? undefined : agreement / Math.sqrt(distinctA * distinctB);
}
