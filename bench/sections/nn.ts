import { spawnSync } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_ENCODER, ModelStore } from '../../src/models/index.ts';
import { Random, workerFile } from '../../src/system/index.ts';
import { REPETITIONS, type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { matrixSpeed } from '../matrix-speed.ts';
import { BERT_BASE, SMOLLM2_135M, writeRandomModel } from '../random-models.ts';
import type { StepFigures, StepJob } from './nn-child.ts';

/** Batches of [texts, tokens]. */
const BERT_BATCHES = [
  [8, 128],
  [32, 64],
] as const;
const LORA_BATCH = [4, 256] as const;

/** One measured model and batch. */
interface Case {
  name: string;
  job: StepJob;
  /** Operations of the matrix products of one forward pass. */
  operations: number;
  peerName: string;
}

/** Forward and backward against PyTorch, which has the same weights, inputs and threads; each side in its own process. */
export async function run(): Promise<Row[]> {
  return withFolder(async (folder) => {
    const rows: Row[] = [];
    const speed = await matrixSpeed();
    for (const one of await cases(folder)) {
      const ours = measure(one.job);
      const peer = runPeer<StepFigures>('nn.py', one.job);
      rows.push(...rowsOf(one, ours, peer, speed.f32));
    }
    return rows;
  });
}

async function cases(folder: string): Promise<Case[]> {
  const base = await randomFolder(join(folder, 'bert-base'), BERT_BASE);
  const small = (await new ModelStore().resolve(DEFAULT_ENCODER, { kind: 'encoder' })).path;
  const causal = await randomFolder(join(folder, 'smollm2'), SMOLLM2_135M);
  const cache = join(folder, 'compiled');
  const common = { cache, mode: 'whole' as const, threads: threadCount(), repetitions: REPETITIONS };
  const found: Case[] = [];
  for (const [model, path] of Object.entries({ 'BERT-base': base, MiniLM: small })) {
    const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as typeof BERT_BASE;
    for (const [batch, sequence] of BERT_BATCHES) {
      const ids = randomIds(scaled(batch, 2), sequence, config.vocab_size);
      const job: StepJob = { ...common, task: 'bert', folder: path, ids, scored: 0 };
      const name = `${model}, ${batch} x ${sequence}`;
      found.push({ name, job, operations: bertOperations(config, ids), peerName: 'PyTorch' });
    }
  }
  const ids = randomIds(LORA_BATCH[0], LORA_BATCH[1], SMOLLM2_135M.vocab_size);
  const job: StepJob = { ...common, task: 'lora', folder: causal, ids, scored: LORA_BATCH[1] / 2 };
  const name = `SmolLM2-135M LoRA, ${LORA_BATCH.join(' x ')}`;
  found.push({ name, job, operations: causalOperations(ids, job.scored), peerName: 'PyTorch + PEFT' });
  return found;
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
  // Frozen weights need no gradient of their own, so that going back costs as much as going forth.
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
