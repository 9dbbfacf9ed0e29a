import { spawnSync } from 'node:child_process';
import { workerFile } from '../../src/system/index.ts';
import { type Row, scaled, threadCount, withFolder } from '../harness.ts';

/** Number of documents in the two runs. */
const SIZES = [scaled(50_000, 2000), scaled(200_000, 8000)];

/** Limit for the larger run: weights, workers, one shard, chunks and hits, and the ids. */
const BOUND_MEGABYTES = 700;

interface Peak {
  encoding: number;
  searching: number;
  seconds: number;
}

/**
 * Peak resident memory of a process that encodes a corpus of 16-token texts, which is never completely in memory, and searches it
 * from disk. A first run with a quarter of the documents shows what grows.
 */
export async function run(): Promise<Row[]> {
  const peaks: Peak[] = [];
  for (const documents of SIZES) peaks.push(await withFolder(async (folder) => measure(documents, folder)));
  const [small, large] = peaks as [Peak, Peak];
  const growth = (large.searching - small.searching) / (SIZES[1]! - SIZES[0]!);
  return SIZES.map((documents, at) => ({
    what: `peak memory, ${documents} documents`,
    unit: 'MB',
    largerIsBetter: false,
    ours: peaks[at]!.searching / 1e6,
    note: [
      `${Math.round(peaks[at]!.encoding / 1e6)} MB after encoding, ${Math.round(peaks[at]!.seconds)} s`,
      ...(at === 0 ? [] : [`${Math.round(growth)} more bytes per document`, verdict(large)]),
    ].join('; '),
  }));
}

function verdict({ searching }: Peak): string {
  return searching <= BOUND_MEGABYTES * 1e6 ? `under ${BOUND_MEGABYTES} MB` : `OVER ${BOUND_MEGABYTES} MB`;
}

function measure(documents: number, folder: string): Peak {
  const script = workerFile(import.meta.url, './memory-child.ts');
  const result = spawnSync(process.execPath, [script, String(documents), folder, String(threadCount())], {
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`the process of the memory measurement failed:\n${result.stderr}`);
  return JSON.parse(result.stdout) as Peak;
}
