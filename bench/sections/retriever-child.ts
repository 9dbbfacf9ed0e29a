import { readFileSync } from 'node:fs';
import { ModelStore } from '../../src/models/index.ts';
import { trainRetriever } from '../../src/train/index.ts';

/**
 * Trains a retriever in its own process because the peak of resident memory is measured per process. Input (standard input):
 * {@link RetrieverJob}. Output: {@link RetrieverFigures}.
 */
export interface RetrieverJob {
  /** Folder of the encoder. */
  folder: string;
  /** The rows of the batch, one document per query; each step trains on all of them. */
  queries: string[];
  documents: string[];
  out: string;
  cache: string;
  /** The first is not counted. */
  steps: number;
  /** GiB for the activations of our side. */
  memory: number;
  /** Texts of a mini-batch of the peer; 0: it keeps the activations of the whole batch. */
  miniBatch: number;
  threads: number;
}

export interface RetrieverFigures {
  /** Seconds per step, the mean of all except the first. */
  step: number;
  /** Processor seconds of these steps, all threads together. */
  cpu: number;
  /** Peak resident memory in bytes, including loading. */
  peak: number;
  /** Loss of each step. */
  losses: number[];
}

const LEARNING_RATE = 2e-5;
const TEMPERATURE = 0.02;

const job = JSON.parse(readFileSync(0, 'utf8')) as RetrieverJob;
console.log(JSON.stringify(await measure()));

async function measure(): Promise<RetrieverFigures> {
  const { folder, queries, documents, out, cache, steps, memory, threads } = job;
  const encoder = await new ModelStore({ offline: true }).resolve(folder, { kind: 'encoder' });
  const [times, losses]: [{ wall: number; cpu: number }[], number[]] = [[], []];
  const rows = queries.map((query, at) => ({
    ...{ id: `q${at}`, query, expansions: [], negatives: [] },
    positives: [{ id: `d${at}`, text: documents[at]! }],
  }));
  const { peakBytes } = await trainRetriever({
    ...{ encoder, rows, out, cache, threads },
    settings: {
      ...{ querySide: 'query', groupSize: 1, temperature: TEMPERATURE, learningRate: LEARNING_RATE },
      ...{ lrScheduler: 'constant', warmupSteps: 0, batchSize: rows.length, maxSteps: steps, saveSteps: steps + 1 },
      ...{ memory, mode: 'whole' },
    },
    onStep: ({ values }) => {
      times.push({ wall: performance.now() / 1e3, cpu: cpuSeconds() });
      losses.push(values.loss!);
    },
  });
  const [first, last] = [times[0]!, times.at(-1)!];
  const counted = times.length - 1;
  return {
    ...{ step: (last.wall - first.wall) / counted, cpu: (last.cpu - first.cpu) / counted },
    ...{ peak: peakBytes, losses },
  };
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
