import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CountingProgress } from '../../../test/support/counting-progress.ts';
import { PgliteServer } from '../../../test/support/pglite-server.ts';
import { AbortedError, DataError, NetworkError, Random, UsageError } from '../../system/index.ts';
import { ExactIndex } from '../dense/exact-index.ts';
import { MemoryVectors } from '../dense/vector-source.ts';
import { type OpenEngineOptions, openEngine } from './open-engine.ts';

let server: PgliteServer;
beforeAll(async () => {
  server = await PgliteServer.start();
});
afterAll(() => server.stop());

const PASSWORD = 'correct-horse-battery';
const address = (parameters = '') => `postgres://postgres:${PASSWORD}@127.0.0.1:${server.port}/postgres${parameters}`;
const hnsw = { m: 8, efConstruction: 40, ef: 40 };

function open(source: MemoryVectors, parameters = '', options: Partial<OpenEngineOptions> = {}) {
  return openEngine(address(parameters), source, {
    ...{ key: 'corpus', format: 'f32', similarity: 'dot', hnsw, firstWaitSeconds: 0.05, retries: 3, loadBytes: 4096 },
    ...options,
  });
}

/** Vectors of small whole numbers: many scores are equal, and all are exact whatever the order of a sum. */
function whole(rows: number, dimensions: number, seed = 1): MemoryVectors {
  const random = new Random(seed);
  const odd = ['a"b', "it's", '{1,2}', 'back\\slash', 'ä', 'Z', 'NULL', '\u{1F4D6}', '\uFF5E', ''];
  const ids = Array.from({ length: rows }, (_none, row) => odd[row] ?? `d${row}`);
  return new MemoryVectors(
    ids,
    Float32Array.from({ length: rows * dimensions }, () => random.below(5) - 2),
    dimensions,
  );
}

function queriesOf(count: number, dimensions: number): Float32Array {
  const random = new Random(9);
  return Float32Array.from({ length: count * dimensions }, () => random.below(5) - 2);
}

async function tableOf(): Promise<string> {
  const { rows } = await server.db.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relname ~ '^llm_qe_[0-9a-f]+$' ORDER BY oid DESC LIMIT 1`,
  );
  return rows[0]!.name;
}

describe('search in PostgreSQL', () => {
  it.each(['dot', 'cosine'] as const)('finds what exact search here finds, ties included (%s)', async (similarity) => {
    const source = whole(400, 6);
    const queries = queriesOf(70, 6);
    const [remote, local] = [
      await open(source, '', { similarity }),
      await ExactIndex.open(source, { similarity, threads: 1 }),
    ];
    const dropSelf = Array.from({ length: 70 }, (_none, row) => `d${row + 20}`);
    for (const options of [{}, { dropSelf }]) {
      const [found, expected] = [await remote.search(queries, 15, options), await local.search(queries, 15, options)];
      for (const [row, hits] of [...found].entries()) {
        const same = expected.at(row)!;
        if (similarity === 'dot') expect(hits).toEqual(same);
        for (const [rank, { score }] of hits.entries()) expect(score).toBeCloseTo(same[rank]!.score, 6);
      }
    }
    expect(remote.size).toBe(400);
    expect(remote.facts).toMatchObject({ 'index search': 'exact', vectors: 'f32' });
    expect(String(remote.facts.index)).toMatch(
      /^PostgreSQL 1\d\.\d+, pgvector 0\.\d+\.\d+, table "llm_qe_[0-9a-f]{24}"$/,
    );
    await Promise.all([remote.close(), local.close()]);
  });

  it('in f16 and in an HNSW graph finds nearly the same', async () => {
    const random = new Random(4);
    const ids = Array.from({ length: 300 }, (_none, row) => `d${row}`);
    const source = new MemoryVectors(
      ids,
      Float32Array.from({ length: 300 * 8 }, () => random.normal()),
      8,
    );
    const remote = await open(source, '?search=hnsw', { format: 'f16' });
    const queries = Float32Array.from({ length: 5 * 8 }, () => random.normal());
    const expected = [...(await (await ExactIndex.open(source, { threads: 1 })).search(queries, 10))];
    let shared = 0;
    for (const [row, hits] of [...(await remote.search(queries, 10))].entries()) {
      const wanted = new Map(expected[row]!.map(({ id, score }) => [id, score]));
      for (const { id, score } of hits.filter((hit) => wanted.has(hit.id))) {
        shared++;
        expect(score).toBeCloseTo(wanted.get(id)!, 1);
      }
    }
    expect(shared).toBeGreaterThan(45);
    expect(remote.facts).toMatchObject({ 'index search': 'HNSW', 'HNSW M': 8, 'HNSW ef': 40, vectors: 'f16' });
    // More than the candidate list of pgvector holds.
    const [all] = await remote.search(queries.slice(0, 8), 300);
    expect(all!.length).toBeGreaterThan(250);
    await remote.close();
  });
});

describe('the bulk load into PostgreSQL', () => {
  /** Loaded by 256 rows a call. */
  const wide = (rows: number) => whole(rows, 4);

  it('goes on where it was stopped, and sends nothing twice', async () => {
    const source = wide(700);
    const controller = new AbortController();
    const first = new CountingProgress();
    first.onDone = () => controller.abort();
    const stopped = open(source, '?table=stopped', { signal: controller.signal, progress: first });
    await expect(stopped).rejects.toThrow(AbortedError);
    expect(first.done).toBe(256);
    const second = new CountingProgress();
    await (await open(source, '?table=stopped', { progress: second })).close();
    expect([second.skipped, second.done]).toEqual([256, 444]);
    const third = new CountingProgress();
    await (await open(source, '?table=stopped', { progress: third })).close();
    expect([third.skipped, third.done]).toEqual([0, 0]);
    // Rows that another program removed are found and sent again.
    await server.db.exec('DELETE FROM stopped WHERE row IN (3, 300, 699)');
    const fourth = new CountingProgress();
    await (await open(source, '?table=stopped', { progress: fourth })).close();
    expect([fourth.skipped, fourth.done]).toEqual([697, 3]);
  });

  it('survives lost connections', async () => {
    const { port } = server;
    const counts = new CountingProgress();
    let cuts = 0;
    counts.onDone = () => {
      if (cuts++ > 0) return;
      void server.cut().then(() => server.listen(port));
    };
    const remote = await open(wide(700), '?table=lost', { progress: counts, retries: 8 });
    expect(counts.done).toBe(700);
    const { rows } = await server.db.query<{ rows: string; distinct: string }>(
      'SELECT count(*) AS rows, count(DISTINCT row) AS distinct FROM lost',
    );
    expect(rows[0]).toEqual({ rows: 700, distinct: 700 });
    await remote.close();
  });

  it('says what to do if the server does not come back, and keeps what was loaded', async () => {
    const { port } = server;
    const first = new CountingProgress();
    first.onDone = () => void server.cut();
    const failed = open(wide(700), '?table=gone', { progress: first, retries: 1 });
    await expect(failed).rejects.toThrow(NetworkError);
    await expect(failed).rejects.toMatchObject({ fix: expect.stringContaining('what was loaded is kept') });
    await server.listen(port);
    const second = new CountingProgress();
    await (await open(wide(700), '?table=gone', { progress: second })).close();
    expect([second.skipped, second.done]).toEqual([256, 444]);
  });

  it('refuses a document whose vector is not finite, by its id', async () => {
    const source = new MemoryVectors(['a', 'b'], Float32Array.of(1, 2, Number.NaN, 3), 2);
    await expect(open(source, '?table=broken')).rejects.toMatchObject({ id: 'b', constructor: DataError });
  });
});

describe('a table of PostgreSQL is refused', () => {
  const message = async (opening: Promise<unknown>) => {
    const error = await opening.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(DataError);
    return (error as DataError).message;
  };

  it('if it holds other vectors', async () => {
    await (await open(whole(20, 4), '?table=held')).close();
    const changed = (source: MemoryVectors, options: Partial<OpenEngineOptions> = {}) =>
      message(open(source, '?table=held', options));
    expect(await changed(whole(20, 3))).toMatch(/holds vectors of 4 dimensions, and those of this encoder have 3/);
    expect(await changed(whole(20, 4), { similarity: 'cosine' })).toMatch(/compares by dot/);
    expect(await changed(whole(20, 4), { format: 'f16' })).toMatch(/stores vectors as f32/);
    expect(await changed(whole(20, 4), { key: 'other' })).toMatch(/another corpus or encoder/);
    expect(await changed(whole(19, 4))).toMatch(/another corpus or encoder \(20 documents, here 19\)/);
    // Without a name, each content has a table of its own.
    await (await open(whole(20, 3))).close();
    await (await open(whole(20, 4))).close();
  });

  it('if it is not one of ours, or was added to', async () => {
    await server.db.exec('CREATE TABLE theirs (id int)');
    expect(await message(open(whole(20, 4), '?table=theirs'))).toMatch(/table "theirs".* was not made by llm-qe/);
    await (await open(whole(5, 2))).close();
    const table = await tableOf();
    await server.db.exec(`INSERT INTO "${table}" VALUES (77, 'x', '[1,2]')`);
    expect(await message(open(whole(5, 2)))).toMatch(/holds 6 documents instead of 5/);
  });
});

describe('the address of an engine', () => {
  it('shows no password, neither in facts nor in errors', async () => {
    const index = await open(whole(5, 3));
    expect(JSON.stringify(index.facts)).not.toContain(PASSWORD);
    await index.close();
    const wrong = openEngine(`postgres://postgres:${PASSWORD}@127.0.0.1:1/x`, whole(5, 3), {
      ...{ key: 'k', format: 'f32', similarity: 'dot', hnsw, retries: 0 },
    });
    const error = await wrong.catch((thrown: NetworkError) => thrown);
    expect(error).toBeInstanceOf(NetworkError);
    expect(`${(error as NetworkError).message} ${(error as NetworkError).fix}`).not.toContain(PASSWORD);
    expect((error as NetworkError).message).toContain('ECONNREFUSED');
  });

  it('does not take int8, nor a name that needs quotes', async () => {
    await expect(open(whole(5, 3), '', { format: 'int8' })).rejects.toThrow(UsageError);
    await expect(open(whole(5, 3), '?table=a%22b')).rejects.toThrow(UsageError);
    await expect(open(whole(5, 3), '?search=fast')).rejects.toThrow(/neither exact nor hnsw/);
  });
});
