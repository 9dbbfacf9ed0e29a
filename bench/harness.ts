import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Repetitions of each measurement; medians are reported. */
export const REPETITIONS = 3;

/** Share of the usual sizes that is measured: LLM_QE_BENCH_SCALE below 1 tells whether it runs, not how fast. */
const SCALE = Number(process.env.LLM_QE_BENCH_SCALE ?? 1);

/** A size under the scale asked for, at least `least`. */
export function scaled(size: number, least = 1): number {
  return Math.max(Math.min(size, least), Math.round(size * SCALE));
}

/** One row of the result: a quantity on our side, and on the peer's where it is installed. */
export interface Row {
  what: string;
  unit: string;
  /** true where a larger number is better (a rate), false for times and memory. */
  largerIsBetter: boolean;
  ours: number;
  peer?: number | undefined;
  peerName?: string | undefined;
  /** Share of the machine's limit that our side reaches, in [0, 1], and which limit that is. */
  limit?: { share: number; name: string } | undefined;
  note?: string | undefined;
}

/** What the figures were measured on. */
export function describeMachine(): string {
  const cores = cpus();
  return `${cores.length} cores, ${cores[0]?.model.trim() ?? process.arch}, Node ${process.versions.node}`;
}

/** Gives the work a folder that is removed afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'llm-qe-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes numbers as they stand in memory, for a peer to read. */
export async function writeNumbers(file: string, numbers: Float32Array): Promise<string> {
  await writeFile(file, new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  return file;
}

/** How much better our side is: above 1 is in our favour, whatever the unit. */
export function ratio({ ours, peer, largerIsBetter }: Row): number | undefined {
  if (peer === undefined || peer === 0 || ours === 0) return undefined;
  return largerIsBetter ? ours / peer : peer / ours;
}

/** Median wall seconds of several calls, after one call that is not counted. */
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

/** The Python of `bench/peers.sh`, or of LLM_QE_PEERS; undefined where neither is there. */
export function peerPython(): string | undefined {
  const candidates = [process.env.LLM_QE_PEERS, resolve('bench', '.venv', 'bin', 'python')];
  return candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
}

/**
 * Runs a script of `bench/peers` and reads the JSON document on its last line of output. undefined without peers.
 *
 * @throws Error when the script fails
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

/** Peers get the same threads, no network, and no override that would slow their matrix library. */
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

/** Threads of both sides: LLM_QE_BENCH_THREADS, or one a core. */
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
