import { deriveSeed, Random, ResourceError } from '../system/index.ts';
import {
  type BlockModel,
  blockGraphs,
  evaluationGraph,
  GRADIENT,
  type Head,
  LOSS,
  type StepGraphs,
  wholeGraph,
} from './block-model.ts';
import { type CompileOptions, compileGraphs } from './compiled-model.ts';
import type { Graph, Shape, Tensor } from './graph.ts';
import { readParameters } from './initial-parameters.ts';
import type { Parameters } from './parameters.ts';
import { peakBytes, sizeOf } from './peak-memory.ts';
import { Runtime } from './runtime.ts';
import type { Device, Value, Values } from './runtime-messages.ts';

const REPLAY = 'replay';

/** `whole`: every activation in memory at once. `blocks`: the activations of one block, each computed twice. */
export type StepMode = 'whole' | 'blocks';

export interface TrainingStepOptions extends CompileOptions {
  /** `auto` uses `whole` if its activations fit into `memory`. */
  mode: StepMode | 'auto';
  /** The memory for activations in bytes, for `auto`. */
  memory: number;
  /** The sizes of the largest micro-batch, by the names of the graph's dimensions, for `auto`. */
  largest: Readonly<Record<string, number>>;
  threads: number;
  device: Device;
  /** Whether {@link TrainingStep.forward} will be asked for. Default no. */
  replays?: boolean;
}

/** Where the tokens of a text are in the rows of a batch, counted from the first token of the first row. */
export interface TextPlace {
  /** Which text it is. */
  number: number;
  start: number;
  length: number;
}

/** What decides the masks of dropout. */
export interface DropoutSeed {
  seed: number;
  /**
   * The texts of the batch. With them a text's masks depend on its number alone, not on where it stands; other tokens are dropped.
   * Without, the masks of a batch are drawn as one.
   */
  texts?: readonly TextPlace[];
}

export interface StepResult {
  loss: number;
  outputs: Values;
  gradients: Map<string, Float32Array>;
}

/**
 * A compiled model with its loss. It evaluates micro-batches, and differentiates them with respect to its parameters.
 */
export class TrainingStep {
  /** The mode in use. */
  readonly mode: StepMode;
  readonly #graphs: Readonly<Record<string, Graph>>;
  readonly #runtime: Runtime;
  readonly #blocks: number;
  /** Memory of earlier gradients, by the names of the results. */
  readonly #spare = new Map<string, Float32Array>();

  private constructor(mode: StepMode, graphs: Readonly<Record<string, Graph>>, runtime: Runtime, blocks: number) {
    this.mode = mode;
    this.#graphs = graphs;
    this.#runtime = runtime;
    this.#blocks = blocks;
  }

  /**
   * Builds and compiles the graphs, reads the initial parameters, and starts a worker thread.
   * @throws ModelError if the checkpoint does not fit; ResourceError if no mode fits into the memory of `auto`
   */
  static async open(
    model: BlockModel,
    head: Head,
    options: TrainingStepOptions,
  ): Promise<{ step: TrainingStep; parameters: Parameters }> {
    const evaluation = evaluationGraph(model, head);
    const { mode, parts } = choose(model, head, options);
    const replay = options.replays ? evaluationGraph(model, head, true).graphs.evaluate : undefined;
    const graphs = { ...parts.graphs, ...evaluation.graphs, ...(replay?.masks.size && { [REPLAY]: replay }) };
    const { files } = await compileGraphs(graphs, new Map([...evaluation.loaders, ...parts.loaders]), options);
    const parameters = await readParameters(parts.parameters);
    const { threads, device } = options;
    const runtime = await Runtime.open(files, { threads, device, prepack: false, arena: mode === 'whole' });
    const step = new TrainingStep(mode, graphs, runtime, model.blocks.length);
    return { step, parameters };
  }

  /** Computes loss and outputs, without dropout. */
  async evaluate(batch: Values, parameters: Parameters): Promise<Omit<StepResult, 'gradients'>> {
    const outputs = await this.#run('evaluate', batch, parameters, { seed: 0 });
    return { loss: lossOf(outputs), outputs };
  }

  /** Computes loss and outputs with dropout on; the masks are those that {@link differentiate} draws with the same seed. */
  async forward(batch: Values, parameters: Parameters, seed: DropoutSeed): Promise<Omit<StepResult, 'gradients'>> {
    const outputs = await this.#run(this.#graphs[REPLAY] ? REPLAY : 'evaluate', batch, parameters, seed);
    return { loss: lossOf(outputs), outputs };
  }

  /**
   * Computes loss, outputs, and the gradient of the loss with respect to every parameter.
   * @param given the seed of dropout
   */
  async differentiate(batch: Values, parameters: Parameters, given: number | DropoutSeed): Promise<StepResult> {
    const seed = typeof given === 'number' ? { seed: given } : given;
    const gradients = new Map<string, Float32Array>();
    if (this.mode === 'whole') {
      const outputs = this.#collect(await this.#run('train', batch, parameters, seed), gradients);
      return { loss: lossOf(outputs), outputs, gradients };
    }
    const between = await this.#run('forward', batch, parameters, seed);
    const hidden = take(between, `hidden ${this.#blocks}`)!;
    const { upstream, ...rest } = await this.#run('head', batch, parameters, seed, { hidden });
    const outputs = this.#collect(rest, gradients);
    let flow = upstream;
    for (let index = this.#blocks - 1; flow !== undefined; index--) {
      const before = take(between, `hidden ${index}`);
      const given: Values = { upstream: flow, ...(before && { hidden: before }) };
      const { downstream, ...others } = await this.#run(`backward ${index}`, batch, parameters, seed, given);
      this.#collect(others, gradients);
      flow = downstream;
    }
    return { loss: lossOf(outputs), outputs, gradients };
  }

  /** Estimates the bytes of the activations of a batch with these sizes, by the names of the graph's dimensions. */
  activationBytes(sizes: Readonly<Record<string, number>>): number {
    const graphs = Object.entries(this.#graphs).filter(([name]) => name !== 'evaluate' && name !== REPLAY);
    return Math.max(...graphs.map(([, graph]) => peakBytes(graph, sizes)));
  }

  /** Takes gradients back that nobody reads any more: later ones are written into their memory. */
  recycle(gradients: ReadonlyMap<string, Float32Array>): void {
    for (const [name, data] of gradients) this.#spare.set(GRADIENT + name, data);
  }

  /** Ends the worker thread. */
  close(): Promise<void> {
    return this.#runtime.close();
  }

  /** Moves the gradients out of the results; those of a parameter in several graphs are added. */
  #collect(results: Values, gradients: Map<string, Float32Array>): Values {
    const outputs: Values = {};
    for (const [name, value] of Object.entries(results)) {
      if (name.startsWith(GRADIENT)) addTo(gradients, name.slice(GRADIENT.length), value.data as Float32Array);
      else outputs[name] = value;
    }
    return outputs;
  }

  /** Feeds a graph its inputs. Batch and parameters are lent, and hold the same memory again afterwards. */
  async #run(
    name: string,
    batch: Values,
    parameters: Parameters,
    { seed, texts }: DropoutSeed,
    between: Values = {},
  ): Promise<Values> {
    const graph = this.#graphs[name]!;
    const sizes = namedSizes(graph.inputs, { ...batch, ...between });
    const feeds: Values = {};
    for (const { name: input, shape } of graph.inputs) {
      const rate = graph.masks.get(input);
      feeds[input] =
        between[input] ??
        batch[input] ??
        (rate === undefined
          ? { dtype: 'float32', shape: parameters.shape(input), data: parameters.get(input) }
          : drawMask(shape, sizes, rate, { seed: deriveSeed(seed, input), ...(texts && { texts }) }));
    }
    try {
      return await this.#runtime.lend(name, feeds, graph.fillsResults ? this.#memoryFor(graph, sizes) : undefined);
    } finally {
      for (const [input, value] of Object.entries(feeds)) {
        if (parameters.has(input)) parameters.set(input, value.data as Float32Array);
        else if (batch[input] !== undefined) batch[input] = value;
      }
    }
  }

  /** Memory for the results of a graph; that of gradients is used again. */
  #memoryFor(graph: Graph, sizes: Readonly<Record<string, number>>): Values {
    const results: Values = {};
    for (const { name, shape } of graph.outputs) {
      const known = shape.map((dimension) => sizeOf(dimension, sizes));
      const size = known.reduce((product, one) => product * one, 1);
      const spare = this.#spare.get(name);
      this.#spare.delete(name);
      results[name] = { dtype: 'float32', shape: known, data: spare?.length === size ? spare : new Float32Array(size) };
    }
    return results;
  }
}

function addTo(gradients: Map<string, Float32Array>, name: string, data: Float32Array): void {
  const known = gradients.get(name);
  if (known === undefined) gradients.set(name, data);
  else for (let index = 0; index < known.length; index++) known[index]! += data[index]!;
}

function take(values: Values, name: string): Value | undefined {
  const value = values[name];
  delete values[name];
  return value;
}

function lossOf(outputs: Values): number {
  return Number(take(outputs, LOSS)!.data[0]);
}

/** Returns the sizes of the inputs' named dimensions, from the given shapes. @throws ModelError if two differ */
function namedSizes(inputs: readonly Tensor[], values: Values): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const { graph, name, shape } of inputs) {
    values[name]?.shape.forEach((size, axis) => {
      const dimension = shape[axis];
      if (typeof dimension !== 'string') return;
      if ((sizes[dimension] ?? size) !== size) {
        throw graph.fault(name, `${dimension} is ${size} here and ${sizes[dimension]} in another input`);
      }
      sizes[dimension] = size;
    });
  }
  return sizes;
}

/** Draws a mask: bytes of 1, with a fraction of 0; each draw uses 16 random bits. */
function drawMask(
  shape: Shape,
  sizes: Readonly<Record<string, number>>,
  rate: number,
  { seed, texts }: DropoutSeed,
): Value {
  const known = shape.map((dimension) => sizeOf(dimension, sizes));
  const data = new Uint8Array(known.reduce((product, size) => product * size, 1));
  const [width, limit] = [known.at(-1)!, Math.round(rate * 65536)];
  if (texts === undefined) drawPart(data, limit, seed);
  for (const { number, start, length } of texts ?? []) {
    drawPart(data.subarray(start * width, (start + length) * width), limit, deriveSeed(seed, number));
  }
  return { dtype: 'uint8', shape: known, data };
}

function drawPart(data: Uint8Array, limit: number, seed: number): void {
  const random = new Random(seed);
  for (let index = 0; index < data.length; index += 2) {
    const bits = random.bits();
    data[index] = (bits & 0xffff) >= limit ? 1 : 0;
    data[index + 1] = bits >>> 16 >= limit ? 1 : 0;
  }
}

type ModeOptions = Pick<TrainingStepOptions, 'mode' | 'memory' | 'largest'>;

/** What a step will take, without compiling or reading anything. */
export interface StepMemory {
  mode: StepMode;
  /** Bytes of activations with the largest micro-batch. */
  activations: number;
  /** The number of trained values. */
  parameters: number;
}

/** Estimates the memory of a step. @throws ResourceError if no mode fits into the memory of `auto` */
export function stepMemory(model: BlockModel, head: Head, options: ModeOptions): StepMemory {
  const { mode, parts } = choose(model, head, options);
  const activations = Math.max(...Object.values(parts.graphs).map((graph) => peakBytes(graph, options.largest)));
  const sizes = [...parts.parameters.values()].map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  return { mode, activations, parameters: sizes.reduce((sum, size) => sum + size, 0) };
}

function choose(model: BlockModel, head: Head, options: ModeOptions): { mode: StepMode; parts: StepGraphs } {
  const { mode, memory, largest } = options;
  const whole = mode === 'blocks' ? undefined : wholeGraph(model, head);
  if (whole !== undefined && (mode === 'whole' || peakBytes(whole.graphs.train!, largest) <= memory)) {
    return { mode: 'whole', parts: whole };
  }
  const parts = blockGraphs(model, head);
  const peak = Math.max(...Object.values(parts.graphs).map((graph) => peakBytes(graph, largest)));
  if (mode === 'auto' && peak > memory) {
    const [needed, allowed] = [peak, memory].map((bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`);
    throw new ResourceError(
      `activations take ${needed} even with one block at a time, but only ${allowed} are allowed`,
      {
        fix: 'Use fewer tokens per micro-batch, or allow more memory.',
      },
    );
  }
  return { mode: 'blocks', parts };
}
