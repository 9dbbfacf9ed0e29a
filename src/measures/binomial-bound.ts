import { UsageError } from '../system/index.ts';
import { regularisedBeta } from './beta-function.ts';

/** Bisections of [0, 1]: more than a double can tell apart. */
const STEPS = 60;

/**
 * Upper confidence bound of a share, from `count` hits among `total` independent draws (Clopper and Pearson 1934, one-sided): the
 * share at which so few hits, or fewer, would have the probability 1 - confidence. It holds for any true share, however few draws
 * there are. Without draws it is 1.
 * @param confidence 0.95 by default
 * @throws UsageError unless 0 <= count <= total are whole numbers, and the confidence is between 0 and 1
 */
export function shareUpperBound(count: number, total: number, confidence = 0.95): number {
  if (!isCountOf(count, total) || !(confidence > 0 && confidence < 1)) {
    throw new UsageError(`no bound for ${count} of ${total} with confidence ${confidence}`, {
      fix: 'Pass whole numbers, the first at most the second, and a confidence between 0 and 1.',
    });
  }
  if (count === total) return 1;
  // P(X <= count) under the share p is 1 - I_p(count + 1, total - count), which falls as p rises.
  let [low, high] = [0, 1];
  for (let step = 0; step < STEPS; step++) {
    const middle = (low + high) / 2;
    if (regularisedBeta(middle, 1 - middle, count + 1, total - count) < confidence) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * The exact p of the hypothesis that a share is `share` or more, from `count` hits among `total` independent draws: the probability of so
 * few hits, or fewer, under that share (binomial test, one-sided). Without draws it is 1.
 * @throws UsageError unless 0 <= count <= total are whole numbers, and the share is between 0 and 1
 */
export function shareTest(count: number, total: number, share: number): number {
  if (!isCountOf(count, total) || !(share > 0 && share < 1)) {
    throw new UsageError(`no test of a share of ${share} with ${count} of ${total}`, {
      fix: 'Pass whole numbers, the first at most the second, and a share between 0 and 1.',
    });
  }
  return count === total ? 1 : 1 - regularisedBeta(share, 1 - share, count + 1, total - count);
}

function isCountOf(count: number, total: number): boolean {
  return Number.isSafeInteger(count) && Number.isSafeInteger(total) && count >= 0 && count <= total;
}
