import type { ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ResourceError, spawnBound, throwIfAborted, writeDurably } from '../../system/index.ts';
import { endProcessTree, processMark } from './process-tree.ts';
import { trlWords } from './trl-files.ts';
import type { TrlInstallation } from './trl-installation.ts';
import { type LoggedFigures, parseLogLine } from './trl-log.ts';
import type { TrlPlan } from './trl-plan.ts';

/** All that TRL prints. */
const LOG_FILE = 'trl.log';

const PROCESS_FILE = '.trl-process';

/** Where TRL keeps the tokenised examples while it runs. */
export const CACHE_FOLDER = 'cache';

/** What the `trl` program is: an entry point of this module. */
const ENTRY_POINT = 'from trl.cli import main; raise SystemExit(main())';

/** torchrun gives its workers half a minute; what is lost by not waiting as long is nothing that was saved. */
const GRACE_SECONDS = 10;

/** Lines of the log that are kept for an error message. */
const LAST_LINES = 200;

export interface TrlRunOptions {
  /** The folder of the run, with the files of `writeTrlFiles`. */
  folder: string;
  plan: TrlPlan;
  installation: TrlInstallation;
  /** A checkpoint to go on from, relative to the folder. */
  resumeFrom?: string | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
  /** Told the figures of each step and evaluation as they are printed, one after the other; what it throws ends the run. */
  onFigures(figures: LoggedFigures): Promise<void>;
}

/**
 * Runs TRL on this machine (the first one) and follows what it prints, until it ends.
 * @throws ResourceError if it fails; AbortedError behind the signal, all its processes gone; what `onFigures` throws
 */
export async function runTrl(options: TrlRunOptions): Promise<void> {
  const { folder, plan, installation, signal } = options;
  throwIfAborted(signal);
  const words = ['-c', ENTRY_POINT, ...trlWords(plan.method), ...(await portWords(plan)), ...resumeWords(options)];
  const child = spawnBound(installation.python, words, {
    ...{ cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] as const },
    env: { ...(options.environment ?? process.env), ...environmentOf(plan) },
  });
  const exit = exitOf(child, installation.python);
  await rememberProcess(folder, child);
  const file = join(folder, LOG_FILE);
  const log = createWriteStream(file, { flags: 'a' });
  // A log that cannot be written is no reason to stop; what is in need of space fails by itself.
  log.on('error', () => {});
  try {
    const lines = await follow(child, log, options);
    const code = await exit;
    throwIfAborted(signal);
    if (code !== 0) throw failure(file, code, lines);
  } finally {
    log.end();
  }
}

/** Says which process trains in a folder, for a run that comes after this one was killed. */
async function rememberProcess(folder: string, { pid }: ChildProcess): Promise<void> {
  const mark = pid === undefined ? undefined : await processMark(pid);
  if (mark !== undefined) await writeDurably(join(folder, PROCESS_FILE), mark);
}

/**
 * Ends what a killed run left behind. TRL ends by itself when nobody reads what it prints, but only at the next step, and
 * would write checkpoints until then.
 */
export async function endLeftOver(folder: string): Promise<void> {
  const mark = await readFile(join(folder, PROCESS_FILE), 'utf8').catch(() => '');
  const pid = Number.parseInt(mark, 10);
  if (Number.isInteger(pid) && (await processMark(pid)) === mark) await endProcessTree(pid, GRACE_SECONDS);
}

/** @throws ResourceError if it does not start */
function exitOf(child: ChildProcess, file: string): Promise<number | null> {
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(new ResourceError('could not be started', { file, fix: 'Check that it can be run.', cause })),
    );
    child.on('close', resolve);
  });
  // It is awaited once all is read.
  exit.catch(() => {});
  return exit;
}

/** Reads to the end of what is printed. When it is stopped, or `onFigures` throws, nothing of the program lives on. */
async function follow(child: ChildProcess, log: WriteStream, { signal, onFigures }: TrlRunOptions): Promise<string[]> {
  const last: string[] = [];
  const keep = (line: string) => {
    log.write(`${line}\n`);
    if (last.push(line) > LAST_LINES) last.shift();
  };
  let ending: Promise<void> | undefined;
  const end = () => {
    if (child.pid !== undefined) ending ??= endProcessTree(child.pid, GRACE_SECONDS);
  };
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted) end();
  try {
    createInterface({ input: child.stderr! }).on('line', keep);
    for await (const line of createInterface({ input: child.stdout! })) {
      keep(line);
      const figures = parseLogLine(line);
      if (figures !== undefined && ending === undefined) await onFigures(figures);
    }
  } catch (error) {
    end();
    throw error;
  } finally {
    signal?.removeEventListener('abort', end);
    await ending;
  }
  return last;
}

function resumeWords({ resumeFrom }: TrlRunOptions): string[] {
  return resumeFrom === undefined ? [] : ['--resume_from_checkpoint', resumeFrom];
}

/** On one machine any free port does, so that two trainings may run beside each other. */
async function portWords({ engine }: TrlPlan): Promise<string[]> {
  if (engine.machines > 1) return [];
  return ['--main_process_port', String(engine.mainProcessPort ?? (await freePort()))];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function environmentOf({ engine: { hardware, processes } }: TrlPlan): NodeJS.ProcessEnv {
  const threads = Math.max(1, Math.floor(availableParallelism() / processes));
  return {
    PYTHONUNBUFFERED: '1',
    TOKENIZERS_PARALLELISM: 'false',
    // All that is read stands in the folder.
    HF_HUB_OFFLINE: '1',
    HF_DATASETS_CACHE: CACHE_FOLDER,
    ...(hardware === 'cpu' && { CUDA_VISIBLE_DEVICES: '', OMP_NUM_THREADS: String(threads) }),
  };
}

/** The last line in which Python names an error. */
const PYTHON_ERROR = /^(?:\[rank\d+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt)): (.*)$/;
const OUT_OF_MEMORY = /out of memory|OutOfMemoryError|MemoryError|Killed|exitcode:? -9/i;

function failure(file: string, code: number | null, lines: readonly string[]): ResourceError {
  const errors = lines.map((line) => PYTHON_ERROR.exec(line)).filter((match) => match !== null);
  // The launcher's own error says only that a worker failed, and comes last.
  const told = errors.findLast(([, name]) => !/ChildFailedError|CalledProcessError/.test(name!)) ?? errors.at(-1);
  const reason = told === undefined ? (lines.findLast((line) => line.trim() !== '') ?? 'it said nothing') : told[0];
  const isMemory = lines.some((line) => OUT_OF_MEMORY.test(line));
  return new ResourceError(`TRL ended with code ${code}: ${reason.slice(0, 500)}`, {
    file,
    fix: isMemory
      ? 'Take fewer examples at once (perDeviceTrainBatchSize), gradientCheckpointing activations, or share the work among more GPUs (zero2).'
      : 'Read the whole log; when the cause is gone, run the same command again: it goes on behind the last checkpoint.',
  });
}
