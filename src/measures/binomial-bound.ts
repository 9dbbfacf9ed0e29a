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
  const isCount = Number.isSafeInteger(count) && Number.isSafeInteger(total) && count >= 0 && count <= total;
  if (!isCount || !(confidence > 0 && confidence < 1)) {
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
