import { readFileSync } from 'node:fs';
import type { PairRecord } from '../../src/data/index.ts';
import { ModelStore } from '../../src/models/index.ts';
import type { Progress } from '../../src/system/index.ts';
import { trainGenerator } from '../../src/train/index.ts';

/**
 * DPO in a process of its own, since the peak of resident memory is one a process.
 * In (standard input): {@link DpoJob}. Out: {@link DpoFigures}.
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
  /** Seconds of a step, the mean of all but the first. */
  step: number;
  /** Seconds of the reference log-probabilities of all pairs. */
  reference: number;
  /** Bytes of resident memory at most, loading included. */
  peak: number;
  /** Of each step. */
  losses: number[];
}

/** Takes the time of the reference log-probabilities. */
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
  return { step, reference: watch.seconds, peak: process.resourceUsage().maxRSS * 1024, losses };
}
