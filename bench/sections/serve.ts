import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_ENCODER, ModelStore } from '../../src/models/index.ts';
import { peerPython, type Row, scaled, threadCount, withFolder } from '../harness.ts';
import {
  attack,
  embeddings,
  type Load,
  loadTool,
  percentile,
  type Server,
  type Shot,
  startServe,
  startServer,
} from '../load.ts';
import { readWordnet } from '../wordnet.ts';

/** Requests per second of the open loop. */
const RATES = [1, 10, 50, 100, 200];
const SECONDS = scaled(10, 2);
const BUDGET_MS = 300;
/** Time beyond the budget that a request within it may take: encoding, and waiting for that. */
const MARGIN_MS = 50;
const OURS = 8391;
const PEER = 8392;
const STUDENT = 8394;

/**
 * Load on loopback, by a load tool of others (vegeta): embeddings against sentence-transformers behind FastAPI, a
 * mix of documents and queries at fixed rates, and cached queries.
 */
export async function run(): Promise<Row[]> {
  const tool = loadTool();
  if (tool === undefined) {
    console.error('left out: install vegeta, or set VEGETA to its path');
    return [];
  }
  const { documents, queries } = await withFolder((folder) => readWordnet(folder, 2000, 1000));
  const asDocument = ({ text }: { text: string }): Shot => embeddings('any', text);
  const shots = documents.map(asDocument);
  const rows: Row[] = [];
  await withFolder(async (folder) => {
    const load = (server: Server, some: readonly Shot[], rate: number, workers = 32, seconds = SECONDS) =>
      attack(tool, server.base, some, { folder, rate, seconds, workers });
    const batches = inBatches(documents, 32);
    const peer = await startPeer();
    const ours = await startServe(OURS, ['--no-rules', '--budget-ms', `${BUDGET_MS}`]);
    try {
      for (const [what, some, workers, size] of [
        ['documents, one a request, 32 connections', shots, 32, 1],
        ['documents, 32 a request, 8 connections', batches, 8, 32],
      ] as const) {
        const [theirs, mine] = [peer && (await load(peer, some, 0, workers)), await load(ours, some, 0, workers)];
        const note = `p99 ${shown(percentile(mine, 0.99))} ms${theirs ? `, peer's ${shown(percentile(theirs, 0.99))}` : ''}`;
        rows.push({
          ...{
            what,
            unit: 'texts/s',
            largerIsBetter: true,
            ours: mine.rate * size,
            peer: theirs && theirs.rate * size,
          },
          ...{ peerName: 'sentence-transformers, FastAPI', note },
        });
      }
      await peer?.close();
      for (const rate of RATES) {
        const mixed = documents
          .slice(0, 500)
          .flatMap((document, at) => [
            asDocument(document),
            embeddings('any-query', `${queries[at % queries.length]!.text} ${rate}`),
          ]);
        rows.push(mixedRow(rate, await load(ours, mixed, rate)));
      }
      const cached = await cachedQueries(ours, queries.slice(0, 10));
      const hits = await load(ours, cached, 50);
      rows.push({ ...timeRow('cached queries at 50/s, p99', percentile(hits, 0.99)), note: spread(hits) });
      rows.push(await studentRow(queries, load));
    } finally {
      await Promise.all([ours.close(), peer?.close()]);
    }
  });
  return rows;
}

function inBatches(documents: readonly { text: string }[], size: number): Shot[] {
  const batches: Shot[] = [];
  for (let at = 0; at + size <= documents.length; at += size) {
    batches.push(
      embeddings(
        'any',
        documents.slice(at, at + size).map(({ text }) => text),
      ),
    );
  }
  return batches;
}

async function startPeer(): Promise<Server | undefined> {
  const python = peerPython();
  if (python === undefined) return undefined;
  const model = await new ModelStore().resolve(DEFAULT_ENCODER, { kind: 'encoder' });
  const words = [resolve('bench', 'peers', 'serve.py'), model.path, `${PEER}`, `${threadCount()}`];
  return startServer(python, words, PEER, { OMP_NUM_THREADS: `${threadCount()}`, HF_HUB_OFFLINE: '1' });
}

function mixedRow(rate: number, load: Load): Row {
  const inTime = load.milliseconds.filter((time) => time <= BUDGET_MS + MARGIN_MS).length / load.sent;
  const statuses = Object.entries(load.statuses).map(([status, count]) => `${count} x ${status}`);
  const note = `${spread(load)}; ${(100 * inTime).toFixed(1)} % within ${BUDGET_MS + MARGIN_MS} ms; ${statuses.join(', ')}`;
  return { ...timeRow(`half documents, half new queries, at ${rate}/s, p99`, percentile(load, 0.99)), note };
}

type Send = (server: Server, shots: readonly Shot[], rate: number) => Promise<Load>;

/** Queries that were never asked before, and for which there is no time to write: a student of the encoder's size embeds them. */
async function studentRow(queries: readonly { text: string }[], load: Send): Promise<Row> {
  const server = await startServe(STUDENT, ['--no-rules', '--budget-ms', '0', '--student', DEFAULT_ENCODER]);
  try {
    const shots = queries.slice(-500).map(({ text }) => embeddings('any-query', text));
    const answers = await load(server, shots, 50);
    return { ...timeRow('queries by a student at 50/s, p99', percentile(answers, 0.99)), note: spread(answers) };
  } finally {
    await server.close();
  }
}

/** Asks for each query until its expansion is in the cache. */
async function cachedQueries(server: Server, queries: readonly { text: string }[]): Promise<Shot[]> {
  const shots: Shot[] = [];
  for (const { text } of queries) {
    const shot = embeddings('any-query', text);
    for (let trial = 0; trial < 50; trial++) {
      const answer = await fetch(server.base + shot.path, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(shot.body) },
      });
      await answer.arrayBuffer();
      if (answer.headers.get('x-llm-qe-expansion') === 'hit') break;
      await sleep(500);
    }
    shots.push(shot);
  }
  return shots;
}

function timeRow(what: string, ours: number): Row {
  return { what, unit: 'ms', largerIsBetter: false, ours };
}

function spread(load: Load): string {
  return `p50 ${shown(percentile(load, 0.5))} ms, p95 ${shown(percentile(load, 0.95))} ms`;
}

function shown(milliseconds: number): string {
  return milliseconds >= 100 ? milliseconds.toFixed(0) : milliseconds.toPrecision(3);
}
