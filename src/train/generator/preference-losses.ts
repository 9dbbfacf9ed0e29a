import { z } from 'zod';
import { operations as ops, type Tensor } from '../../nn/index.ts';
import { UsageError } from '../../system/index.ts';

/** Losses over preference pairs, by TRL's names. */
export const LOSS_TYPES = ['sigmoid', 'sigmoid_norm', 'ipo', 'hinge', 'robust', 'sft'] as const;
export type LossType = (typeof LOSS_TYPES)[number];

/** What a preference loss is made of; names and meanings are those of TRL's DPOConfig (release 1.16). */
export const preferenceLossShape = {
  beta: z.number().positive().default(0.1).describe('how far the model may move from the reference: less for more'),
  lossType: z
    .array(z.enum(LOSS_TYPES))
    .min(1)
    .default(['sigmoid'])
    .describe(`losses that are summed: ${LOSS_TYPES.join(', ')} (repeatable)`),
  lossWeights: z
    .array(z.number().nonnegative())
    .optional()
    .describe('weight of each loss type, in their order (default: 1 each)'),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0)
    .describe('share of pairs whose preference is the wrong way round, for loss type robust'),
};

const schema = z.object(preferenceLossShape);
export type PreferenceLossSettings = z.output<typeof schema>;

/** Refuses settings that do not go together. @throws UsageError */
export function checkLossSettings({ lossType, lossWeights, labelSmoothing }: PreferenceLossSettings): void {
  if (lossWeights !== undefined && lossWeights.length !== lossType.length) {
    throw new UsageError(`lossWeights: ${lossWeights.length} weights for ${lossType.length} loss types`, {
      fix: 'Give one weight for each loss type, or none.',
    });
  }
  if (new Set(lossType).size !== lossType.length) {
    throw new UsageError('lossType: a loss type is named twice', { fix: 'Name it once, with a larger weight.' });
  }
  if (labelSmoothing > 0 && !lossType.includes('robust')) {
    throw new UsageError('labelSmoothing: only the loss type robust reads it', {
      fix: 'Add robust, or leave it at 0.',
    });
  }
}

/** What the model makes of a micro-batch's pairs, as tensors of one graph. */
export interface PairTensors {
  /** Summed log-probabilities of the chosen (0) and the rejected (1) completions // [2, pairs] */
  sums: Tensor;
  /** The same of the reference model // [2, pairs] */
  reference: Tensor;
  /** Tokens of each completion // [2, pairs] */
  lengths: Tensor;
  /** 1 / pairs of the whole batch // [] */
  pairShare: Tensor;
  /** 1 / tokens of all chosen completions of the whole batch // [] */
  tokenShare: Tensor;
}

/** Sides of a pair along the first axis. */
export const [CHOSEN, REJECTED] = [0, 1];

/**
 * The loss of a micro-batch as its part of the batch's mean, so that the parts of any cut add up.
 *
 * With δ the change of the chosen completion's log-probability from the reference less that of the rejected one's, and δ'
 * the same with each change divided by its number of tokens:
 * - `sigmoid`: -ln σ(β δ) (Rafailov et al. 2023, arXiv 2305.18290, equation 7)
 * - `sigmoid_norm`: -ln σ(β δ')
 * - `ipo`: (δ' - 1/(2β))² (Azar et al. 2023, arXiv 2310.12036, equation 17; per token, as TRL has it)
 * - `hinge`: max(0, 1 - β δ) (Zhao et al. 2023, arXiv 2305.10425)
 * - `robust`: (-(1 - ε) ln σ(β δ) + ε ln σ(-β δ)) / (1 - 2ε) (Chowdhury et al. 2024, arXiv 2403.00409)
 * - `sft`: -ln p of the chosen completions, the mean over their tokens in the whole batch. (TRL takes the mean in each
 *   micro-batch and then the mean of these, so that its value depends on the cut.)
 */
export function preferenceLoss(tensors: PairTensors, settings: PreferenceLossSettings): Tensor {
  const { lossType, lossWeights } = settings;
  const parts = lossType.map((type, index) => {
    const loss = type === 'sft' ? supervisedLoss(tensors) : meanOver(tensors, pairLoss(type, tensors, settings));
    return scaled(loss, lossWeights?.[index] ?? 1);
  });
  return parts.reduce((sum, part) => ops.add(sum, part));
}

/** -ln p of the chosen completions, a mean over tokens // [] */
function supervisedLoss({ sums, tokenShare }: PairTensors): Tensor {
  return ops.negate(ops.multiply(ops.reduceSum(ops.pick(sums, 0, CHOSEN), 0), tokenShare));
}

/** // [pairs] → [] */
function meanOver({ pairShare }: PairTensors, losses: Tensor): Tensor {
  return ops.multiply(ops.reduceSum(losses, 0), pairShare);
}

/** The loss of each pair by itself // [pairs] */
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
