/** A rising function, linear between its points and constant outside them. */
export interface IsotonicCurve {
  /** Ascending, each once // [points] */
  x: number[];
  /** Ascending // [points] */
  y: number[];
}

/**
 * Fits the rising function with the least weighted squared error, by pooling adjacent violators (Barlow et al. 1972). Calibrates scores
 * to probabilities (Zadrozny and Elkan 2002); equal to scikit-learn's IsotonicRegression.
 * @param x // [examples]
 * @param y // [examples]
 * @param weights examples of weight 0 are ignored // [examples]
 */
export function fitIsotonic(x: readonly number[], y: readonly number[], weights: readonly number[]): IsotonicCurve {
  const blocks: Block[] = [];
  for (const point of mergeEqual(x, y, weights)) {
    blocks.push(point);
    while (blocks.length > 1 && meanOf(blocks.at(-2)!) >= meanOf(blocks.at(-1)!)) {
      const last = blocks.pop()!;
      const before = blocks.at(-1)!;
      blocks[blocks.length - 1] = {
        ...{ from: before.from, to: last.to },
        ...{ weight: before.weight + last.weight, sum: before.sum + last.sum },
      };
    }
  }
  const points = blocks.flatMap((block) => {
    const ends = block.from === block.to ? [block.from] : [block.from, block.to];
    return ends.map((end) => ({ x: end, y: meanOf(block) }));
  });
  return { x: points.map((point) => point.x), y: points.map((point) => point.y) };
}

/** Examples that share one value. */
interface Block {
  from: number;
  to: number;
  weight: number;
  sum: number;
}

function meanOf({ sum, weight }: Block): number {
  return sum / weight;
}

/** One block for each x, ascending. */
function mergeEqual(x: readonly number[], y: readonly number[], weights: readonly number[]): Block[] {
  const order = x.map((_value, at) => at).filter((at) => weights[at]! > 0);
  order.sort((a, b) => x[a]! - x[b]!);
  const blocks: Block[] = [];
  for (const at of order) {
    const [value, weight] = [x[at]!, weights[at]!];
    const last = blocks.at(-1);
    if (last?.to === value) {
      last.weight += weight;
      last.sum += weight * y[at]!;
    } else blocks.push({ from: value, to: value, weight, sum: weight * y[at]! });
  }
  return blocks;
}

/** Returns the value of the curve at x; undefined for a curve without points. */
export function valueAt(curve: IsotonicCurve, x: number): number | undefined {
  const next = curve.x.findIndex((one) => one >= x);
  if (next < 0) return curve.y.at(-1);
  if (next === 0 || curve.x[next] === x) return curve.y[next];
  const [left, right] = [curve.x[next - 1]!, curve.x[next]!];
  const [low, high] = [curve.y[next - 1]!, curve.y[next]!];
  return low + ((high - low) * (x - left)) / (right - left);
}
