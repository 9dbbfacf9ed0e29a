import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/models/index.ts';
import {
  type BlockModel,
  bertConfigSchema,
  bertModel,
  bertVectors,
  type Head,
  llamaConfigSchema,
  llamaLogProbabilities,
  llamaModel,
  operations,
  type PlanOptions,
  type TensorSource,
  TrainingStep,
  type Values,
} from '../../src/nn/index.ts';
import { peakMemory } from '../../src/system/index.ts';
import { median } from '../harness.ts';
import { type LLAMA_1B, randomModel } from '../random-models.ts';

/**
 * Runs training steps in their own process because the peak of resident memory is measured per process. Input (standard input):
 * {@link StepJob}. Output: {@link StepFigures}.
 */
export interface StepJob {
  /** `bert`: contrastive loss, every weight. `lora`: loss over completions, rank 8 on q and v. */
  task: 'bert' | 'lora';
  /** Folder with config.json and the checkpoint, or a shape with random weights that are never all in memory. */
  model: string | typeof LLAMA_1B;
  /** Storage of frozen matrices. */
  storage: NonNullable<PlanOptions['storage']>;
  /** Token ids // [batch, sequence] */
  ids: number[][];
  /** Number of last tokens of each text that the loss covers. */
  scored: number;
  /** Rows of logits in memory at the same time. */
  rows: number;
  mode: 'whole' | 'blocks';
  cache: string;
  threads: number;
  repetitions: number;
}

export interface StepFigures {
  /** Seconds of forward and backward. */
  step: number;
  /** Seconds of the loss alone. */
  forward: number;
  /** Peak resident memory in bytes during steps. */
  peak: number;
  /** The same, including loading and compiling. */
  wholePeak: number;
  loss: number;
}

export const TEMPERATURE = 0.05;
const LORA = { rank: 8, scale: 2, dropout: 0 };

const job = JSON.parse(readFileSync(0, 'utf8')) as StepJob;
const { batch, sequence } = { batch: job.ids.length, sequence: job.ids[0]!.length };
console.log(JSON.stringify(await measure()));

async function measure(): Promise<StepFigures> {
  const { model, head, values } = job.task === 'bert' ? await contrastive() : await completions();
  const { cache, threads, mode } = job;
  const settings = { cache, fingerprint: JSON.stringify(job.model), mode, memory: 0, largest: {}, threads };
  const { step, parameters } = await TrainingStep.open(model, head, { ...settings, device: 'cpu' });
  const loading = peakMemory();
  resetPeak();
  let loss = 0;
  const differentiate = async () => {
    const result = await step.differentiate(values, parameters, 0);
    loss = result.loss;
    step.recycle(result.gradients);
  };
  const seconds = await timed(differentiate);
  const peak = peakMemory();
  const forward = await timed(() => step.evaluate(values, parameters));
  await step.close();
  return { step: seconds, forward, peak, wholePeak: Math.max(loading, peak), loss };
}

async function contrastive(): Promise<{ model: BlockModel; head: Head; values: Values }> {
  const { source, json } = await load();
  const config = bertConfigSchema.parse(json);
  const head: Head = (weights, x) => {
    const { graph } = weights;
    const vectors = bertVectors(weights, x, { pooling: 'mean', normalize: true });
    const rows = (name: string) => operations.gather(vectors, graph.input(name, 'int32', ['pairs']));
    const scale = 1 / TEMPERATURE;
    const similarities = operations.matmul(rows('queries'), rows('documents'), { transposeB: true, scale });
    const logs = operations.pickLast(operations.logSoftmax(similarities), graph.input('own', 'int32', ['pairs']));
    return { loss: operations.negate(operations.reduceMean(logs, 0)), outputs: {} };
  };
  const pairs = batch / 2;
  const rows = (from: number) =>
    int32(
      [pairs],
      Int32Array.from({ length: pairs }, (_, at) => from + at),
    );
  const values = {
    ids: int32([batch, sequence], Int32Array.from(job.ids.flat())),
    lengths: int32([batch], new Int32Array(batch).fill(sequence)),
    ...{ queries: rows(0), documents: rows(pairs), own: rows(0) },
  };
  return { model: bertModel(source, config, { trains: () => true }), head, values };
}

async function completions(): Promise<{ model: BlockModel; head: Head; values: Values }> {
  const { source, json } = await load();
  const config = llamaConfigSchema.parse(json);
  const head: Head = (weights, x) => {
    const logs = llamaLogProbabilities(weights, config, x);
    return { loss: operations.negate(operations.reduceMean(logs, [0, 1])), outputs: {} };
  };
  const adapter = (module: string) => (/\.[qv]_proj$/.test(module) ? LORA : undefined);
  const tokens = Int32Array.from(job.ids.flat());
  const scored = tokens.map((_, at) => at).filter((at) => at % sequence >= sequence - job.scored - 1);
  const before = scored.filter((at) => at % sequence !== sequence - 1);
  const chunks = [before.length / job.rows, job.rows];
  const shape = [batch, sequence];
  const values = {
    tokens: int32(shape, tokens),
    positions: int32(
      shape,
      tokens.map((_, at) => at % sequence),
    ),
    text: int32(shape, new Int32Array(tokens.length)),
    branch: int32(shape, new Int32Array(tokens.length)),
    scored: int32(chunks, before),
    targets: int32(
      chunks,
      before.map((at) => tokens[at + 1]!),
    ),
  };
  return { model: llamaModel(source, config, { adapter, storage: job.storage }), head, values };
}

async function load(): Promise<{ source: TensorSource; json: unknown }> {
  const { model } = job;
  if (typeof model !== 'string') return { source: randomModel(model), json: model };
  return { source: await openCheckpoint(model), json: JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) };
}

function int32(shape: number[], data: Int32Array): Values[string] {
  return { dtype: 'int32', shape, data };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const seconds: number[] = [];
  for (let repetition = 0; repetition <= job.repetitions; repetition++) {
    const started = performance.now();
    await work();
    if (repetition > 0) seconds.push((performance.now() - started) / 1000);
  }
  return median(seconds);
}

function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // No such file outside Linux: the peak then includes loading.
  }
}
