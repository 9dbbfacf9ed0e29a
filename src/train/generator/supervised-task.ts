import {
  type Head,
  llamaLogProbabilities,
  operations as ops,
  type Parameters,
  type TrainingStep,
  type Values,
} from '../../nn/index.ts';
import { throwIfAborted } from '../../system/index.ts';
import type { MicroBatchResult, TrainingTask } from '../loop/training-task.ts';
import type { GeneratorBase } from './generator-base.ts';
import { type GeneratorStepOptions, openGeneratorStep } from './generator-step.ts';
import { type PackedTexts, packedLength, packTexts } from './packing.ts';

/** A prompt and the answer to learn, as token ids. */
export interface SupervisedExample {
  id: string;
  prompt: Int32Array;
  completion: Int32Array;
}

interface CallOptions {
  total: number;
  signal?: AbortSignal;
}

/**
 * Supervised fine-tuning: the loss is -ln p of the completions, averaged over their tokens in the complete batch, as in
 * TRL's SFTTrainer. Several examples share a row; prompts are not learnt. `logProbability` is also a mean over tokens.
 */
export class SupervisedTask implements TrainingTask<SupervisedExample> {
  readonly parameters: Parameters;
  readonly #step: TrainingStep;
  readonly #vocabulary: number;

  private constructor(step: TrainingStep, parameters: Parameters, vocabulary: number) {
    this.#step = step;
    this.parameters = parameters;
    this.#vocabulary = vocabulary;
  }

  /** @throws UsageError, ModelError, ResourceError */
  static async open(base: GeneratorBase, options: GeneratorStepOptions): Promise<SupervisedTask> {
    const { step, parameters } = await openGeneratorStep(base, headOf(base), options);
    return new SupervisedTask(step, parameters, base.config.vocabulary);
  }

  /** Whether the step is computed whole or in blocks. */
  get mode(): TrainingStep['mode'] {
    return this.#step.mode;
  }

  weigh({ completion }: SupervisedExample): number {
    return completion.length;
  }

  tokens(example: SupervisedExample): number {
    return packedLength(textOf(example));
  }

  async gradients(
    examples: readonly SupervisedExample[],
    { total, seed, signal }: CallOptions & { seed: number },
  ): Promise<MicroBatchResult> {
    throwIfAborted(signal);
    const { loss, gradients } = await this.#step.differentiate(this.#inputs(examples, total), this.parameters, seed);
    return { loss, metrics: { logProbability: -loss }, gradients };
  }

  async evaluate(
    examples: readonly SupervisedExample[],
    { total, signal }: CallOptions,
  ): Promise<Omit<MicroBatchResult, 'gradients'>> {
    throwIfAborted(signal);
    const { loss } = await this.#step.evaluate(this.#inputs(examples, total), this.parameters);
    return { loss, metrics: { logProbability: -loss } };
  }

  close(): Promise<void> {
    return this.#step.close();
  }

  #inputs(examples: readonly SupervisedExample[], total: number): Values {
    const packed = packTexts(examples.map(textOf), this.#vocabulary);
    return { ...packed.values, share: shares(packed, total) };
  }
}

function textOf({ prompt, completion }: SupervisedExample) {
  return { prompt, completions: [completion] };
}

/** Input in addition to the model's: `share`, the weight of a scored place in the loss // [chunks, rows] */
function headOf({ config }: GeneratorBase): Head {
  return (weights, x) => {
    const { graph } = weights;
    const logs = llamaLogProbabilities(weights, config, x); // [chunks, rows]
    return graph.scope('loss', () => {
      const share = graph.input('share', 'float32', ['chunks', 'rows']);
      return { loss: ops.negate(ops.reduceSum(ops.multiply(logs, share), [0, 1])), outputs: {} };
    });
  };
}

/** 1 / total at each real place, 0 at the padding of the last chunk // [chunks, rows] */
function shares({ values, places, completions }: PackedTexts, total: number): Values[string] {
  const used = completions.flat().reduce((sum, { length }) => sum + length, 0);
  return { dtype: 'float32', shape: values.scored!.shape, data: new Float32Array(places).fill(1 / total, 0, used) };
}
