import { UsageError } from '../system/index.ts';

/** A fitted model: the probability of class 1 is 1 / (1 + exp(-(intercept + coefficients · x))). */
export interface LogisticModel {
  intercept: number;
  /** // [features] */
  coefficients: number[];
}

export interface LogisticExamples {
  /** // [examples][features] */
  rows: readonly (readonly number[])[];
  /** Class of each example: whether it is class 1 // [examples] */
  labels: readonly boolean[];
  /** Weight of each example, at least 0 // [examples] */
  weights: readonly number[];
}

/** Steps of Newton's method; it needs about ten. */
const MOST_STEPS = 100;
const PRECISION = 1e-12;

/**
 * Fits a logistic regression with an L2 penalty: the sum of weight · log loss, plus |coefficients|² · penalty / 2. The intercept is not
 * penalised. Newton's method with step halving, so equal examples give equal models; equal to scikit-learn's LogisticRegression with
 * C = 1 / penalty.
 * @throws UsageError without examples of both classes, or for a penalty that is not above 0
 */
export function fitLogistic(examples: LogisticExamples, penalty: number): LogisticModel {
  const { rows, labels, weights } = examples;
  const weighs = (label: boolean) => labels.some((one, at) => one === label && weights[at]! > 0);
  if (!(penalty > 0) || !weighs(true) || !weighs(false)) {
    throw new UsageError('a logistic regression needs examples of both classes, and a penalty above 0', {
      fix: 'Train on more queries: expansion has to help some and to hurt others.',
    });
  }
  // The intercept is the first parameter.
  let parameters = new Float64Array((rows[0]?.length ?? 0) + 1);
  let loss = lossOf(examples, parameters, penalty);
  for (let step = 0; step < MOST_STEPS; step++) {
    const { gradient, hessian } = derivatives(examples, parameters, penalty);
    const direction = solve(hessian, gradient);
    let scale = 1;
    let next = parameters;
    let nextLoss = Number.POSITIVE_INFINITY;
    for (; scale > PRECISION; scale /= 2) {
      next = parameters.map((value, at) => value - scale * direction[at]!);
      nextLoss = lossOf(examples, next, penalty);
      if (nextLoss <= loss) break;
    }
    if (!(nextLoss <= loss)) break;
    const isDone = loss - nextLoss <= PRECISION * Math.abs(loss);
    [parameters, loss] = [next, nextLoss];
    if (isDone) break;
  }
  return { intercept: parameters[0]!, coefficients: [...parameters.subarray(1)] };
}

/** Returns the log-odds of class 1. */
export function logOdds({ intercept, coefficients }: LogisticModel, row: readonly number[]): number {
  return coefficients.reduce((sum, coefficient, at) => sum + coefficient * row[at]!, intercept);
}

/** Returns the probability of class 1. */
export function probabilityOf(odds: number): number {
  return 1 / (1 + Math.exp(-odds));
}

/** Returns the weighted mean log loss of log-odds. */
export function logLoss(odds: readonly number[], labels: readonly boolean[], weights: readonly number[]): number {
  let [sum, total] = [0, 0];
  for (const [at, value] of odds.entries()) {
    sum += weights[at]! * softplus(labels[at] ? -value : value);
    total += weights[at]!;
  }
  return sum / total;
}

/** log(1 + exp(x)), which does not overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function oddsUnder(parameters: Float64Array, row: readonly number[]): number {
  let sum = parameters[0]!;
  for (let at = 0; at < row.length; at++) sum += parameters[at + 1]! * row[at]!;
  return sum;
}

function lossOf({ rows, labels, weights }: LogisticExamples, parameters: Float64Array, penalty: number): number {
  let loss = 0;
  for (const [at, row] of rows.entries()) {
    const odds = oddsUnder(parameters, row);
    loss += weights[at]! * softplus(labels[at] ? -odds : odds);
  }
  for (let at = 1; at < parameters.length; at++) loss += (penalty / 2) * parameters[at]! ** 2;
  return loss;
}

/** @returns gradient // [parameters] and Hessian // [parameters][parameters] of the loss */
function derivatives({ rows, labels, weights }: LogisticExamples, parameters: Float64Array, penalty: number) {
  const size = parameters.length;
  const gradient = new Float64Array(size);
  const hessian = Array.from({ length: size }, () => new Float64Array(size));
  for (const [at, row] of rows.entries()) {
    const p = probabilityOf(oddsUnder(parameters, row));
    const slope = weights[at]! * (p - (labels[at] ? 1 : 0));
    const curvature = weights[at]! * p * (1 - p);
    for (let i = 0; i < size; i++) {
      const left = i === 0 ? 1 : row[i - 1]!;
      gradient[i]! += slope * left;
      for (let j = 0; j <= i; j++) hessian[i]![j]! += curvature * left * (j === 0 ? 1 : row[j - 1]!);
    }
  }
  for (let i = 0; i < size; i++) {
    if (i > 0) {
      gradient[i]! += penalty * parameters[i]!;
      hessian[i]![i]! += penalty;
    }
    // Keeps the matrix positive definite if all probabilities are at 0 or 1.
    hessian[i]![i]! += PRECISION;
    for (let j = 0; j < i; j++) hessian[j]![i] = hessian[i]![j]!;
  }
  return { gradient, hessian };
}

/** Solves A x = b for a symmetric positive definite A, by Cholesky's decomposition. */
function solve(a: readonly Float64Array[], b: Float64Array): Float64Array {
  const size = b.length;
  const lower = a.map((row) => row.slice());
  const x = b.slice();
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i]![j]!;
      for (let k = 0; k < j; k++) sum -= lower[i]![k]! * lower[j]![k]!;
      lower[i]![j] = i === j ? Math.sqrt(Math.max(sum, Number.MIN_VALUE)) : sum / lower[j]![j]!;
    }
    for (let k = 0; k < i; k++) x[i]! -= lower[i]![k]! * x[k]!;
    x[i]! /= lower[i]![i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= lower[k]![i]! * x[k]!;
    x[i]! /= lower[i]![i]!;
  }
  return x;
}
