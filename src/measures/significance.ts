import { DEFAULT_SEED, Random, UsageError } from '../system/index.ts';
import { studentTwoSided } from './student-t.ts';

/** A paired t-test. */
export interface TTest {
  /** Mean of values - baseline. */
  meanDifference: number;
  t: number;
  /** Degrees of freedom: pairs - 1. */
  df: number;
  /** Two-sided. */
  p: number;
}

/**
 * Student's paired t-test, two-sided, of whether the mean of `values - baseline` is 0. With one pair, or if all
 * differences are 0, there is no evidence: t is 0, p is 1. If all differences are equal and not 0, t is infinite, p is 0.
 * @param values one value per query // [queries]
 * @param baseline the values of the same queries in the same order // [queries]
 * @throws UsageError when there are no pairs, the lengths differ or a value is not finite
 */
export function pairedTTest(values: ArrayLike<number>, baseline: ArrayLike<number>): TTest {
  const differences = pairDifferences(values, baseline);
  const count = differences.length;
  const meanDifference = sumOf(differences) / count;
  const df = count - 1;
  let squares = 0;
  for (const difference of differences) squares += (difference - meanDifference) ** 2;
  const none = df === 0 || meanDifference === 0;
  const t = none ? 0 : meanDifference / Math.sqrt(squares / df / count);
  return { meanDifference, t, df, p: none ? 1 : studentTwoSided(t, df) };
}

/** Rounding error of means over seeds. Differences this small count as 0; a test of signs would count them as changes. */
const ROUNDING = 1e-12;

/**
 * `values - baseline`, query by query, 0 where they differ by rounding alone // [queries]
 * @throws UsageError when there are no pairs, the lengths differ or a value is not finite
 */
export function pairDifferences(values: ArrayLike<number>, baseline: ArrayLike<number>): Float64Array {
  if (baseline.length !== values.length) {
    throw new UsageError(`cannot pair ${values.length} values with ${baseline.length}`, {
      fix: 'Pass one value per query on both sides.',
    });
  }
  return checkDifferences(
    Float64Array.from(values, (value, pair) => {
      const difference = value - baseline[pair]!;
      return Math.abs(difference) <= ROUNDING ? 0 : difference;
    }),
  );
}

export interface ResamplingOptions {
  /** Number of samples; 10,000 by default. */
  samples?: number | undefined;
  /** Equal seeds give equal results; 42 by default. */
  seed?: number | undefined;
}

/** A paired randomisation test. */
export interface RandomizationTest {
  meanDifference: number;
  /** Two-sided. */
  p: number;
  /** Whether every pattern of signs was tried, and not a random sample of them. */
  exact: boolean;
  /** How many patterns of signs were tried. */
  samples: number;
}

/**
 * Fisher's paired randomisation test, two-sided: how often the mean difference is at least as far from 0 when each
 * query's two values are swapped at random, which reverses the sign of its difference. Up to 12 queries with a difference are enumerated; for more, `samples`
 * patterns are drawn and p is (1 + hits) / (1 + samples), which is never 0 (Phipson and Smyth 2010).
 * With all differences 0, or a single pair, p is 1.
 * @param differences see {@link pairDifferences} // [queries]
 * @throws UsageError when there are none or one is not finite
 */
export function randomizationTest(differences: ArrayLike<number>, options: ResamplingOptions = {}): RandomizationTest {
  const checked = checkDifferences(differences);
  const meanDifference = sumOf(checked) / checked.length;
  const moving = checked.filter((difference) => difference !== 0); // the sign of a 0 changes nothing
  const exact = moving.length <= 12;
  const samples = exact ? 2 ** moving.length : checkSamples(options.samples);
  const hits = exact
    ? countAllSigns(moving)
    : countDrawnSigns(moving, samples, new Random(options.seed ?? DEFAULT_SEED));
  return { meanDifference, p: exact ? hits / samples : (1 + hits) / (1 + samples), exact, samples };
}

/** Sums that differ only by rounding count as equal. */
function threshold(differences: Float64Array): number {
  let size = 0;
  for (const difference of differences) size += Math.abs(difference);
  return Math.abs(sumOf(differences)) - 1e-12 * size;
}

function countAllSigns(differences: Float64Array): number {
  const least = threshold(differences);
  let hits = 0;
  for (let pattern = 0; pattern < 2 ** differences.length; pattern++) {
    let sum = 0;
    for (let place = 0; place < differences.length; place++) {
      sum += (pattern >> place) & 1 ? -differences[place]! : differences[place]!;
    }
    if (Math.abs(sum) >= least) hits++;
  }
  return hits;
}

function countDrawnSigns(differences: Float64Array, samples: number, random: Random): number {
  const least = threshold(differences);
  const total = sumOf(differences);
  let hits = 0;
  for (let sample = 0; sample < samples; sample++) {
    let turned = 0;
    let bits = 0;
    for (let place = 0; place < differences.length; place++) {
      if ((place & 31) === 0) bits = random.bits();
      turned += (bits & 1) * differences[place]!;
      bits >>>= 1;
    }
    if (Math.abs(total - 2 * turned) >= least) hits++;
  }
  return hits;
}

/** A percentile bootstrap interval of the mean difference. */
export interface BootstrapInterval {
  low: number;
  high: number;
  confidence: number;
  samples: number;
}

/**
 * Percentile bootstrap interval of the mean difference: queries are drawn with replacement. One pair, or equal
 * differences, give an interval of width 0.
 * @param differences see {@link pairDifferences} // [queries]
 * @throws UsageError when there are none or one is not finite
 * @param options `confidence` is .95 by default
 */
export function bootstrapInterval(
  differences: ArrayLike<number>,
  options: ResamplingOptions & { confidence?: number | undefined } = {},
): BootstrapInterval {
  const { confidence = 0.95, seed = DEFAULT_SEED } = options;
  if (!(confidence > 0 && confidence < 1)) {
    throw new UsageError(`the confidence is ${confidence}`, { fix: 'Pass a number between 0 and 1, such as 0.95.' });
  }
  const drawn = checkDifferences(differences);
  const random = new Random(seed);
  const means = new Float64Array(checkSamples(options.samples));
  for (let sample = 0; sample < means.length; sample++) {
    let sum = 0;
    for (let draw = 0; draw < drawn.length; draw++) sum += drawn[random.below(drawn.length)]!;
    means[sample] = sum / drawn.length;
  }
  means.sort();
  const tail = (1 - confidence) / 2;
  return { low: quantile(means, tail), high: quantile(means, 1 - tail), confidence, samples: means.length };
}

/** The quantile of sorted values, interpolated between neighbours (Hyndman and Fan's type 7, NumPy's default). */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place - Math.floor(place));
}

/**
 * Holm's step-down correction for several tests: adjusted p values in the given order, each at most 1. Comparing them
 * with a level keeps the probability of any false positive below it (Holm 1979).
 */
export function holmCorrection(p: readonly number[]): number[] {
  const ascending = p.map((_value, place) => place).sort((a, b) => p[a]! - p[b]!);
  const adjusted = new Array<number>(p.length);
  let running = 0;
  ascending.forEach((place, step) => {
    running = Math.max(running, Math.min(1, p[place]! * (p.length - step)));
    adjusted[place] = running;
  });
  return adjusted;
}

/** Numbers of queries that changed, by direction. */
export interface EffectCounts {
  helped: number;
  hurt: number;
  unchanged: number;
}

/**
 * Counts the queries whose value rose, fell, or moved by no more than `tolerance` (1e-9 by default: rounding).
 * @param differences see {@link pairDifferences} // [queries]
 * @throws UsageError when there are none or one is not finite
 */
export function countEffects(differences: ArrayLike<number>, tolerance = 1e-9): EffectCounts {
  const counts = { helped: 0, hurt: 0, unchanged: 0 };
  for (const difference of checkDifferences(differences)) {
    if (Math.abs(difference) <= tolerance) counts.unchanged++;
    else if (difference > 0) counts.helped++;
    else counts.hurt++;
  }
  return counts;
}

function checkDifferences(differences: ArrayLike<number>): Float64Array {
  if (differences.length === 0) {
    throw new UsageError('there is nothing to compare', { fix: 'Pass the differences of at least one query.' });
  }
  const checked = Float64Array.from(differences);
  const odd = checked.findIndex((difference) => !Number.isFinite(difference));
  if (odd < 0) return checked;
  throw new UsageError(`pair ${odd} holds a value that is not finite`, { fix: 'Remove such queries.' });
}

function checkSamples(samples = 10_000): number {
  if (Number.isSafeInteger(samples) && samples >= 1) return samples;
  throw new UsageError(`the number of samples is ${samples}`, { fix: 'Pass an integer of at least 1.' });
}

function sumOf(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
