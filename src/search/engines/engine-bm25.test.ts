import { mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CountingProgress } from '../../../test/support/counting-progress.ts';
import { PgliteServer } from '../../../test/support/pglite-server.ts';
import { expectSameRanking } from '../../../test/support/same-ranking.ts';
import type { Document } from '../../data/index.ts';
import { AbortedError, DataError, UsageError } from '../../system/index.ts';
import { Bm25Index } from '../bm25/bm25-index.ts';
import { MemoryVectors } from '../dense/vector-source.ts';
import { EngineBm25, type OpenBm25EngineOptions } from './engine-bm25.ts';
import { openEngine } from './open-engine.ts';

/** Lucene's texts and queries (see reference/). */
interface Golden {
  documents: [id: string, text: string][];
  queries: [id: string, text: string][];
}
const golden: Golden = JSON.parse(await readFile(new URL('../goldens/bm25.json', import.meta.url), 'utf8'));
const corpus: Document[] = golden.documents.map(([id, text], row) => ({ id, title: row % 3 === 0 ? 'ice' : '', text }));
const queries = [...golden.queries.map(([, text]) => text), '', 'the', 'word-that-nobody-wrote', 'ice ice water'];

let server: PgliteServer;
let folder: string;
beforeAll(async () => {
  [server, folder] = [await PgliteServer.start(), await mkdtemp(join(tmpdir(), 'engine-bm25-'))];
});
afterAll(() => Promise.all([server.stop(), rm(folder, { recursive: true })]));

/** Counts how often the documents were read. */
class Documents {
  read = 0;
  readonly #documents: readonly Document[];

  constructor(documents: readonly Document[] = corpus) {
    this.#documents = documents;
  }

  readonly stream = async function* (this: Documents) {
    this.read++;
    yield* this.#documents;
  }.bind(this);
}

function open(documents: Documents, parameters = '', options: Partial<OpenBm25EngineOptions> = {}) {
  return EngineBm25.open(`postgres://postgres@127.0.0.1:${server.port}/postgres${parameters}`, documents.stream, {
    ...{ k1: 0.9, b: 0.4, fields: 'flat', analyzer: 'english', folder, corpusHash: 'golden', loadBytes: 4096 },
    ...{ firstWaitSeconds: 0.05, retries: 3, ...options },
  });
}

describe('BM25 in PostgreSQL', () => {
  it.each([
    { fields: 'flat', k1: 0.9, b: 0.4, analyzer: 'english' },
    { fields: 'multifield', k1: 1.5, b: 0.75, analyzer: 'english' },
    { fields: 'flat', k1: 0, b: 0, analyzer: 'german' },
  ] as const)('ranks as BM25 here does: $fields, k1 $k1, b $b, $analyzer', async (settings) => {
    const documents = new Documents([...corpus, { id: 'empty', title: '', text: ' ' }]);
    const remote = await open(documents, '', { ...settings, corpusHash: 'with an empty one' });
    const local = await Bm25Index.build(documents.stream(), { ...settings, threads: 1 });
    const dropSelf = queries.map((_query, row) => corpus[row]?.id);
    for (const options of [{}, { dropSelf }]) {
      const [found, expected] = [await remote.search(queries, 20, options), await local.search(queries, 20, options)];
      for (const [row, hits] of [...found].entries()) expectSameRanking(hits, expected.at(row)!, queries[row]!);
    }
    expect(remote.size).toBe(corpus.length + 1);
    expect(remote.idfsOf('ice zebra the')).toEqual(local.idfsOf('ice zebra the'));
    expect(new Set(remote.ids)).toEqual(new Set(local.ids));
    expect(remote.facts).toEqual({ index: expect.stringMatching(/^PostgreSQL .* table/), 'index search': 'exact' });
    await remote.close();
  });

  it('reads the corpus twice for the first search, and not at all for later ones', async () => {
    const documents = new Documents();
    await (await open(documents, '?table=twice', { corpusHash: 'twice' })).close();
    expect(documents.read).toBe(2);
    const later = await open(documents, '?table=twice', { corpusHash: 'twice' });
    expect(documents.read).toBe(2);
    expect([...(await later.search(['ice'], 5))][0]!.length).toBeGreaterThan(0);
    await later.close();
    // Damaged statistics are made again; what was loaded stays.
    for (const name of await readdir(folder)) await truncate(join(folder, name), 9000);
    await (await open(documents, '?table=twice', { corpusHash: 'twice' })).close();
    expect(documents.read).toBe(3);
  });

  it('goes on where a load was stopped', async () => {
    const stop = new AbortController();
    const first = new CountingProgress();
    const counted = corpus.length;
    first.onDone = () => first.done > counted && stop.abort();
    const stopped = open(new Documents(), '?table=stopped', {
      signal: stop.signal,
      progress: first,
      corpusHash: 'stop',
    });
    await expect(stopped).rejects.toThrow(AbortedError);
    const loaded = first.done - counted;
    expect(loaded).toBeGreaterThan(0);
    expect(loaded).toBeLessThan(corpus.length);
    const second = new CountingProgress();
    await (await open(new Documents(), '?table=stopped', { progress: second, corpusHash: 'stop' })).close();
    expect([second.skipped, second.done]).toEqual([loaded, corpus.length - loaded]);
  });

  it('refuses a table that holds something else', async () => {
    await (await open(new Documents(), '?table=held')).close();
    const refused = (options: Partial<OpenBm25EngineOptions>) => open(new Documents(), '?table=held', options);
    await expect(refused({ k1: 1.2 })).rejects.toThrow(/other settings of BM25/);
    await expect(refused({ corpusHash: 'other' })).rejects.toThrow(DataError);
    await expect(refused({ corpusHash: 'other' })).rejects.toMatchObject({
      fix: expect.stringContaining('--bm25-index'),
    });
    const vectors = openEngine(
      `postgres://postgres@127.0.0.1:${server.port}/postgres?table=held`,
      new MemoryVectors(['a'], Float32Array.of(1, 2), 2),
      { key: 'k', format: 'f32', similarity: 'dot', hnsw: { m: 8, efConstruction: 40, ef: 40 } },
    );
    await expect(vectors).rejects.toThrow(/holds the terms of BM25, and vectors are wanted/);
  });

  it('refuses what cannot be searched', async () => {
    await expect(open(new Documents(), '?search=hnsw')).rejects.toThrow(UsageError);
    await expect(open(new Documents([]), '', { corpusHash: 'none' })).rejects.toThrow(/holds no documents/);
    await expect(open(new Documents(), '', { k1: -1 })).rejects.toThrow(UsageError);
    const words = Array.from({ length: 16_001 }, (_none, word) => `w${word}`).join(' ');
    const long = open(new Documents([{ id: 'long', title: '', text: words }]), '', { corpusHash: 'long' });
    await expect(long).rejects.toMatchObject({ constructor: UsageError, fix: expect.stringContaining('Milvus') });
    const doubled = new Documents([corpus[0]!, corpus[1]!, corpus[0]!]);
    await expect(open(doubled, '', { corpusHash: 'doubled' })).rejects.toMatchObject({ id: corpus[0]!.id });
  });

  it('notices that the corpus changed between counting and loading', async () => {
    let reads = 0;
    const changing = async function* () {
      yield corpus[0]!;
      yield { ...corpus[1]!, text: reads++ === 0 ? 'ice' : 'ice and a new word' };
    };
    const options = { k1: 0.9, b: 0.4, fields: 'flat', analyzer: 'english', folder, corpusHash: 'changing' } as const;
    const opened = EngineBm25.open(`postgres://postgres@127.0.0.1:${server.port}/postgres`, changing, options);
    await expect(opened).rejects.toThrow(/the corpus changed while it was read/);
  });
});
