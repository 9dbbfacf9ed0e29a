import { Parameters, type Value, type Values } from '../../nn/index.ts';
import { throwIfAborted, UsageError } from '../../system/index.ts';
import type { MicroBatchResult, TrainingTask } from '../loop/training-task.ts';
import { type ContrastiveBatch, planContrastiveBatch, sideOf, sidesOf, weightedTexts } from './contrastive-batch.ts';
import { type ContrastiveLossSettings, PROJECTION } from './contrastive-losses.ts';
import { FrozenEncoder } from './frozen-encoder.ts';
import type { Guide } from './guide.ts';
import { LossGraph } from './loss-graph.ts';
import { int32, lossInputs } from './loss-inputs.ts';
import type { RetrieverBase } from './retriever-base.ts';
import type { RetrieverExample } from './retriever-example.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';
import { TrainedEncoder } from './trained-encoder.ts';

export interface ContrastiveTaskOptions {
  settings: RetrieverTrainingSettings;
  /** Filters false negatives of the training rows and of the development rows, instead of the trained encoder itself. */
  guides?: Guides | undefined;
  threads: number;
  /** Folder of compiled models. */
  cache: string;
  signal?: AbortSignal | undefined;
}

/** Vectors of a guide for both sides of the rows. */
export interface Guides {
  train: Guide;
  dev: Guide | undefined;
}

interface CallOptions {
  total: number;
  signal?: AbortSignal;
}

/** What the metrics of a batch need of its inputs. */
interface CountedInputs {
  /** Negative for documents that do not count as negatives // [queries, documents] */
  bias: Float32Array;
  negatives: number;
  total: number;
}

/** What computes: of the encoders only those that the training asks for. */
interface Parts {
  trained: TrainedEncoder | undefined;
  frozen: FrozenEncoder | undefined;
  loss: LossGraph;
}

/**
 * Contrastive training of an encoder. A batch comes whole, since each of its documents is a candidate of all its queries; it goes
 * through the encoder in mini-batches, and its gradients do not depend on their size.
 *
 * Metrics are means over queries: `accuracy` (share of queries whose positive is the most similar of the documents that count),
 * `similarity` of query and positive, and `negatives`, how many documents count as such.
 */
export class ContrastiveTask implements TrainingTask<RetrieverExample> {
  readonly parameters: Parameters;
  readonly #base: RetrieverBase;
  readonly #settings: RetrieverTrainingSettings;
  readonly #parts: Parts;
  readonly #guides: Guides | undefined;
  /** Batches that went through the encoder once, being small; the others went twice. */
  batchesInOnePiece = 0;

  private constructor(
    base: RetrieverBase,
    settings: RetrieverTrainingSettings,
    parts: Parts,
    guides: Guides | undefined,
  ) {
    this.#guides = guides;
    this.#base = base;
    this.#settings = settings;
    this.#parts = parts;
    this.parameters = parts.trained?.parameters ?? freshProjection(base);
  }

  /** @throws UsageError for settings that do not go together; ModelError, ResourceError */
  static async open(
    base: RetrieverBase,
    { settings, guides, threads, cache, signal }: ContrastiveTaskOptions,
  ): Promise<ContrastiveTask> {
    checkSizes(base, settings);
    const { train, method, loraR } = settings;
    const loss = lossSettings(base, settings, guides !== undefined);
    const compute = { ...settings, threads, cache, signal };
    const whole = loss.frozenDocuments ? undefined : loss;
    const trained = train === 'projection' ? undefined : await TrainedEncoder.open(base, { ...compute, loraR }, whole);
    const needsFrozen = loss.frozenDocuments || method === 'distil';
    const frozen = needsFrozen ? await FrozenEncoder.open(base, { threads, cache, signal }) : undefined;
    const hidden = base.recipe.config.hidden_size;
    const parts = { trained, frozen, loss: await LossGraph.open(loss, { hidden, threads, cache, signal }) };
    return new ContrastiveTask(base, settings, parts, guides);
  }

  /** Which way of computing was taken; `whole` if the encoder is not trained. */
  get mode(): 'whole' | 'blocks' {
    return this.#parts.trained?.mode ?? 'whole';
  }

  weigh(): number {
    return 1;
  }

  tokens(example: RetrieverExample): number {
    return exampleTokens(example, this.#settings);
  }

  async gradients(
    examples: readonly RetrieverExample[],
    { total, seed, signal }: CallOptions & { seed: number },
  ): Promise<MicroBatchResult> {
    throwIfAborted(signal);
    const { trained, loss } = this.#parts;
    const batch = planContrastiveBatch(examples, this.#settings, seed);
    const { texts, values, counted } = await this.#inputs(batch, total, { guide: this.#guides?.train, signal });
    const piece = trained?.onePiece(texts, values);
    if (trained !== undefined && piece !== undefined) {
      this.batchesInOnePiece++;
      const result = await trained.wholeStep(texts, piece, values, seed);
      const metrics = this.#metrics(batch, result.outputs.similarities!, counted);
      return { loss: result.loss, metrics, gradients: result.gradients };
    }
    if (trained === undefined) {
      const vectors = await this.#parts.frozen!.vectors(texts, signal);
      const result = await loss.run(vectors, values, this.parameters.get(PROJECTION));
      const metrics = this.#metrics(batch, result.similarities, counted);
      return { loss: result.loss, metrics, gradients: new Map([[PROJECTION, result.gradient]]) };
    }
    const vectors = await trained.vectors(texts, seed, signal);
    const result = await loss.run(vectors, values);
    const gradients = await trained.backward(texts, result.gradient, seed, signal);
    return {
      loss: result.loss,
      metrics: this.#metrics(batch, result.similarities, counted),
      gradients,
    };
  }

  async evaluate(
    examples: readonly RetrieverExample[],
    { total, signal }: CallOptions,
  ): Promise<Omit<MicroBatchResult, 'gradients'>> {
    throwIfAborted(signal);
    const { trained, frozen, loss } = this.#parts;
    const batch = planContrastiveBatch(examples, this.#settings, undefined);
    const { texts, values, counted } = await this.#inputs(batch, total, { guide: this.#guides?.dev, signal });
    const vectors =
      trained === undefined ? await frozen!.vectors(texts, signal) : await trained.vectors(texts, undefined, signal);
    const projection = trained === undefined ? this.parameters.get(PROJECTION) : undefined;
    const result = await loss.run(vectors, values, projection);
    return { loss: result.loss, metrics: this.#metrics(batch, result.similarities, counted) };
  }

  recycle(gradients: ReadonlyMap<string, Float32Array>): void {
    this.#parts.trained?.recycle(gradients);
  }

  async close(): Promise<void> {
    const { trained, frozen, loss } = this.#parts;
    await Promise.all([trained?.close(), frozen?.close(), loss.close()]);
  }

  /** The texts whose vectors are learnt, those of queries first, and what the loss needs beside their vectors. */
  async #inputs(
    batch: ContrastiveBatch,
    total: number,
    { guide, signal }: { guide: Guide | undefined; signal: AbortSignal | undefined },
  ) {
    const { method, train } = this.#settings;
    const documents = batch.documents.map(({ tokens }) => tokens);
    const learnt = train === 'both' ? [...batch.queryTexts, ...documents] : batch.queryTexts;
    const { values, negatives: allowed } = lossInputs(batch, { texts: learnt.length, total }, this.#settings);
    const forbidden = (await guide?.forbid(values.bias!.data as Float32Array, batch, this.#settings)) ?? 0;
    const negatives = allowed - forbidden;
    if (train === 'both') {
      values.columns = int32(documents.map((_document, index) => batch.queryTexts.length + index));
    } else {
      values.documents = this.#table(await this.#parts.frozen!.vectors(documents, signal));
    }
    if (method === 'distil') values.teacher = this.#table(await this.#teacher(batch, signal));
    // A run takes the inputs' buffers away.
    const counted: CountedInputs = { bias: (values.bias!.data as Float32Array).slice(), negatives, total };
    return { texts: learnt, values: values as Values, counted };
  }

  /** The expanded queries' vectors by the encoder as it came // [queries, hidden] */
  async #teacher({ queries }: ContrastiveBatch, signal: AbortSignal | undefined): Promise<Float32Array> {
    return teacherVectors(
      this.#base,
      this.#parts.frozen!,
      queries.map(({ example }) => example),
      { alpha: this.#settings.alpha, signal },
    );
  }

  #table(data: Float32Array): Value {
    const hidden = this.#base.recipe.config.hidden_size;
    return { dtype: 'float32', shape: [data.length / hidden, hidden], data };
  }

  #metrics({ queries, documents }: ContrastiveBatch, { data }: Value, { bias, negatives, total }: CountedInputs) {
    const similarities = data as Float32Array;
    const width = documents.length;
    let [accurate, similarity] = [0, 0];
    for (const [index, { target }] of queries.entries()) {
      const row = similarities.subarray(index * width, (index + 1) * width);
      similarity += row[target]!;
      if (!row.some((one, column) => one > row[target]! && bias[index * width + column] === 0)) accurate++;
    }
    return { accuracy: accurate / total, similarity: similarity / total, negatives: negatives / total };
  }
}

/**
 * The vectors that a student is drawn to: the mean of query and expansions by the frozen encoder, not scaled to length 1 at the end
 * // [examples, hidden]
 */
export async function teacherVectors(
  { recipe }: RetrieverBase,
  frozen: FrozenEncoder,
  examples: readonly RetrieverExample[],
  { alpha, signal }: { alpha: number; signal?: AbortSignal | undefined },
): Promise<Float32Array> {
  const hidden = recipe.config.hidden_size;
  const parts = examples.map((example) => weightedTexts(example, 'mean', alpha));
  const vectors = await frozen.vectors(
    parts.flatMap((texts) => texts.map(({ tokens }) => tokens)),
    signal,
  );
  const result = new Float32Array(examples.length * hidden);
  let at = 0;
  for (const [row, texts] of parts.entries()) {
    const target = result.subarray(row * hidden, (row + 1) * hidden);
    for (const { weight } of texts) {
      const vector = vectors.subarray(at * hidden, ++at * hidden);
      const factor = weight / (recipe.normalize ? lengthOf(vector) : 1);
      for (let index = 0; index < hidden; index++) target[index] = target[index]! + factor * vector[index]!;
    }
  }
  return result;
}

/** Tokens that a step reads of an example: those of its query's side, of one positive, and of its share of negatives. */
export function exampleTokens(example: RetrieverExample, settings: RetrieverTrainingSettings): number {
  const wanted = sideOf(settings);
  const side = wanted === 'mixed' ? sidesOf(example)[0]! : wanted;
  const asked = weightedTexts(example, side, settings.alpha).map(({ tokens }) => tokens);
  const read = [example.positives[0]!, ...example.negatives.slice(0, settings.groupSize - 1)];
  return [...asked, ...read.map(({ tokens }) => tokens)].reduce((sum, { length }) => sum + length, 0);
}

/** Euclidean length, 1e-12 at least. */
export function lengthOf(vector: Float32Array): number {
  return Math.max(1e-12, Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)));
}

/** @throws UsageError for a size of vectors that the encoder does not have */
function checkSizes({ recipe }: RetrieverBase, { matryoshka = [] }: RetrieverTrainingSettings): void {
  const { hidden_size: hidden } = recipe.config;
  const wrong = matryoshka.find((size) => size > hidden);
  if (wrong === undefined) return;
  throw new UsageError(`matryoshka: ${wrong} numbers of a vector that has ${hidden}`, {
    fix: `Give ${hidden} at most.`,
  });
}

export /** @param isGuided the margins are those of a guide */
function lossSettings(
  { recipe }: RetrieverBase,
  settings: RetrieverTrainingSettings,
  isGuided = false,
): ContrastiveLossSettings {
  const { method, train, similarity, temperature, infonceWeight, absoluteMargin, relativeMargin, matryoshka } =
    settings;
  return {
    method: method === 'ridge' ? 'distil' : method,
    ...{ similarity, temperature, infonceWeight, matryoshka },
    ...(isGuided ? {} : { absoluteMargin, relativeMargin }),
    normalize: recipe.normalize,
    frozenDocuments: train !== 'both',
    projected: train === 'projection',
  };
}

function freshProjection({ recipe }: RetrieverBase): Parameters {
  const size = recipe.config.hidden_size;
  return new Parameters([{ name: PROJECTION, shape: [size, size], data: new Float32Array(size * size) }]);
}
