import {
  type BertModelOptions,
  bertModel,
  bertVectors,
  type Head,
  operations as ops,
  type Parameters,
  type StepMemory,
  stepMemory,
  TrainingStep,
  type TrainingStepOptions,
  type Values,
} from '../../nn/index.ts';
import { throwIfAborted, UsageError } from '../../system/index.ts';
import { type ContrastiveLossSettings, contrastiveLoss } from './contrastive-losses.ts';
import { cutMiniBatches, type MiniBatch, type MiniBatchLimits, paddedTexts } from './mini-batches.ts';
import type { RetrieverBase } from './retriever-base.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';

export interface TrainedEncoderOptions
  extends MiniBatchLimits,
    Pick<
      RetrieverTrainingSettings,
      | 'loraR'
      | 'loraAlpha'
      | 'loraDropout'
      | 'loraTargetModules'
      | 'hiddenDropout'
      | 'seed'
      | 'mode'
      | 'memory'
      | 'device'
    > {
  threads: number;
  cache: string;
  signal?: AbortSignal | undefined;
}

/** A sum of gradients by parameter. */
export type Gradients = Map<string, Float32Array>;

/**
 * An encoder that learns, by mini-batches of any size: vectors first, then, once the gradient of the loss with respect to them is
 * known, each mini-batch again with its part of that gradient (GradCache: Gao et al. 2021, arXiv 2101.06983). The masks of dropout
 * are a text's own, so that both times, and however the texts are cut, they are the same.
 */
export class TrainedEncoder {
  readonly parameters: Parameters;
  readonly #base: RetrieverBase;
  readonly #step: TrainingStep;
  readonly #whole: TrainingStep | undefined;
  readonly #limits: MiniBatchLimits;

  private constructor(
    base: RetrieverBase,
    { step, parameters }: { step: TrainingStep; parameters: Parameters },
    whole: TrainingStep | undefined,
    limits: MiniBatchLimits,
  ) {
    this.#base = base;
    this.#step = step;
    this.parameters = parameters;
    this.#whole = whole;
    this.#limits = limits;
  }

  /**
   * @param loss of batches that fit in one mini-batch, which then need no second pass; none if it needs more than the encoder
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
    const opened = await TrainingStep.open(model, surrogate(base), { ...compute, replays: true });
    try {
      const whole = loss && (await TrainingStep.open(model, wholeHead(base, loss), compute)).step;
      return new TrainedEncoder(base, opened, whole, options);
    } catch (error) {
      await opened.step.close();
      throw error;
    }
  }

  /** What the training of this encoder will take, without opening it. @throws UsageError, ResourceError as {@link open} */
  static memory(base: RetrieverBase, options: TrainedEncoderOptions, loss: ContrastiveLossSettings): StepMemory {
    if (options.loraR !== undefined) checkTargets(base, options.loraTargetModules);
    const model = bertModel(base.checkpoint, base.recipe.config, planOf(options));
    const compute = stepOptions(base, options);
    const parts = [surrogate(base), ...(loss.frozenDocuments ? [] : [wholeHead(base, loss)])];
    const all = parts.map((head) => stepMemory(model, head, compute));
    return all.reduce((most, other) => (other.activations > most.activations ? other : most));
  }

  get mode(): TrainingStep['mode'] {
    return this.#step.mode;
  }

  /** The one mini-batch that holds all the texts, if they fit and little would be padded, and this encoder has the loss. */
  onePiece(texts: readonly Int32Array[]): MiniBatch | undefined {
    if (this.#whole === undefined) return undefined;
    const batches = cutMiniBatches(
      texts.map(({ length }) => length),
      this.#limits,
    );
    const tokens = texts.reduce((sum, { length }) => sum + length, 0);
    const [only] = batches;
    if (only === undefined || batches.length > 1 || only.rows.length * only.longest > MOST_PADDING * tokens)
      return undefined;
    return { rows: texts.map((_text, row) => row), longest: only.longest };
  }

  /** Loss and gradients of a batch in one piece. @param inputs of the loss */
  async wholeStep(texts: readonly Int32Array[], batch: MiniBatch, inputs: Values, seed: number) {
    const values = { ...paddedTexts(texts, batch, this.#base.padId), ...inputs };
    return this.#whole!.differentiate(values, this.parameters, { seed, rows: batch.rows });
  }

  /** Pooled vectors, not normalised // [texts, hidden]. @param seed of dropout; none leaves it off */
  async vectors(texts: readonly Int32Array[], seed: number | undefined, signal?: AbortSignal): Promise<Float32Array> {
    const hidden = this.#base.recipe.config.hidden_size;
    const result = new Float32Array(texts.length * hidden);
    for (const batch of this.#cut(texts)) {
      throwIfAborted(signal);
      const values = this.#values(texts, batch, new Float32Array(batch.rows.length * hidden));
      const run =
        seed === undefined
          ? this.#step.evaluate(values, this.parameters)
          : this.#step.forward(values, this.parameters, { seed, rows: batch.rows });
      const rows = (await run).outputs.vectors!.data as Float32Array;
      for (const [at, row] of batch.rows.entries()) {
        result.set(rows.subarray(at * hidden, (at + 1) * hidden), row * hidden);
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
    const hidden = this.#base.recipe.config.hidden_size;
    let sum: Gradients | undefined;
    for (const batch of this.#cut(texts)) {
      throwIfAborted(signal);
      const part = new Float32Array(batch.rows.length * hidden);
      for (const [at, row] of batch.rows.entries())
        part.set(upstream.subarray(row * hidden, (row + 1) * hidden), at * hidden);
      const values = this.#values(texts, batch, part);
      const { gradients } = await this.#step.differentiate(values, this.parameters, { seed, rows: batch.rows });
      if (sum === undefined) sum = gradients;
      else addGradients(sum, gradients);
    }
    return sum!;
  }

  async close(): Promise<void> {
    await Promise.all([this.#step.close(), this.#whole?.close()]);
  }

  #cut(texts: readonly Int32Array[]): MiniBatch[] {
    return cutMiniBatches(
      texts.map(({ length }) => length),
      this.#limits,
    );
  }

  #values(texts: readonly Int32Array[], batch: MiniBatch, upstream: Float32Array): Values {
    const shape = [batch.rows.length, this.#base.recipe.config.hidden_size];
    return { ...paddedTexts(texts, batch, this.#base.padId), slope: { dtype: 'float32', shape, data: upstream } };
  }
}

/** A batch of one piece may be so many times its tokens: beyond that a second pass over tight mini-batches is cheaper. */
const MOST_PADDING = 1.3;

function addGradients(sum: Gradients, more: Gradients): void {
  for (const [name, data] of more) {
    const into = sum.get(name)!;
    for (let index = 0; index < into.length; index++) into[index] = into[index]! + data[index]!;
  }
}

/** Its gradient with respect to the vectors is the input `slope` // [batch, hidden] */
function surrogate({ recipe }: RetrieverBase): Head {
  return (weights, x) => {
    const vectors = bertVectors(weights, x, { pooling: recipe.pooling, normalize: false });
    const slope = weights.graph.input('slope', 'float32', vectors.shape);
    return { loss: ops.reduceSum(ops.multiply(vectors, slope), [0, 1]), outputs: { vectors } };
  };
}

function wholeHead({ recipe }: RetrieverBase, loss: ContrastiveLossSettings): Head {
  return (weights, x) => contrastiveLoss(bertVectors(weights, x, { pooling: recipe.pooling, normalize: false }), loss);
}

function planOf({
  loraR: rank,
  loraAlpha,
  loraDropout: dropout,
  loraTargetModules: targets,
  hiddenDropout,
  seed,
}: TrainedEncoderOptions): BertModelOptions {
  // The pooler is a layer of BERT's that no vector passes through.
  if (rank === undefined) return { trains: () => true, hiddenDropout };
  const scale = (loraAlpha ?? 2 * rank) / rank;
  return {
    adapter: (module) => (targets.some((target) => isTarget(module, target)) ? { rank, scale, dropout } : undefined),
    ...{ hiddenDropout, seed },
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
  const { mode, memory, device, threads, cache, signal, miniBatchSize, miniBatchTokens } = options;
  const { maxLength, model } = base.recipe;
  const batch = Math.max(1, Math.min(miniBatchSize, Math.floor(miniBatchTokens / Math.min(maxLength, 128))));
  const sequence = Math.min(maxLength, Math.ceil(miniBatchTokens / batch));
  const sizes = { batch, sequence, queries: batch, documents: batch };
  return {
    ...{ mode, device, threads, cache, signal, fingerprint: model.fingerprint, memory: memory * 2 ** 30 },
    largest: sizes,
  };
}
