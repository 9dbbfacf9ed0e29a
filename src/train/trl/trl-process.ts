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

/** Everything that TRL prints. */
const LOG_FILE = 'trl.log';

const PROCESS_FILE = '.trl-process';

/** The folder in which TRL keeps the tokenised examples while it runs. */
export const CACHE_FOLDER = 'cache';

/** What the `trl` program does: it calls this entry point. */
const ENTRY_POINT = 'from trl.cli import main; raise SystemExit(main())';

/** torchrun gives its workers 30 seconds. A shorter wait loses nothing that was saved. */
const GRACE_SECONDS = 10;

/** Number of log lines kept for an error message. */
const LAST_LINES = 200;

export interface TrlRunOptions {
  /** The folder of the run, with the files of `writeTrlFiles`. */
  folder: string;
  plan: TrlPlan;
  installation: TrlInstallation;
  /** The checkpoint to resume from, relative to the folder. */
  resumeFrom?: string | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
  /**
   * Receives the metrics of each step and evaluation as they are printed, one after another. An error it throws ends
   * the run.
   */
  onFigures(figures: LoggedFigures): Promise<void>;
}

/**
 * Runs TRL on this machine (the first one) and follows its output until it ends.
 * @throws ResourceError if it fails; AbortedError after the signal, when all its processes have ended; what `onFigures`
 * throws
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
  // A log that cannot be written is no reason to stop. If the disk is full, the training itself fails.
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

/** Records which process trains in a folder, for a run that follows if this one is killed. */
async function rememberProcess(folder: string, { pid }: ChildProcess): Promise<void> {
  const mark = pid === undefined ? undefined : await processMark(pid);
  if (mark !== undefined) await writeDurably(join(folder, PROCESS_FILE), mark);
}

/**
 * Ends the processes that a killed run left behind. TRL ends by itself when its output is no longer read, but only at
 * the next step, and could write checkpoints until then.
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
      reject(new ResourceError('could not be started', { file, fix: 'Check that this file is executable.', cause })),
    );
    child.on('close', resolve);
  });
  // It is awaited after all output is read.
  exit.catch(() => {});
  return exit;
}

/** Reads the output to its end. If it is stopped or `onFigures` throws, all processes of the program are ended. */
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

/** On one machine, any free port is used, so two training runs can run at the same time. */
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
    // Everything to read is in the folder.
    HF_HUB_OFFLINE: '1',
    HF_DATASETS_CACHE: CACHE_FOLDER,
    ...(hardware === 'cpu' && { CUDA_VISIBLE_DEVICES: '', OMP_NUM_THREADS: String(threads) }),
  };
}

/** A line in which Python names an error. */
const PYTHON_ERROR = /^(?:\[rank\d+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt)): (.*)$/;
const OUT_OF_MEMORY = /out of memory|OutOfMemoryError|MemoryError|Killed|exitcode:? -9/i;

function failure(file: string, code: number | null, lines: readonly string[]): ResourceError {
  const errors = lines.map((line) => PYTHON_ERROR.exec(line)).filter((match) => match !== null);
  // The launcher's own error comes last and says only that a worker failed.
  const told = errors.findLast(([, name]) => !/ChildFailedError|CalledProcessError/.test(name!)) ?? errors.at(-1);
  const reason = told === undefined ? (lines.findLast((line) => line.trim() !== '') ?? 'it printed nothing') : told[0];
  const isMemory = lines.some((line) => OUT_OF_MEMORY.test(line));
  return new ResourceError(`TRL ended with code ${code}: ${reason.slice(0, 500)}`, {
    file,
    fix: isMemory
      ? 'Lower perDeviceTrainBatchSize, set gradientCheckpointing to yes, or share the work among more GPUs (zero2).'
      : 'Read the log and remove the cause. Then run the same command again: it resumes from the last checkpoint.',
  });
}
