import { z } from 'zod';
import { operations as ops, type Tensor } from '../../nn/index.ts';
import { UsageError } from '../../system/index.ts';

/** Losses over preference pairs, by TRL's names. */
export const LOSS_TYPES = ['sigmoid', 'sigmoid_norm', 'ipo', 'hinge', 'robust', 'sft'] as const;
export type LossType = (typeof LOSS_TYPES)[number];

/** Settings of a preference loss. Names and meanings follow TRL's DPOConfig (release 1.16). */
export const preferenceLossShape = {
  beta: z
    .number()
    .positive()
    .default(0.1)
    .describe('strength of the pull towards the reference model: lower values allow more change'),
  lossType: z
    .array(z.enum(LOSS_TYPES))
    .min(1)
    .default(['sigmoid'])
    .describe(`losses to sum: ${LOSS_TYPES.join(', ')}`),
  lossWeights: z
    .array(z.number().nonnegative())
    .optional()
    .describe('weight of each loss type, in the same order (default: 1 each)'),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0)
    .describe('expected fraction of pairs with the wrong preference, for loss type robust'),
};

const schema = z.object(preferenceLossShape);
export type PreferenceLossSettings = z.output<typeof schema>;

/** Refuses incompatible settings. @throws UsageError */
export function checkLossSettings({ lossType, lossWeights, labelSmoothing }: PreferenceLossSettings): void {
  if (lossWeights !== undefined && lossWeights.length !== lossType.length) {
    throw new UsageError(`lossWeights: ${lossWeights.length} weights for ${lossType.length} loss types`, {
      fix: 'Pass one weight per loss type, or omit lossWeights.',
    });
  }
  if (new Set(lossType).size !== lossType.length) {
    throw new UsageError('lossType: a loss type is named twice', { fix: 'Name it once and raise its weight.' });
  }
  if (labelSmoothing > 0 && !lossType.includes('robust')) {
    throw new UsageError('labelSmoothing: only the loss type robust uses it', {
      fix: 'Add the loss type robust, or leave labelSmoothing at 0.',
    });
  }
}

/** The model's outputs for the pairs of a micro-batch, as tensors of one graph. */
export interface PairTensors {
  /** Summed log-probabilities of the chosen (0) and the rejected (1) completions // [2, pairs] */
  sums: Tensor;
  /** The same for the reference model // [2, pairs] */
  reference: Tensor;
  /** Tokens of each completion // [2, pairs] */
  lengths: Tensor;
  /** 1 / number of pairs in the complete batch // [] */
  pairShare: Tensor;
  /** 1 / number of tokens of all chosen completions in the complete batch // [] */
  tokenShare: Tensor;
}

/** The sides of a pair along the first axis. */
export const [CHOSEN, REJECTED] = [0, 1];

/**
 * Builds the loss of a micro-batch as its part of the batch's mean. The parts of any cut add up.
 *
 * Let δ be the change of the chosen completion's log-probability from the reference, minus the same change of the
 * rejected completion. Let δ' be the same with each change divided by its number of tokens. The losses are:
 * - `sigmoid`: -ln σ(β δ) (Rafailov et al. 2023, arXiv 2305.18290, equation 7)
 * - `sigmoid_norm`: -ln σ(β δ')
 * - `ipo`: (δ' - 1/(2β))² (Azar et al. 2023, arXiv 2310.12036, equation 17; per token, as in TRL)
 * - `hinge`: max(0, 1 - β δ) (Zhao et al. 2023, arXiv 2305.10425)
 * - `robust`: (-(1 - ε) ln σ(β δ) + ε ln σ(-β δ)) / (1 - 2ε) (Chowdhury et al. 2024, arXiv 2403.00409)
 * - `sft`: -ln p of the chosen completions, averaged over their tokens in the complete batch. (TRL averages the means
 *   of micro-batches, so its value depends on the cut.)
 */
export function preferenceLoss(tensors: PairTensors, settings: PreferenceLossSettings): Tensor {
  const { lossType, lossWeights } = settings;
  const parts = lossType.map((type, index) => {
    const loss = type === 'sft' ? supervisedLoss(tensors) : meanOver(tensors, pairLoss(type, tensors, settings));
    return scaled(loss, lossWeights?.[index] ?? 1);
  });
  return parts.reduce((sum, part) => ops.add(sum, part));
}

/** -ln p of the chosen completions, averaged over tokens // [] */
function supervisedLoss({ sums, tokenShare }: PairTensors): Tensor {
  return ops.negate(ops.multiply(ops.reduceSum(ops.pick(sums, 0, CHOSEN), 0), tokenShare));
}

/** // [pairs] → [] */
function meanOver({ pairShare }: PairTensors, losses: Tensor): Tensor {
  return ops.multiply(ops.reduceSum(losses, 0), pairShare);
}

/** The loss of each pair // [pairs] */
function pairLoss(
  type: Exclude<LossType, 'sft'>,
  { sums, reference, lengths }: PairTensors,
  { beta, labelSmoothing }: PreferenceLossSettings,
): Tensor {
  const change = ops.subtract(sums, reference);
  const between = (changes: Tensor) => ops.subtract(ops.pick(changes, 0, CHOSEN), ops.pick(changes, 0, REJECTED));
  const whole = () => scaled(between(change), beta);
  const perToken = () => between(ops.divide(change, lengths));
  switch (type) {
    case 'sigmoid':
      return logistic(whole());
    case 'sigmoid_norm':
      return logistic(scaled(perToken(), beta));
    case 'ipo': {
      const distance = shifted(perToken(), -1 / (2 * beta));
      return ops.multiply(distance, distance);
    }
    case 'hinge':
      return ops.relu(shifted(ops.negate(whole()), 1));
    case 'robust': {
      const margin = whole();
      const right = scaled(logistic(margin), (1 - labelSmoothing) / (1 - 2 * labelSmoothing));
      const wrong = scaled(logistic(ops.negate(margin)), labelSmoothing / (1 - 2 * labelSmoothing));
      return ops.subtract(right, wrong);
    }
  }
}

/** -ln σ(x), without overflow. */
function logistic(x: Tensor): Tensor {
  return ops.softplus(ops.negate(x));
}

function scaled(x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : ops.multiply(x, ops.scalar(x, factor));
}

function shifted(x: Tensor, by: number): Tensor {
  return ops.add(x, ops.scalar(x, by));
}
