import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_ENCODER, ModelStore } from '../../src/models/index.ts';
import { Random, workerFile } from '../../src/system/index.ts';
import { type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { BERT_BASE, writeRandomModel } from '../random-models.ts';
import type { RetrieverFigures, RetrieverJob } from './retriever-child.ts';

const QUERY_TOKENS = 64;
const DOCUMENT_TOKENS = 128;
/** Rows of a batch: in one piece, and one whose activations do not fit. */
const BATCH = scaled(64, 8);
const LARGE_BATCH = scaled(1024, 16);
const BERT_BATCH = scaled(16, 4);
/** GiB for our activations with the large batch; the process needs as much again for weights, gradients and moments at most. */
const LARGE_BATCH_MEMORY = 2;
/** Texts of a mini-batch of the peer with the large batch; the faster one counts. */
const PEER_MINI_BATCHES = [32, 64];

/**
 * Contrastive training with all weights and AdamW, compared with sentence-transformers: its loss over cosine similarities, the same
 * weights, rows and threads, each in its own process, no dropout. The large batch goes through the encoder twice on both sides.
 */
export async function run(): Promise<Row[]> {
  return withFolder(async (root) => {
    const { path: small } = await new ModelStore().resolve(DEFAULT_ENCODER, { kind: 'encoder' });
    const base = await bertBase(join(root, 'bert-base'), small);
    const texts = await textsOf(small);
    const job = (folder: string, batch: number, steps: number): RetrieverJob => ({
      ...{ folder, steps, threads: threadCount(), memory: 4, miniBatch: 0 },
      ...{ out: join(root, `out-${batch}`), cache: join(root, 'cache') },
      queries: texts(batch, QUERY_TOKENS),
      documents: texts(batch, DOCUMENT_TOKENS),
    });
    const large = { ...job(small, LARGE_BATCH, 2), memory: LARGE_BATCH_MEMORY };
    return [
      ...compare(`MiniLM, batch of ${BATCH}`, job(small, BATCH, 4), [0]),
      ...compare(`BERT-base, batch of ${BERT_BATCH}`, job(base, BERT_BATCH, 4), [0]),
      ...compare(`MiniLM, batch of ${LARGE_BATCH}, twice through the encoder`, large, PEER_MINI_BATCHES),
    ];
  });
}

/** BERT-base with random weights, and the tokenizer and pooling of another encoder with the same vocabulary. */
async function bertBase(folder: string, like: string): Promise<string> {
  await mkdir(join(folder, '1_Pooling'), { recursive: true });
  await writeRandomModel(folder, BERT_BASE);
  const taken = (await readdir(like)).filter((name) => /^(tokenizer|vocab|special|modules|sentence_bert)/.test(name));
  for (const name of taken) await copyFile(join(like, name), join(folder, name));
  const pooling = { word_embedding_dimension: BERT_BASE.hidden_size, pooling_mode_mean_tokens: true };
  await writeFile(join(folder, '1_Pooling', 'config.json'), JSON.stringify(pooling));
  return folder;
}

/** Returns a source of texts of random whole words, one token each, so that the number of tokens is known. */
async function textsOf(folder: string): Promise<(count: number, tokens: number) => string[]> {
  const words = (await readFile(join(folder, 'vocab.txt'), 'utf8'))
    .split('\n')
    .filter((word) => /^[a-z]{3,}$/.test(word));
  const random = new Random(1);
  const text = (tokens: number) =>
    Array.from({ length: tokens - 2 }, () => words[random.below(words.length)]).join(' ');
  return (count, tokens) => Array.from({ length: count }, () => text(tokens));
}

function compare(what: string, job: RetrieverJob, peerMiniBatches: readonly number[]): Row[] {
  const ours = measure(job);
  const peers = peerMiniBatches.map((miniBatch) => runPeer<RetrieverFigures>('retriever.py', { ...job, miniBatch }));
  const peer = peers.sort((a, b) => (a?.step ?? 0) - (b?.step ?? 0))[0];
  const losses = ({ losses }: RetrieverFigures) => losses.map((loss) => loss.toFixed(4)).join(' ');
  const cpu = ({ cpu }: RetrieverFigures) => `${cpu.toFixed(1)} s of processor time a step`;
  const common = { peerName: 'sentence-transformers' };
  const rate = (figures: RetrieverFigures | undefined) => figures && job.queries.length / figures.step;
  return [
    {
      ...{ what, unit: 'rows/s', largerIsBetter: true, ...common, ours: rate(ours)!, peer: rate(peer) },
      note: [`losses ${losses(ours)}; ${cpu(ours)}`, ...(peer ? [`peer ${losses(peer)}; ${cpu(peer)}`] : [])].join(
        ', ',
      ),
    },
    {
      ...{ what: `peak memory, ${what}`, unit: 'MB', largerIsBetter: false, ...common },
      ...{ ours: ours.peak / 1e6, peer: peer && peer.peak / 1e6 },
    },
  ];
}

function measure(job: RetrieverJob): RetrieverFigures {
  const script = workerFile(import.meta.url, './retriever-child.ts');
  const result = spawnSync(process.execPath, [script], { input: JSON.stringify(job), encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`a measured process failed:\n${result.stderr}`);
  return JSON.parse(result.stdout) as RetrieverFigures;
}
