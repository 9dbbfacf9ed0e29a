import { join } from 'node:path';
import { ExactIndex, MemoryVectors } from '../../src/search/index.ts';
import { Random } from '../../src/system/index.ts';
import {
  medianSeconds,
  REPETITIONS,
  type Row,
  runPeer,
  scaled,
  threadCount,
  withFolder,
  writeNumbers,
} from '../harness.ts';
import { matrixSpeed } from '../matrix-speed.ts';

const ROWS = scaled(100_000, 2000);
const DIMENSIONS = 384;
const QUERIES = 256;

/** [queries, k] of each search. */
const SEARCHES: [number, number][] = [
  [QUERIES, 100],
  [QUERIES, 1000],
  [1, 100],
];

interface Search {
  seconds: number;
  /** Rows of the first ten documents of the first four queries. */
  first: number[][];
}

/** Exact search over vectors in memory: a batch at two depths, and a single query. */
export async function run(): Promise<Row[]> {
  const corpus = unitVectors(ROWS, 1);
  const queries = unitVectors(QUERIES, 2);
  const ours = await searchOurs(corpus, queries);
  const peer = await withFolder(async (folder) =>
    runPeer<Search[]>('search.py', {
      corpus: await writeNumbers(join(folder, 'corpus.f32'), corpus),
      queries: await writeNumbers(join(folder, 'queries.f32'), queries),
      dimensions: DIMENSIONS,
      searches: SEARCHES,
      threads: threadCount(),
      repetitions: REPETITIONS,
    }),
  );
  const { f32 } = await matrixSpeed();
  return SEARCHES.map(([count, k], at) => {
    const { seconds, first } = ours[at]!;
    const operations = 2 * count * ROWS * DIMENSIONS;
    return {
      what: `${count} ${count === 1 ? 'query' : 'queries'}, k ${k}, ${ROWS} x ${DIMENSIONS}`,
      unit: 's',
      largerIsBetter: false,
      ours: seconds,
      peer: peer?.[at]?.seconds,
      peerName: 'faiss-cpu IndexFlatIP',
      // A single query reads the corpus once: its limit is memory, not arithmetic.
      limit: count === 1 ? undefined : { share: operations / seconds / f32, name: 'the matrix product' },
      note: peer && (JSON.stringify(peer[at]!.first) === JSON.stringify(first) ? 'same documents' : 'documents DIFFER'),
    };
  });
}

async function searchOurs(corpus: Float32Array, queries: Float32Array): Promise<Search[]> {
  const ids = Array.from({ length: ROWS }, (_none, row) => String(row));
  const index = await ExactIndex.open(new MemoryVectors(ids, corpus, DIMENSIONS), { threads: threadCount() });
  const results: Search[] = [];
  for (const [count, k] of SEARCHES) {
    const block = queries.slice(0, count * DIMENSIONS);
    const seconds = await medianSeconds(() => index.search(block, k), count === 1 ? 10 : REPETITIONS);
    const hits = [...(await index.search(block, k))];
    results.push({ seconds, first: hits.slice(0, 4).map((list) => list.slice(0, 10).map(({ id }) => Number(id))) });
  }
  await index.close();
  return results;
}

function unitVectors(rows: number, seed: number): Float32Array {
  const random = new Random(seed);
  const vectors = Float32Array.from({ length: rows * DIMENSIONS }, () => random.uniform() - 0.5);
  for (let start = 0; start < vectors.length; start += DIMENSIONS) {
    const row = vectors.subarray(start, start + DIMENSIONS);
    const length = Math.hypot(...row);
    for (let at = 0; at < DIMENSIONS; at++) row[at] = row[at]! / length;
  }
  return vectors;
}
