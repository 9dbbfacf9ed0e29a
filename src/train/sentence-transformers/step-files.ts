import { join } from 'node:path';
import { writeSafetensors } from '../../models/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { DurableFile, deriveSeed, isThere, makeFolder, throwIfAborted, writeDurably } from '../../system/index.ts';
import { BatchPlan, totalSteps } from '../loop/batches.ts';
import { type ContrastiveBatch, planContrastiveBatch, weightedTexts } from '../retriever/contrastive-batch.ts';
import { DistinctBatches } from '../retriever/distinct-batches.ts';
import { forbiddenColumns } from '../retriever/loss-inputs.ts';
import type { RetrieverExample } from '../retriever/retriever-example.ts';
import type { RetrieverTrainingSettings } from '../retriever/retriever-settings.ts';

export const DATA_FOLDER = 'data';
const STEPS = 'steps.jsonl';
const DEV_STEPS = 'dev-steps.jsonl';

const TEXTS_AT_A_TIME = 4096;

/** What the steps of a run learn from. */
export interface StepData {
  train: readonly RetrieverExample[];
  dev: readonly RetrieverExample[];
  settings: RetrieverTrainingSettings;
}

/** How many steps a run has, and how many of them are one pass over the rows. */
export interface StepCounts {
  steps: number;
  stepsPerEpoch: number;
}

export function countSteps({ train, settings }: Pick<StepData, 'train' | 'settings'>): StepCounts {
  const stepsPerEpoch = Math.ceil(train.length / settings.batchSize);
  return { steps: totalSteps(train.length, settings), stepsPerEpoch };
}

/**
 * Writes every batch of a run, and of its evaluations, as the local engine would take it: the texts as tokens, and by batch which texts
 * the queries are made of, which documents there are, and which of them may not count as negatives. Files that are there are complete.
 * @param initial the values of an adapter to start from
 * @returns rows of the last epoch that share a batch with a duplicate
 */
export async function writeSteps(
  folder: string,
  { train, dev, settings }: StepData,
  initial: Parameters | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  const place = join(folder, DATA_FOLDER);
  await makeFolder(place);
  const distinct = new DistinctBatches(train);
  const { steps } = countSteps({ train, settings });
  const plan = new BatchPlan(train.length, settings, distinct.arrange);
  // The last file: where it stands, the others are whole.
  if (await isThere(join(place, STEPS))) {
    if (steps > 0) plan.batch(steps - 1);
    return distinct.fallbacks;
  }
  if (initial !== undefined) {
    const tensors = initial.names().map((name) => ({ name, shape: initial.shape(name), data: initial.get(name) }));
    await writeSafetensors(join(place, 'initial.safetensors'), tensors, { format: 'pt' });
  }
  const texts = await TextTable.create(place);
  const write = async (name: string, count: number, line: (step: number) => Promise<object>) => {
    const file = await DurableFile.create(join(place, name));
    try {
      for (let step = 0; step < count; step++) {
        throwIfAborted(signal);
        await file.write(`${JSON.stringify(await line(step))}\n`);
      }
    } catch (error) {
      await file.discard();
      throw error;
    }
    return file;
  };
  try {
    const size = settings.batchSize;
    if (dev.length > 0) {
      const file = await write(DEV_STEPS, Math.ceil(dev.length / size), (step) => {
        const batch = planContrastiveBatch(dev.slice(step * size, (step + 1) * size), settings, undefined);
        return texts.line(batch, settings, dev.length);
      });
      await file.commit();
    }
    const file = await write(STEPS, steps, (step) => {
      const rows = Array.from(plan.batch(step), (index) => train[index]!);
      const batch = planContrastiveBatch(rows, settings, deriveSeed(settings.seed, 'micro-batch', step, 0));
      return texts.line(batch, settings, rows.length);
    });
    await texts.commit();
    await file.commit();
  } catch (error) {
    await texts.discard();
    throw error;
  }
  return distinct.fallbacks;
}

/** The tokens of all texts, one after the other, each numbered when it first comes up. */
class TextTable {
  readonly #tokens: DurableFile;
  readonly #folder: string;
  readonly #numbers = new Map<Int32Array, number>();
  readonly #offsets: bigint[] = [0n];
  readonly #unwritten: Int32Array[] = [];

  private constructor(folder: string, tokens: DurableFile) {
    this.#folder = folder;
    this.#tokens = tokens;
  }

  static async create(folder: string): Promise<TextTable> {
    return new TextTable(folder, await DurableFile.create(join(folder, 'tokens.bin')));
  }

  /** A batch as a line of steps.jsonl. @param total what its loss is a mean over */
  async line(batch: ContrastiveBatch, settings: RetrieverTrainingSettings, total: number): Promise<object> {
    const { queryTexts, documents, queries } = batch;
    const lengths = [...queryTexts, ...documents.map(({ tokens }) => tokens)].map(({ length }) => length);
    return {
      texts: await this.#all(queryTexts),
      documents: await this.#all(documents.map(({ tokens }) => tokens)),
      total,
      tokens: lengths.reduce((sum, length) => sum + length, 0),
      queries: queries.map((query) => ({
        mix: query.texts.map(({ row, weight }) => [row, weight]),
        target: query.target,
        forbidden: forbiddenColumns(query, documents),
        ...(query.positiveScore !== undefined && {
          score: query.positiveScore,
          negatives: query.negatives.map(({ column, score }) => [column, score]),
        }),
      })),
      ...(settings.method === 'distil' && { teacher: await this.#teacher(batch, settings.alpha) }),
    };
  }

  async commit(): Promise<void> {
    await this.#flush();
    await writeDurably(join(this.#folder, 'offsets.bin'), bytesOf(BigInt64Array.from(this.#offsets)));
    await this.#tokens.commit();
  }

  discard(): Promise<void> {
    return this.#tokens.discard();
  }

  /** Of each query, the texts whose vectors' mean the student is drawn to. */
  async #teacher({ queries }: ContrastiveBatch, alpha: number): Promise<[text: number, weight: number][][]> {
    const all: [number, number][][] = [];
    for (const { example } of queries) {
      const texts = weightedTexts(example, 'mean', alpha);
      const numbers = await this.#all(texts.map(({ tokens }) => tokens));
      all.push(texts.map(({ weight }, at) => [numbers[at]!, weight]));
    }
    return all;
  }

  async #all(texts: readonly Int32Array[]): Promise<number[]> {
    const numbers: number[] = [];
    for (const tokens of texts) {
      const known = this.#numbers.get(tokens);
      numbers.push(known ?? this.#numbers.size);
      if (known !== undefined) continue;
      this.#numbers.set(tokens, this.#numbers.size);
      this.#offsets.push(this.#offsets.at(-1)! + BigInt(tokens.length));
      this.#unwritten.push(tokens);
      if (this.#unwritten.length >= TEXTS_AT_A_TIME) await this.#flush();
    }
    return numbers;
  }

  async #flush(): Promise<void> {
    const texts = this.#unwritten.splice(0);
    await this.#tokens.write(Buffer.concat(texts.map(bytesOf)));
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
