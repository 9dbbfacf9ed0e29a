import {
  type Head,
  llamaLogProbabilities,
  operations as ops,
  Parameters,
  type TrainingStep,
  type Value,
  type Values,
} from '../../nn/index.ts';
import { throwIfAborted } from '../../system/index.ts';
import type { MicroBatchResult, TrainingTask } from '../loop/training-task.ts';
import type { TokenPair } from './chat-tokens.ts';
import type { GeneratorBase } from './generator-base.ts';
import { type GeneratorStepOptions, openGeneratorStep } from './generator-step.ts';
import { type PackedTexts, packedLength, packTexts } from './packing.ts';
import {
  CHOSEN,
  checkLossSettings,
  type PreferenceLossSettings,
  preferenceLoss,
  REJECTED,
} from './preference-losses.ts';

/** A pair to learn from: its tokens, and the reference model's log-probabilities of both completions. */
export interface PreferenceExample extends TokenPair {
  /** The reference model's summed log-probabilities of chosen and rejected. */
  reference: readonly [chosen: number, rejected: number];
}

export interface PreferenceTaskOptions extends GeneratorStepOptions {
  loss: PreferenceLossSettings;
}

interface CallOptions {
  total: number;
  batch?: readonly TokenPair[];
  signal?: AbortSignal;
}

/**
 * Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290). A pair's prompt is computed once for both
 * completions, several pairs share a row, and logits are computed for completion tokens only.
 *
 * Metrics are means over pairs: `rewardChosen` and `rewardRejected` (β times the change of the summed log-probability
 * from the reference, whatever the loss), `margin` between them, `accuracy` (fraction of pairs with a margin above 0 by
 * more than rounding), `logProbabilityChosen`, `logProbabilityRejected`, `tokensChosen`, `tokensRejected`, and
 * `logProbabilityEnd`, the log-probability of the token that ends a chosen answer (0 if it was truncated). If
 * `logProbabilityEnd` falls, answers grow longer.
 */
export class PreferenceTask implements TrainingTask<PreferenceExample> {
  readonly parameters: Parameters;
  readonly #step: TrainingStep;
  readonly #beta: number;
  readonly #vocabulary: number;
  readonly #endId: number | undefined;

  private constructor(step: TrainingStep, parameters: Parameters, beta: number, { config, endId }: GeneratorBase) {
    this.#step = step;
    this.parameters = parameters;
    this.#beta = beta;
    this.#vocabulary = config.vocabulary;
    this.#endId = endId;
  }

  /** @throws UsageError for incompatible settings; ModelError, ResourceError */
  static async open(base: GeneratorBase, options: PreferenceTaskOptions): Promise<PreferenceTask> {
    checkLossSettings(options.loss);
    const { step, parameters } = await openGeneratorStep(base, headOf(base, options.loss), options);
    return new PreferenceTask(step, parameters, options.loss.beta, base);
  }

  /** Whether the step is computed whole or in blocks. */
  get mode(): TrainingStep['mode'] {
    return this.#step.mode;
  }

  weigh(): number {
    return 1;
  }

  tokens(pair: TokenPair): number {
    return packedLength(textOf(pair));
  }

  async gradients(
    pairs: readonly PreferenceExample[],
    options: CallOptions & { seed: number },
  ): Promise<MicroBatchResult> {
    throwIfAborted(options.signal);
    const packed = this.#pack(pairs);
    const values = inputsOf(packed, pairs, options);
    const { loss, outputs, gradients } = await this.#step.differentiate(values, this.parameters, options.seed);
    return { loss, metrics: this.#metrics(pairs, packed, outputs, options.total), gradients };
  }

  async evaluate(
    pairs: readonly PreferenceExample[],
    options: CallOptions,
  ): Promise<Omit<MicroBatchResult, 'gradients'>> {
    throwIfAborted(options.signal);
    const packed = this.#pack(pairs);
    const { loss, outputs } = await this.#step.evaluate(inputsOf(packed, pairs, options), this.parameters);
    return { loss, metrics: this.#metrics(pairs, packed, outputs, options.total) };
  }

  /**
   * Computes the summed log-probabilities of chosen and rejected under the initial model. Call it before training. An
   * adapter is switched off by taking its B as 0.
   */
  async referenceOf(pairs: readonly TokenPair[]): Promise<(readonly [chosen: number, rejected: number])[]> {
    const examples = pairs.map((pair): PreferenceExample => ({ ...pair, reference: [0, 0] }));
    const values = inputsOf(this.#pack(pairs), examples, { total: 1 });
    const { outputs } = await this.#step.evaluate(values, withoutAdapter(this.parameters));
    const sums = outputs.sums!.data as Float32Array;
    return pairs.map((_, index) => [sums[index]!, sums[pairs.length + index]!]);
  }

  close(): Promise<void> {
    return this.#step.close();
  }

  #pack(pairs: readonly TokenPair[]): PackedTexts {
    return packTexts(pairs.map(textOf), this.#vocabulary);
  }

  #metrics(
    pairs: readonly PreferenceExample[],
    { completions }: PackedTexts,
    outputs: Values,
    total: number,
  ): Record<string, number> {
    const sums = outputs.sums!.data as Float32Array; // [2, pairs]
    const logs = outputs.logs!.data as Float32Array; // [chunks, rows]
    const mean = (of: (pair: PreferenceExample, index: number) => number) =>
      pairs.reduce((sum, pair, index) => sum + of(pair, index), 0) / total;
    const sum = (side: number, index: number) => sums[side * pairs.length + index]!;
    const reward = (side: number) => (pair: PreferenceExample, index: number) =>
      this.#beta * (sum(side, index) - pair.reference[side]!);
    const margin = (pair: PreferenceExample, index: number) =>
      reward(CHOSEN)(pair, index) - reward(REJECTED)(pair, index);
    const rounding = ({ reference }: PreferenceExample) => -this.#beta * ROUNDING * (reference[0] + reference[1]);
    const end = ({ chosen }: PreferenceExample, index: number) => {
      const place = this.#endId === undefined ? -1 : chosen.lastIndexOf(this.#endId);
      return place === -1 ? 0 : logs[completions[index]![CHOSEN]!.start + place]!;
    };
    return {
      rewardChosen: mean(reward(CHOSEN)),
      rewardRejected: mean(reward(REJECTED)),
      margin: mean(margin),
      accuracy: mean((pair, index) => (margin(pair, index) > rounding(pair) ? 1 : 0)),
      logProbabilityChosen: mean((_, index) => sum(CHOSEN, index)),
      logProbabilityRejected: mean((_, index) => sum(REJECTED, index)),
      logProbabilityEnd: mean(end),
      tokensChosen: mean(({ chosen }) => chosen.length),
      tokensRejected: mean(({ rejected }) => rejected.length),
    };
  }
}

/** Relative rounding error between two ways of computing a summed log-probability in 32-bit floats. */
const ROUNDING = 1e-6;

function textOf({ prompt, chosen, rejected }: TokenPair) {
  return { prompt, completions: [chosen, rejected] };
}

/**
 * Loss and log-probabilities. Inputs in addition to the model's: `members`, 1 where a scored place belongs to a
 * completion // [2, pairs, chunks · rows]; `reference`, `lengths` // [2, pairs]; `pairShare`, `tokenShare` // []
 */
function headOf({ config }: GeneratorBase, settings: PreferenceLossSettings): Head {
  return (weights, x) => {
    const { graph } = weights;
    const logs = llamaLogProbabilities(weights, config, x); // [chunks, rows]
    return graph.scope('loss', () => {
      const members = graph.input('members', 'float32', [2, 'pairs', 'chunks·rows']);
      const sums = ops.reshape(ops.matmul(members, ops.reshape(logs, ['chunks·rows', 1])), [2, 'pairs']);
      const side = (name: string) => graph.input(name, 'float32', [2, 'pairs']);
      const share = (name: string) => graph.input(name, 'float32', []);
      const [reference, lengths] = [side('reference'), side('lengths')];
      const [pairShare, tokenShare] = [share('pairShare'), share('tokenShare')];
      const loss = preferenceLoss({ sums, reference, lengths, pairShare, tokenShare }, settings);
      return { loss, outputs: { sums, logs } };
    });
  };
}

function inputsOf(
  { values, places, completions }: PackedTexts,
  pairs: readonly PreferenceExample[],
  { total, batch = pairs }: CallOptions,
): Values {
  const count = pairs.length;
  const members = new Float32Array(2 * count * places);
  const bySide = (of: (pair: PreferenceExample, side: number) => number): Value => {
    const data = Float32Array.from({ length: 2 * count }, (_, index) => {
      return of(pairs[index % count]!, Math.floor(index / count));
    });
    return { dtype: 'float32', shape: [2, count], data };
  };
  const share = (value: number): Value => ({ dtype: 'float32', shape: [], data: Float32Array.of(value) });
  for (const side of [CHOSEN, REJECTED]) {
    completions.forEach((ofPair, index) => {
      const { start, length } = ofPair[side!]!;
      const row = (side! * count + index) * places;
      members.fill(1, row + start, row + start + length);
    });
  }
  const chosenTokens = batch.reduce((sum, { chosen }) => sum + chosen.length, 0);
  return {
    ...values,
    members: { dtype: 'float32', shape: [2, count, places], data: members },
    reference: bySide(({ reference }, side) => reference[side]!),
    lengths: bySide(({ chosen, rejected }, side) => (side === CHOSEN ? chosen : rejected).length),
    pairShare: share(1 / total),
    tokenShare: share(1 / chosenTokens),
  };
}

/** A copy of the parameters with every B at 0, so the adapter adds nothing. */
function withoutAdapter(parameters: Parameters): Parameters {
  return new Parameters(
    parameters.names().map((name) => {
      const data = parameters.get(name);
      return {
        name,
        shape: parameters.shape(name),
        data: name.endsWith('.lora_B.weight') ? new Float32Array(data.length) : data.slice(),
      };
    }),
  );
}
