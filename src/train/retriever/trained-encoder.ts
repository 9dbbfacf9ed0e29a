import {
  type BertModelOptions,
  bertModel,
  type Head,
  initialParameters,
  operations as ops,
  type Parameters,
  packedVectors,
  type StepMemory,
  stepMemory,
  TrainingStep,
  type TrainingStepOptions,
  type Values,
} from '../../nn/index.ts';
import { throwIfAborted, UsageError } from '../../system/index.ts';
import { type ContrastiveLossSettings, contrastiveLoss } from './contrastive-losses.ts';
import { type PackedBatch, type PackingLimits, packedInputs, packTexts, textsOfBatch } from './packed-texts.ts';
import type { RetrieverBase } from './retriever-base.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';

export interface TrainedEncoderOptions
  extends PackingLimits,
    PlanSettings,
    Pick<RetrieverTrainingSettings, 'mode' | 'memory' | 'device'> {
  threads: number;
  cache: string;
  signal?: AbortSignal | undefined;
}

/** A sum of gradients by parameter. */
export type Gradients = Map<string, Float32Array>;

/**
 * An encoder that learns, by mini-batches of any size: vectors first, then, once the gradient of the loss with respect to them is
 * known, each mini-batch again with its part of that gradient (GradCache: Gao et al. 2021, arXiv 2101.06983). The masks of dropout
 * are a text's own, so that both times, and however the texts are cut and packed, they are the same.
 */
export class TrainedEncoder {
  readonly parameters: Parameters;
  readonly #base: RetrieverBase;
  readonly #step: TrainingStep;
  readonly #whole: TrainingStep | undefined;
  readonly #limits: PackingLimits;
  /** The most bytes of activations at one time. */
  readonly #memory: number;
  /** Which of the two computed the last gradients. */
  #last: TrainingStep;

  private constructor(
    base: RetrieverBase,
    { step, parameters }: { step: TrainingStep; parameters: Parameters },
    whole: TrainingStep | undefined,
    { miniBatchSize, miniBatchTokens, memory }: TrainedEncoderOptions,
  ) {
    this.#base = base;
    this.#step = step;
    this.#last = step;
    this.parameters = parameters;
    this.#whole = whole;
    this.#limits = { miniBatchSize, miniBatchTokens };
    this.#memory = memory * GIB;
  }

  /**
   * @param loss of batches in one piece, which need no second pass; none if it needs more than the encoder
   * @throws UsageError if no layer has the name of a target module; ModelError, ResourceError
   */
  static async open(
    base: RetrieverBase,
    options: TrainedEncoderOptions,
    loss: ContrastiveLossSettings | undefined,
  ): Promise<TrainedEncoder> {
    if (options.loraR !== undefined) checkTargets(base, options.loraTargetModules);
    const { recipe, checkpoint } = base;
    const model = bertModel(checkpoint, recipe.config, planOf(options));
    const compute = stepOptions(base, options);
    const opened = await TrainingStep.open(model, surrogate(), { ...compute, replays: true });
    try {
      const whole = loss && (await TrainingStep.open(model, wholeHead(loss), compute)).step;
      return new TrainedEncoder(base, opened, whole, options);
    } catch (error) {
      await opened.step.close();
      throw error;
    }
  }

  /**
   * What the training of this encoder will take, without opening it: the activations of a usual batch, if it goes through the encoder
   * in one piece, or else of a mini-batch.
   * @throws UsageError, ResourceError as {@link open}
   */
  static memory(
    base: RetrieverBase,
    options: TrainedEncoderOptions & Pick<RetrieverTrainingSettings, 'batchSize' | 'groupSize'>,
    loss: ContrastiveLossSettings,
  ): StepMemory {
    if (options.loraR !== undefined) checkTargets(base, options.loraTargetModules);
    const model = bertModel(base.checkpoint, base.recipe.config, planOf(options));
    const part = stepMemory(model, surrogate(), stepOptions(base, options));
    if (loss.frozenDocuments) return part;
    const { batchSize, groupSize, miniBatchSize, miniBatchTokens = Number.POSITIVE_INFINITY } = options;
    const [texts, length] = [batchSize * (1 + groupSize), Math.min(base.recipe.maxLength, USUAL_LENGTH)];
    if (texts > (miniBatchSize ?? texts) || texts * length > miniBatchTokens) return part;
    const compute = stepOptions(base, {
      ...options,
      mode: part.mode,
      miniBatchSize: texts,
      miniBatchTokens: texts * length,
    });
    const whole = stepMemory(model, wholeHead(loss), compute);
    return whole.activations > options.memory * GIB || whole.activations < part.activations ? part : whole;
  }

  get mode(): TrainingStep['mode'] {
    return this.#step.mode;
  }

  /**
   * All texts as one mini-batch, if that fits into the limits and the memory, leaves little of its rows free, and this encoder has the
   * loss.
   * @param inputs of the loss
   */
  onePiece(texts: readonly Int32Array[], inputs: Values): PackedBatch | undefined {
    if (this.#whole === undefined) return undefined;
    const lengths = texts.map(({ length }) => length);
    const [only, ...others] = packTexts(lengths, this.#limits);
    if (only === undefined || others.length > 0) return undefined;
    const twice = this.#cut(texts).reduce((sum, batch) => sum + this.#cost(batch), 0) * SECOND_PASS;
    if (this.#cost(only) > twice) return undefined;
    const sizes = { ...sizesOfBatch(only), ...sizesOfLoss(inputs) };
    return this.#whole.activationBytes(sizes) <= this.#memory ? only : undefined;
  }

  /** Loss and gradients of a batch in one piece. @param inputs of the loss */
  async wholeStep(texts: readonly Int32Array[], batch: PackedBatch, inputs: Values, seed: number) {
    const { values, places } = this.#packed(texts, batch);
    this.#last = this.#whole!;
    return this.#last.differentiate({ ...values, ...inputs }, this.parameters, { seed, texts: places });
  }

  /** Pooled vectors, not normalised // [texts, hidden]. @param seed of dropout; none leaves it off */
  async vectors(texts: readonly Int32Array[], seed: number | undefined, signal?: AbortSignal): Promise<Float32Array> {
    const { hidden_size: hidden } = this.#base.recipe.config;
    const result = new Float32Array(texts.length * hidden);
    for (const batch of this.#cut(texts)) {
      throwIfAborted(signal);
      const numbers = textsOfBatch(batch);
      const { values, places } = this.#packed(texts, batch, new Float32Array(numbers.length * hidden));
      const run =
        seed === undefined
          ? this.#step.evaluate(values, this.parameters)
          : this.#step.forward(values, this.parameters, { seed, texts: places });
      const rows = (await run).outputs.vectors!.data as Float32Array;
      for (const [at, number] of numbers.entries()) {
        result.set(rows.subarray(at * hidden, (at + 1) * hidden), number * hidden);
      }
    }
    return result;
  }

  /**
   * Gradients of the loss whose gradient with respect to the vectors is `upstream`.
   * @param upstream // [texts, hidden]
   * @param seed the one that the vectors were computed with
   */
  async backward(
    texts: readonly Int32Array[],
    upstream: Float32Array,
    seed: number,
    signal?: AbortSignal,
  ): Promise<Gradients> {
    const { hidden_size: hidden } = this.#base.recipe.config;
    this.#last = this.#step;
    let sum: Gradients | undefined;
    for (const batch of this.#cut(texts)) {
      throwIfAborted(signal);
      const numbers = textsOfBatch(batch);
      const part = new Float32Array(numbers.length * hidden);
      for (const [at, number] of numbers.entries())
        part.set(upstream.subarray(number * hidden, (number + 1) * hidden), at * hidden);
      const { values, places } = this.#packed(texts, batch, part);
      const { gradients } = await this.#step.differentiate(values, this.parameters, { seed, texts: places });
      if (sum === undefined) {
        sum = gradients;
        continue;
      }
      addGradients(sum, gradients);
      this.#step.recycle(gradients);
    }
    return sum!;
  }

  /** Takes gradients back that nobody reads any more: later ones are written into their memory. */
  recycle(gradients: ReadonlyMap<string, Float32Array>): void {
    this.#last.recycle(gradients);
  }

  async close(): Promise<void> {
    await Promise.all([this.#step.close(), this.#whole?.close()]);
  }

  #cut(texts: readonly Int32Array[]): PackedBatch[] {
    const { miniBatchSize, miniBatchTokens = MINI_BATCH_TOKENS } = this.#limits;
    return packTexts(
      texts.map(({ length }) => length),
      { miniBatchSize, miniBatchTokens },
    );
  }

  /** @param slope the gradient with respect to the vectors, for a graph without the loss // [texts, hidden] */
  #packed(texts: readonly Int32Array[], batch: PackedBatch, slope?: Float32Array) {
    const { recipe, padId } = this.#base;
    const { values, places } = packedInputs(texts, batch, { padId, pooling: recipe.pooling });
    const shape = [places.length, recipe.config.hidden_size];
    return { values: slope ? { ...values, slope: { dtype: 'float32' as const, shape, data: slope } } : values, places };
  }

  /** The time of a pass, in units of a token without attention; that of attention grows with the length of the rows. */
  #cost({ rows, length }: PackedBatch): number {
    return rows.length * length * (1 + length / (2 * this.#base.recipe.config.hidden_size));
  }
}

/** Tokens of a pass if the user sets no limit: enough for full speed. */
export const MINI_BATCH_TOKENS = 4096;

/** How much longer a step takes that computes the vectors first: one pass forward more. */
const SECOND_PASS = 4 / 3;

const GIB = 2 ** 30;

function sizesOfBatch({ rows, length }: PackedBatch) {
  const texts = rows.reduce((sum, row) => sum + row.length, 0);
  return { batch: rows.length, sequence: length, slots: Math.max(...rows.map((row) => row.length)), texts };
}

function sizesOfLoss({ bias }: Values) {
  const [queries, documents] = bias!.shape;
  return { queries: queries!, documents: documents! };
}

/** What training starts from, under the names of the checkpoint. @throws UsageError if no layer has the name of a target module */
export function initialEncoder(base: RetrieverBase, options: PlanSettings): Promise<Parameters> {
  if (options.loraR !== undefined) checkTargets(base, options.loraTargetModules);
  return initialParameters(bertModel(base.checkpoint, base.recipe.config, planOf(options)));
}

type PlanSettings = Pick<
  RetrieverTrainingSettings,
  'loraR' | 'loraAlpha' | 'loraDropout' | 'loraTargetModules' | 'hiddenDropout' | 'seed'
>;

function addGradients(sum: Gradients, more: Gradients): void {
  for (const [name, data] of more) {
    const into = sum.get(name)!;
    for (let index = 0; index < into.length; index++) into[index] = into[index]! + data[index]!;
  }
}

/** Its gradient with respect to the vectors is the input `slope` // [texts, hidden] */
function surrogate(): Head {
  return (weights, x) => {
    const vectors = packedVectors(weights, x);
    const slope = weights.graph.input('slope', 'float32', vectors.shape);
    return { loss: ops.reduceSum(ops.multiply(vectors, slope), [0, 1]), outputs: { vectors } };
  };
}

function wholeHead(loss: ContrastiveLossSettings): Head {
  return (weights, x) => contrastiveLoss(packedVectors(weights, x), loss);
}

function planOf({
  loraR: rank,
  loraAlpha,
  loraDropout: dropout,
  loraTargetModules: targets,
  hiddenDropout,
  seed,
}: PlanSettings): BertModelOptions {
  // The pooler is a layer of BERT's that no vector passes through.
  if (rank === undefined) return { trains: () => true, hiddenDropout, packed: true };
  const scale = (loraAlpha ?? 2 * rank) / rank;
  return {
    adapter: (module) => (targets.some((target) => isTarget(module, target)) ? { rank, scale, dropout } : undefined),
    ...{ hiddenDropout, seed, packed: true },
  };
}

/** Whether a target names a module: the whole of it, or its end after a dot, as in PEFT. */
function isTarget(module: string, target: string): boolean {
  return module === target || module.endsWith(`.${target}`);
}

/** @throws UsageError if no linear layer of the encoder has the name of a target module */
function checkTargets({ checkpoint }: RetrieverBase, targets: readonly string[]): void {
  const modules = checkpoint
    .tensors()
    .filter(({ name, shape }) => name.includes('encoder.layer.') && name.endsWith('.weight') && shape.length === 2)
    .map(({ name }) => name.replace(/\.weight$/, ''));
  const kinds = [...new Set(modules.map((module) => module.replace(/^.*encoder\.layer\.\d+\./, '')))];
  for (const target of targets) {
    if (modules.some((module) => isTarget(module, target))) continue;
    throw new UsageError(`loraTargetModules: the encoder has no linear layer ${JSON.stringify(target)}`, {
      fix: `Use one or more of ${kinds.join(', ')}, or the part of these names after a dot.`,
    });
  }
}

function stepOptions(base: RetrieverBase, options: TrainedEncoderOptions): TrainingStepOptions {
  const { mode, memory, device, threads, cache, signal } = options;
  const { miniBatchSize = Number.POSITIVE_INFINITY, miniBatchTokens = MINI_BATCH_TOKENS } = options;
  const { maxLength, model } = base.recipe;
  const batch = Math.max(1, Math.min(miniBatchSize, Math.floor(miniBatchTokens / Math.min(maxLength, USUAL_LENGTH))));
  const sequence = Math.min(maxLength, Math.ceil(miniBatchTokens / batch));
  return {
    ...{ mode, device, threads, cache, signal, fingerprint: model.fingerprint, memory: memory * GIB },
    largest: { batch, sequence, slots: 1, texts: batch, queries: batch, documents: batch },
  };
}

/** Tokens of a long text of the usual data, by which the memory of a mini-batch is estimated. */
const USUAL_LENGTH = 128;
