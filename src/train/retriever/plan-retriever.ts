import { availableParallelism } from 'node:os';
import type { ResolvedModel } from '../../models/index.ts';
import { GRAPH_CACHE } from '../../nn/index.ts';
import { throwIfAborted } from '../../system/index.ts';
import { BatchPlan, totalSteps } from '../loop/batches.ts';
import { AdamW } from '../loop/optimizer.ts';
import { takeStep } from '../loop/step.ts';
import { loopSettingsOf, parseTrainingSettings } from '../loop/training-settings.ts';
import { ContrastiveTask, exampleTokens, lossSettings } from './contrastive-task.ts';
import { openRetrieverBase, type RetrieverBase } from './retriever-base.ts';
import type { RetrieverExample } from './retriever-example.ts';
import { type ExampleCounts, readExamples } from './retriever-examples.ts';
import {
  parseRetrieverSettings,
  type RetrieverTrainingInput,
  type RetrieverTrainingSettings,
} from './retriever-settings.ts';
import type { TrainRetrieverOptions } from './train-retriever.ts';
import { TrainedEncoder } from './trained-encoder.ts';

/** The memory of a training in bytes, apart from that of the program and its runtime. */
export interface RetrieverMemory {
  /** `blocks`: the activations of one layer at a time, computed twice. Undefined if no layer is trained. */
  mode: 'whole' | 'blocks' | undefined;
  /** The number of trained values. */
  parameters: number;
  /** Activations of the largest mini-batch. */
  activations: number;
  /** The encoder's weights, the trained values, their gradients, and AdamW's two running means. */
  weights: number;
  /** All of these. */
  bytes: number;
}

/** The cost of a training. */
export interface RetrieverPlan {
  counts: ExampleCounts;
  steps: number;
  stepsPerEpoch: number;
  /** Tokens of all steps, without padding. */
  tokens: number;
  memory: RetrieverMemory;
  /** Without evaluations. Null if it was not measured: a linear map has no steps. */
  seconds: number | null;
  /** What `seconds` is derived from: real steps, which are not kept. */
  probe: { steps: number; tokensPerSecond: number } | undefined;
}

const NUMBER_BYTES = 4;
/** Of each trained value: itself, its gradient, and two running means. */
const NUMBERS = 4;

/** Estimates the memory of a training from its graph. Reads the headers of the model only. @throws UsageError, ModelError, ResourceError */
export async function retrieverMemory(
  encoder: ResolvedModel,
  given: RetrieverTrainingInput,
  reading?: TrainRetrieverOptions['reading'],
): Promise<RetrieverMemory> {
  const settings = parseRetrieverSettings(given);
  const base = await openRetrieverBase(encoder, settings, reading);
  try {
    return memoryOf(base, settings);
  } finally {
    await base.close();
  }
}

function memoryOf(base: RetrieverBase, settings: RetrieverTrainingSettings): RetrieverMemory {
  const all = base.checkpoint.tensors().reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const hidden = base.recipe.config.hidden_size;
  const isMap = settings.train === 'projection' || settings.method === 'ridge';
  const step = isMap
    ? { mode: undefined, activations: 0, parameters: hidden * hidden }
    : TrainedEncoder.memory(base, { ...settings, threads: 1, cache: '' }, lossSettings(base, settings));
  const weights = NUMBER_BYTES * (all + NUMBERS * step.parameters);
  return { ...step, weights, bytes: step.activations + weights };
}

/** A probe ends after this time, in seconds. */
const PROBE_SECONDS = 8;
/** And after this many steps; the first one is not counted, because it also warms the runtime up. */
const PROBE_STEPS = 6;

/**
 * Reports what {@link trainRetriever} would do: reads the rows, counts steps, tokens and memory, and takes a few real steps to measure
 * their speed. Nothing is written but the compiled graphs in the cache.
 * @throws UsageError, DataError, ModelError, ResourceError; AbortedError after the signal
 */
export async function planRetriever(
  options: Pick<TrainRetrieverOptions, 'encoder' | 'reading' | 'rows' | 'settings' | 'threads' | 'cache' | 'signal'>,
): Promise<RetrieverPlan> {
  const settings = parseRetrieverSettings(options.settings ?? {});
  const base = await openRetrieverBase(options.encoder, settings, options.reading);
  try {
    const { examples, counts } = await readExamples(base, options.rows, settings, options);
    const memory = memoryOf(base, settings);
    const all = examples.reduce((sum, example) => sum + exampleTokens(example, settings), 0);
    if (settings.method === 'ridge') {
      return { counts, steps: 1, stepsPerEpoch: 1, tokens: all, memory, seconds: null, probe: undefined };
    }
    const steps = totalSteps(examples.length, settings);
    const { stepsPerEpoch } = new BatchPlan(examples.length, settings);
    const tokens = Math.round((all * steps) / stepsPerEpoch);
    const probe = await measure(base, examples, settings, options);
    return { counts, steps, stepsPerEpoch, tokens, memory, seconds: tokens / probe.tokensPerSecond, probe };
  } finally {
    await base.close();
  }
}

/** Takes the first steps of the training. */
async function measure(
  base: RetrieverBase,
  examples: readonly RetrieverExample[],
  settings: RetrieverTrainingSettings,
  { threads = availableParallelism(), cache, signal }: Pick<TrainRetrieverOptions, 'threads' | 'cache' | 'signal'>,
): Promise<{ steps: number; tokensPerSecond: number }> {
  const task = await ContrastiveTask.open(base, { settings, threads, cache: GRAPH_CACHE.folder(cache), signal });
  try {
    const loop = parseTrainingSettings(loopSettingsOf(settings));
    const optimizer = new AdamW(task.parameters, loop);
    const plan = new BatchPlan(examples.length, settings);
    const steps = totalSteps(examples.length, settings);
    const taken: { tokens: number; seconds: number }[] = [];
    const spent = () => taken.reduce((sum, { seconds }) => sum + seconds, 0);
    while (taken.length < Math.min(PROBE_STEPS, steps) && spent() < PROBE_SECONDS) {
      throwIfAborted(signal);
      const step = taken.length;
      const batch = Array.from(plan.batch(step), (index) => examples[index]!);
      const { tokens, tokensPerSecond } = await takeStep(task, optimizer, batch, {
        ...{ settings: loop, step, steps },
        ...(signal !== undefined && { signal }),
      });
      taken.push({ tokens, seconds: tokens / tokensPerSecond });
    }
    const counted = taken.length > 1 ? taken.slice(1) : taken;
    const sum = (name: 'tokens' | 'seconds') => counted.reduce((total, one) => total + one[name], 0);
    return { steps: counted.length, tokensPerSecond: Math.round(sum('tokens') / sum('seconds')) };
  } finally {
    await task.close();
  }
}
