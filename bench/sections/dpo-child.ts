import { readFileSync } from 'node:fs';
import type { PairRecord } from '../../src/data/index.ts';
import { ModelStore } from '../../src/models/index.ts';
import { type Progress, peakMemory } from '../../src/system/index.ts';
import { trainGenerator } from '../../src/train/index.ts';

/**
 * Runs DPO in its own process because the peak of resident memory is measured per process. Input (standard input): {@link DpoJob}.
 * Output: {@link DpoFigures}.
 */
export interface DpoJob {
  /** Transformers folder of the model. */
  folder: string;
  pairs: PairRecord[];
  out: string;
  cache: string;
  batchSize: number;
  /** The first is not counted. */
  steps: number;
  maxLength: number;
  microBatchTokens: number;
  mode: 'whole' | 'blocks';
  threads: number;
}

export interface DpoFigures {
  /** Seconds per step, the mean of all except the first. */
  step: number;
  /** Seconds for the reference log-probabilities of all pairs. */
  reference: number;
  /** Peak resident memory in bytes, including loading. */
  peak: number;
  /** Loss of each step. */
  losses: number[];
}

/** Measures the time of the reference log-probabilities. */
class Stopwatch implements Progress {
  seconds = 0;

  task(label: string) {
    const started = performance.now();
    const done = () => {
      if (label.startsWith('reference')) this.seconds = (performance.now() - started) / 1000;
    };
    return { advance() {}, skip() {}, note() {}, done };
  }
}

const job = JSON.parse(readFileSync(0, 'utf8')) as DpoJob;
console.log(JSON.stringify(await measure()));

async function measure(): Promise<DpoFigures> {
  const { folder, pairs, out, cache, batchSize, steps, maxLength, microBatchTokens, mode, threads } = job;
  const base = await new ModelStore({ offline: true }).resolve(folder, { kind: 'generator' });
  const [ends, losses]: [number[], number[]] = [[], []];
  const watch = new Stopwatch();
  await trainGenerator({
    ...{ base, pairs, out, cache, threads, progress: watch },
    settings: { batchSize, maxSteps: steps, maxLength, microBatchTokens, mode, devSize: 0, learningRate: 1e-4 },
    onStep: ({ values }) => {
      ends.push(performance.now());
      losses.push(values.loss!);
    },
  });
  const step = (ends.at(-1)! - ends[0]!) / 1000 / (steps - 1);
  return { step, reference: watch.seconds, peak: peakMemory(), losses };
}
