import { z } from 'zod';
import { Random } from '../system/index.ts';
import { FEATURE_NAMES, FEATURES, type Feature, type Features } from './features.ts';
import { fitIsotonic, valueAt } from './isotonic-regression.ts';
import { fitLogistic, type LogisticModel, logLoss, logOdds, probabilityOf } from './logistic-regression.ts';

const number = z.number();
const featureName = z.enum(FEATURE_NAMES as [Feature, ...Feature[]]);

/** Points of a calibration; more would be of no use. */
const MOST_POINTS = 10_000;
const points = z.array(number).max(MOST_POINTS);

/** A logistic regression of standardised features, and the calibration of its log-odds, as in the gate's file. */
export const calibratedModelSchema = z
  .strictObject({
    features: z
      .array(
        z.strictObject({
          name: featureName,
          definition: z.string().max(500),
          mean: number,
          deviation: number.positive(),
          coefficient: number,
        }),
      )
      .max(FEATURE_NAMES.length)
      .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'a feature occurs twice'),
    intercept: number,
    /** Penalty of the coefficients, chosen by cross-validation. */
    penalty: number.positive(),
    /** Probability by log-odds: linear between points, constant outside them. */
    calibration: z.strictObject({ x: points, y: z.array(number.min(0).max(1)).max(MOST_POINTS) }),
  })
  .refine(({ calibration: { x, y } }) => x.length === y.length && isRising(x, true) && isRising(y, false), {
    message: 'the calibration does not rise',
    path: ['calibration'],
  });
export type CalibratedModel = z.output<typeof calibratedModelSchema>;

function isRising(values: readonly number[], strictly: boolean): boolean {
  return values.every((value, at) => at === 0 || (strictly ? value > values[at - 1]! : value >= values[at - 1]!));
}

/** A query to learn from. */
export interface LabelledExample {
  features: Features;
  /** Whether expansion helped it. */
  label: boolean;
  /** How much this example counts; 0 if expansion changed nothing. */
  weight: number;
  /** Examples of one group are held out together, such as those of one collection. */
  group: string;
}

/** Penalties to choose from. */
const PENALTIES = [1, 3, 10, 30, 100, 300];

/** Parts of the cross-validation if all examples are of one group. */
const FOLDS = 10;

/** Standardised values beyond this are cut: other collections may hold what no training query had. */
const FURTHEST = 3;

export interface FittedModel {
  model: CalibratedModel;
  /** Calibrated probability of each example, by models that did not learn from its group // [examples] */
  heldOut: number[];
}

/**
 * Fits a calibrated model: the probability that expansion helps a query. Examples that weigh more count more, so with weights by the
 * size of the change it is the share of gains among all changes: above one half, the expected change is a gain. The penalty is chosen,
 * and the calibration fitted, on log-odds of examples that were held out with their group.
 */
export function fitCalibrated(
  examples: readonly LabelledExample[],
  names: readonly Feature[],
  seed: number,
): FittedModel {
  const folds = foldsOf(examples, seed);
  const candidates = PENALTIES.map((penalty) => ({ penalty, odds: heldOutOdds(examples, folds, names, penalty) }));
  const [labels, weights] = [examples.map(({ label }) => label), examples.map(({ weight }) => weight)];
  const losses = candidates.map(({ odds }) => logLoss(odds, labels, weights));
  // The larger of equal penalties; without any change there is no loss to compare.
  const best = candidates[losses.reduce((one, loss, at) => (loss <= losses[one]! ? at : one), 0)]!;
  const { standards, logistic } = fitPlain(examples, names, best.penalty);
  const calibration = fitIsotonic(best.odds, labels.map(Number), weights);
  const features = standards.map(({ name, mean, deviation }, at) => ({
    ...{ name, definition: FEATURES[name], mean, deviation, coefficient: logistic.coefficients[at]! },
  }));
  const model = { features, intercept: logistic.intercept, penalty: best.penalty, calibration };
  return { model, heldOut: best.odds.map((odds) => calibrate(model, odds)) };
}

/** Returns the calibrated probability that expansion helps. */
export function probabilityUnder(model: CalibratedModel, features: Features): number {
  let odds = model.intercept;
  for (const { name, mean, deviation, coefficient } of model.features) {
    odds += coefficient * standardised(features[name], mean, deviation);
  }
  return calibrate(model, odds);
}

/** The feature that moves the log-odds most, up or down; undefined if none moves them. */
export function strongestFeature(
  model: CalibratedModel,
  features: Features,
  direction: 'up' | 'down',
): { name: Feature; definition: string; value: number } | undefined {
  const sign = direction === 'up' ? 1 : -1;
  let strongest: { name: Feature; definition: string; value: number } | undefined;
  let most = 0;
  for (const { name, definition, mean, deviation, coefficient } of model.features) {
    const push = sign * coefficient * standardised(features[name], mean, deviation);
    if (push <= most) continue;
    most = push;
    strongest = { name, definition, value: features[name]! };
  }
  return strongest;
}

function calibrate({ calibration }: Pick<CalibratedModel, 'calibration'>, odds: number): number {
  return valueAt(calibration, odds) ?? probabilityOf(odds);
}

/** A missing value counts as the mean. */
function standardised(value: number | undefined, mean: number, deviation: number): number {
  if (value === undefined || !Number.isFinite(value)) return 0;
  return Math.max(-FURTHEST, Math.min(FURTHEST, (value - mean) / deviation));
}

interface Standard {
  name: Feature;
  mean: number;
  deviation: number;
}

/** Features that differ among the examples, with mean and deviation. */
function standardsOf(examples: readonly LabelledExample[], names: readonly Feature[]): Standard[] {
  return names.flatMap((name) => {
    const values = examples.map(({ features }) => features[name]).filter((value) => value !== undefined);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    return deviation > 1e-9 ? [{ name, mean, deviation }] : [];
  });
}

function fitPlain(examples: readonly LabelledExample[], names: readonly Feature[], penalty: number) {
  const standards = standardsOf(examples, names);
  const rows = examples.map(({ features }) => rowOf(features, standards));
  const [labels, weights] = [examples.map(({ label }) => label), examples.map(({ weight }) => weight)];
  return { standards, logistic: fitOrConstant(rows, labels, weights, penalty) };
}

function rowOf(features: Features, standards: readonly Standard[]): number[] {
  return standards.map(({ name, mean, deviation }) => standardised(features[name], mean, deviation));
}

/** Where expansion only helped, or only hurt, no feature tells the two apart: then all have the same odds, short of certainty. */
function fitOrConstant(rows: number[][], labels: boolean[], weights: number[], penalty: number): LogisticModel {
  const weightOf = (label: boolean) =>
    weights.reduce((sum, weight, at) => sum + (labels[at] === label ? weight : 0), 0);
  const [up, down] = [weightOf(true), weightOf(false)];
  if (up > 0 && down > 0) return fitLogistic({ rows, labels, weights }, penalty);
  return { intercept: Math.log((up + 1) / (down + 1)), coefficients: (rows[0] ?? []).map(() => 0) };
}

/** Returns the part that each example is held out with. */
function foldsOf(examples: readonly LabelledExample[], seed: number): string[] {
  const groups = examples.map(({ group }) => group);
  if (new Set(groups).size > 1) return groups;
  const places = new Random(seed).shuffle([...examples.keys()]);
  const folds = new Array<string>(examples.length);
  for (const [at, place] of places.entries()) folds[place] = String(at % Math.min(FOLDS, examples.length));
  return folds;
}

function heldOutOdds(
  examples: readonly LabelledExample[],
  folds: readonly string[],
  names: readonly Feature[],
  penalty: number,
): number[] {
  const odds = new Array<number>(examples.length);
  for (const fold of new Set(folds)) {
    const others = examples.filter((_one, at) => folds[at] !== fold);
    const { standards, logistic } = fitPlain(others, names, penalty);
    for (const [at, { features }] of examples.entries()) {
      if (folds[at] === fold) odds[at] = logOdds(logistic, rowOf(features, standards));
    }
  }
  return odds;
}
