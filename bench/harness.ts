import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Number of repetitions of each measurement; medians are reported. */
export const REPETITIONS = 3;

/** Fraction of the usual sizes. LLM_QE_BENCH_SCALE below 1 checks that a benchmark runs, not how fast. */
const SCALE = Number(process.env.LLM_QE_BENCH_SCALE ?? 1);

/** Returns a size multiplied by the scale, at least `least`. */
export function scaled(size: number, least = 1): number {
  return Math.max(Math.min(size, least), Math.round(size * SCALE));
}

/** One row of the result: a quantity of our side and, if installed, of the peer. */
export interface Row {
  what: string;
  unit: string;
  /** True if a larger number is better (a rate), false for times and memory. */
  largerIsBetter: boolean;
  ours: number;
  peer?: number | undefined;
  peerName?: string | undefined;
  /** The fraction of the machine's limit that our side reaches, in [0, 1], and the name of the limit. */
  limit?: { share: number; name: string } | undefined;
  note?: string | undefined;
}

/** Describes the machine of the measurement. */
export function describeMachine(): string {
  const cores = cpus();
  return `${cores.length} cores, ${cores[0]?.model.trim() ?? process.arch}, Node ${process.versions.node}`;
}

/** Runs the work with a folder that is removed afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'llm-qe-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes numbers in their memory layout, for a peer to read. */
export async function writeNumbers(file: string, numbers: Float32Array): Promise<string> {
  await writeFile(file, new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  return file;
}

/** How much better our side is: above 1 is in our favour, whatever the unit. */
export function ratio({ ours, peer, largerIsBetter }: Row): number | undefined {
  if (peer === undefined || peer === 0 || ours === 0) return undefined;
  return largerIsBetter ? ours / peer : peer / ours;
}

/** Returns the median wall time of several calls in seconds, after one call that is not counted. */
export async function medianSeconds(
  work: () => Promise<unknown> | unknown,
  repetitions = REPETITIONS,
): Promise<number> {
  await work();
  const seconds: number[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const started = performance.now();
    await work();
    seconds.push((performance.now() - started) / 1000);
  }
  return median(seconds);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/** Returns the Python of `bench/peers.sh` or of LLM_QE_PEERS; undefined if neither exists. */
export function peerPython(): string | undefined {
  const candidates = [process.env.LLM_QE_PEERS, resolve('bench', '.venv', 'bin', 'python')];
  return candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
}

/**
 * Runs a script of `bench/peers` and reads the JSON document on its last line of output. Returns undefined without peers.
 *
 * @throws Error if the script fails
 */
export function runPeer<T>(script: string, input: unknown): T | undefined {
  const python = peerPython();
  if (python === undefined) return undefined;
  const result = spawnSync(python, [resolve('bench', 'peers', script)], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: peerEnvironment(),
  });
  if (result.status !== 0) throw new Error(`${script} failed:\n${result.stderr}`);
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as T;
}

/** Peers get the same threads, no network, and no setting that would slow down their matrix library. */
function peerEnvironment(): NodeJS.ProcessEnv {
  const threads = String(threadCount());
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    OMP_NUM_THREADS: threads,
    HF_HUB_OFFLINE: '1',
    TOKENIZERS_PARALLELISM: 'true',
  };
  delete environment.OPENBLAS_CORETYPE;
  delete environment.OPENBLAS_L2_SIZE;
  return environment;
}

/** Number of threads of both sides: LLM_QE_BENCH_THREADS, or one per core. */
export function threadCount(): number {
  return Number(process.env.LLM_QE_BENCH_THREADS ?? availableParallelism());
}

export function formatRows(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    `${formatNumber(row.ours)} ${row.unit}`,
    row.peer === undefined ? 'not measured' : `${formatNumber(row.peer)} ${row.unit}`,
    row.peerName ?? '',
    ratio(row) === undefined ? '' : `${ratio(row)!.toFixed(2)}`,
    [row.limit && `${Math.round(100 * row.limit.share)} % of ${row.limit.name}`, row.note].filter(Boolean).join('; '),
  ]);
  const head = ['what', 'ours', 'peer', 'which peer', 'ratio', 'notes'];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n');
}

function formatNumber(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
