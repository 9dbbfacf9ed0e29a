import { spawnSync } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_ENCODER, ModelStore } from '../../src/models/index.ts';
import { Random, workerFile } from '../../src/system/index.ts';
import { REPETITIONS, type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { matrixSpeed } from '../matrix-speed.ts';
import { BERT_BASE, LLAMA_1B, SMOLLM2_135M, writeRandomModel } from '../random-models.ts';
import type { StepFigures, StepJob } from './nn-child.ts';

/** Batches of [texts, tokens]. */
const BERT_BATCHES = [
  [8, 128],
  [32, 64],
] as const;
const LORA_BATCH = [4, 256] as const;

const ONE_BILLION_BATCH = [1, 256] as const;
const VOCABULARY_TOKENS = 512;
const CHUNK_ROWS = [64, 128, 256];
const COMMON = {
  ...{ mode: 'whole' as const, storage: 'f32' as const, rows: 128, scored: 0 },
  ...{ threads: threadCount(), repetitions: REPETITIONS },
};

/** One measured model and batch. */
interface Case {
  name: string;
  job: StepJob;
  /** Operations of the matrix products in one forward pass. */
  operations: number;
  peerName: string;
}

/** Forward and backward compared with PyTorch, which has the same weights, inputs and threads. Each side runs in its own process. */
export async function run(): Promise<Row[]> {
  return withFolder(async (folder) => {
    const rows: Row[] = [];
    const speed = await matrixSpeed();
    for (const one of await cases(folder)) {
      const ours = measure(one.job);
      const peer = runPeer<StepFigures>('nn.py', one.job);
      rows.push(...rowsOf(one, ours, peer, speed.f32));
    }
    return [...rows, ...vocabularyRows(join(folder, 'large')), oneBillionRow(join(folder, 'large'))];
  });
}

async function cases(folder: string): Promise<Case[]> {
  const base = await randomFolder(join(folder, 'bert-base'), BERT_BASE);
  const small = (await new ModelStore().resolve(DEFAULT_ENCODER, { kind: 'encoder' })).path;
  const causal = await randomFolder(join(folder, 'smollm2'), SMOLLM2_135M);
  const cache = join(folder, 'compiled');
  const common = { ...COMMON, cache };
  const found: Case[] = [];
  for (const [model, path] of Object.entries({ 'BERT-base': base, MiniLM: small })) {
    const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as typeof BERT_BASE;
    for (const [batch, sequence] of BERT_BATCHES) {
      const ids = randomIds(scaled(batch, 2), sequence, config.vocab_size);
      const job: StepJob = { ...common, task: 'bert', model: path, ids, scored: 0 };
      const name = `${model}, ${batch} x ${sequence}`;
      found.push({ name, job, operations: bertOperations(config, ids), peerName: 'PyTorch' });
    }
  }
  const ids = randomIds(LORA_BATCH[0], LORA_BATCH[1], SMOLLM2_135M.vocab_size);
  const job: StepJob = { ...common, task: 'lora', model: causal, ids, scored: LORA_BATCH[1] / 2 };
  const name = `SmolLM2-135M LoRA, ${LORA_BATCH.join(' x ')}`;
  found.push({ name, job, operations: causalOperations(ids, job.scored), peerName: 'PyTorch + PEFT' });
  return found;
}

/** A vocabulary of 128k over 512 tokens: the memory of the chunks of logits, in a model of one layer. */
function vocabularyRows(cache: string): Row[] {
  const model = { ...LLAMA_1B, num_hidden_layers: 1 };
  const ids = randomIds(1, VOCABULARY_TOKENS + 1, model.vocab_size);
  const whole = Math.round((VOCABULARY_TOKENS * model.vocab_size * 4) / 1e6);
  return CHUNK_ROWS.map((rows) => {
    const job: StepJob = { ...COMMON, cache, task: 'lora', model, ids, scored: VOCABULARY_TOKENS, rows };
    const { step, peak } = measure({ ...job, repetitions: 1 });
    const note = `${step.toFixed(1)} s; one table of logits would be ${whole} MB, and there would be several`;
    const what = `128k vocabulary, ${VOCABULARY_TOKENS} tokens, ${rows} rows per chunk`;
    return { what, unit: 'MB', largerIsBetter: false, ours: peak / 1e6, note };
  });
}

/** A LoRA step of a model with the shape of Llama-3.2-1B and frozen weights in 4 bits. */
function oneBillionRow(cache: string): Row {
  const [batch, sequence] = ONE_BILLION_BATCH;
  const ids = randomIds(batch, sequence, LLAMA_1B.vocab_size);
  const job: StepJob = { ...COMMON, cache, task: 'lora', model: LLAMA_1B, ids, scored: sequence / 2, storage: 'int4' };
  const { step, forward, peak, wholePeak } = measure({ ...job, repetitions: 1 });
  const verdict = wholePeak <= 8 * 2 ** 30 ? 'within 8 GiB' : 'NOT within 8 GiB';
  const note = `${step.toFixed(1)} s, forward ${forward.toFixed(1)} s; ${Math.round(wholePeak / 1e6)} MB with packing, ${verdict}`;
  const what = `1 billion weights, 4 bits, LoRA step, ${ONE_BILLION_BATCH.join(' x ')}`;
  return { what, unit: 'MB', largerIsBetter: false, ours: peak / 1e6, note };
}

async function randomFolder(folder: string, config: typeof BERT_BASE | typeof SMOLLM2_135M): Promise<string> {
  await mkdir(folder, { recursive: true });
  return writeRandomModel(folder, config);
}

function randomIds(batch: number, sequence: number, vocabulary: number): number[][] {
  const random = new Random(1);
  return Array.from({ length: batch }, () => Array.from({ length: sequence }, () => random.below(vocabulary)));
}

function bertOperations(config: typeof BERT_BASE, ids: readonly number[][]): number {
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = config;
  const sequence = ids[0]!.length;
  const weights = 4 * hidden * hidden + 2 * hidden * inner;
  return ids.length * sequence * layers * (2 * weights + 4 * hidden * sequence);
}

function causalOperations(ids: readonly number[][], scored: number): number {
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers, ...rest } = SMOLLM2_135M;
  const keys = (hidden * rest.num_key_value_heads) / rest.num_attention_heads;
  const weights = 2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner;
  const sequence = ids[0]!.length;
  const layersCost = sequence * layers * (2 * weights + 4 * hidden * sequence);
  return ids.length * (layersCost + scored * 2 * hidden * rest.vocab_size);
}

function measure(job: StepJob): StepFigures {
  const script = workerFile(import.meta.url, './nn-child.ts');
  const result = spawnSync(process.execPath, [script], { input: JSON.stringify(job), encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`a measured process failed:\n${result.stderr}`);
  return JSON.parse(result.stdout) as StepFigures;
}

function rowsOf(
  { name, job, operations, peerName }: Case,
  ours: StepFigures,
  peer: StepFigures | undefined,
  speed: number,
): Row[] {
  // Frozen weights need no gradient, so the backward pass costs as much as the forward pass.
  const passes = job.task === 'bert' ? 3 : 2;
  const limit = { share: (passes * operations) / ours.step / speed, name: 'the matrix product' };
  const backward = ({ step, forward }: StepFigures) => `${((step - forward) / forward).toFixed(2)}`;
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  const common = { largerIsBetter: false, peerName };
  const notes = [
    `backward ${backward(ours)} forwards${peer ? `, peer ${backward(peer)}` : ''}`,
    peer && `loss ${ours.loss.toFixed(5)}, peer ${peer.loss.toFixed(5)}`,
  ];
  const loading = `${megabytes(ours.wholePeak)} MB with loading${peer ? `, peer ${megabytes(peer.wholePeak)}` : ''}`;
  return [
    {
      what: `${name}, step`,
      unit: 's',
      ...common,
      ours: ours.step,
      peer: peer?.step,
      limit,
      note: notes.filter(Boolean).join('; '),
    },
    { what: `${name}, forward`, unit: 's', ...common, ours: ours.forward, peer: peer?.forward },
    {
      ...{ what: `${name}, memory`, unit: 'MB', ...common, ours: ours.peak / 1e6, note: loading },
      peer: peer && peer.peak / 1e6,
    },
  ];
}
