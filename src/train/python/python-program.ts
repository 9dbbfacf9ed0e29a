import type { ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DataError, ResourceError, spawnBound, throwIfAborted, writeDurably } from '../../system/index.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { endProcessTree, processMark } from './process-tree.ts';

/** torchrun gives its workers 30 seconds. A shorter wait loses nothing that was saved. */
const GRACE_SECONDS = 10;

/** Number of log lines kept for an error message. */
const LAST_LINES = 200;

/** A training program in Python, of which this machine's part is started. */
export interface PythonProgram {
  /** Its name in error messages. */
  name: string;
  /** The folder of the run, in which it works. */
  folder: string;
  python: string;
  words: readonly string[];
  environment: NodeJS.ProcessEnv;
  /** Receives everything that it prints, in the folder. */
  logFile: string;
  /** Remembers which process trains in the folder. */
  processFile: string;
  /** The settings that lower its use of memory, for an error message. */
  savesMemory: string;
  signal?: AbortSignal | undefined;
  /** Receives each line of its standard output, one after another. An error it throws ends the run. */
  onLine(line: string): Promise<void>;
}

/**
 * Runs a program and follows its output until it ends.
 * @throws ResourceError if it fails; AbortedError after the signal, when all its processes have ended; what `onLine` throws
 */
export async function runPython(program: PythonProgram): Promise<void> {
  const { folder, python, words, environment, logFile, processFile, signal } = program;
  throwIfAborted(signal);
  const child = spawnBound(python, [...words], {
    ...{ cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] as const },
    env: environment,
  });
  const exit = exitOf(child, python);
  const remembered = rememberProcess(join(folder, processFile), child);
  remembered.catch(() => {});
  const file = join(folder, logFile);
  const log = createWriteStream(file, { flags: 'a' });
  // A log that cannot be written is no reason to stop. If the disk is full, the training itself fails.
  log.on('error', () => {});
  try {
    // Read at once: Node discards what a program that has ended printed if nothing reads it yet, and its end is then never seen.
    const lines = await follow(child, log, {
      ...program,
      async onLine(line) {
        await remembered;
        await program.onLine(line);
      },
    });
    await remembered;
    const code = await exit;
    throwIfAborted(signal);
    if (code !== 0) throw failure(program, code, lines);
  } finally {
    log.end();
  }
}

/** Records which process trains in a folder, for a run that follows if this one is killed. */
async function rememberProcess(file: string, { pid }: ChildProcess): Promise<void> {
  const mark = pid === undefined ? undefined : await processMark(pid);
  if (mark !== undefined) await writeDurably(file, mark);
}

/**
 * Ends the processes that a killed run left behind. They end by themselves when their output is no longer read, but only at
 * the next step, and could write checkpoints until then.
 */
export async function endLeftOver(folder: string, processFile: string): Promise<void> {
  const mark = await readFile(join(folder, processFile), 'utf8').catch(() => '');
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

/** Reads the output to its end. If it is stopped or `onLine` throws, all processes of the program are ended. */
async function follow(child: ChildProcess, log: WriteStream, { signal, onLine }: PythonProgram): Promise<string[]> {
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
      if (ending === undefined) await onLine(line);
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

/** Any free port: several runs can share a machine. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Variables for programs that find everything in their folder, and share this machine's cores. */
export function pythonEnvironment(
  { hardware, processes }: Pick<ClusterSettings, 'hardware' | 'processes'>,
  environment: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const threads = Math.max(1, Math.floor(availableParallelism() / processes));
  return {
    ...environment,
    PYTHONUNBUFFERED: '1',
    TOKENIZERS_PARALLELISM: 'false',
    HF_HUB_OFFLINE: '1',
    ...(hardware === 'cpu' && { CUDA_VISIBLE_DEVICES: '', OMP_NUM_THREADS: String(threads) }),
  };
}

/** A line in which Python names an error. */
const PYTHON_ERROR = /^(?:\[rank\d+\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt)): (.*)$/;
const OUT_OF_MEMORY = /out of memory|OutOfMemoryError|MemoryError|Killed|exitcode:? -9/i;

function failure(
  { name, folder, logFile, savesMemory }: PythonProgram,
  code: number | null,
  lines: readonly string[],
): ResourceError {
  const errors = lines.map((line) => PYTHON_ERROR.exec(line)).filter((match) => match !== null);
  // The launcher's own error comes last and says only that a worker failed.
  const told = errors.findLast(([, name]) => !/ChildFailedError|CalledProcessError/.test(name!)) ?? errors.at(-1);
  const reason = told === undefined ? (lines.findLast((line) => line.trim() !== '') ?? 'it printed nothing') : told[0];
  const isMemory = lines.some((line) => OUT_OF_MEMORY.test(line));
  return new ResourceError(`${name} ended with code ${code}: ${reason.slice(0, 500)}`, {
    file: join(folder, logFile),
    fix: isMemory
      ? savesMemory
      : 'Read the log and remove the cause. Then run the same command again: it resumes from the last checkpoint.',
  });
}

/**
 * The newest complete checkpoint of Transformers' trainer, read by `read`. The trainer writes its state last, so a checkpoint whose state
 * cannot be read is incomplete and is removed.
 * @param read throws a DataError for a state that is missing or damaged
 */
export async function lastCheckpoint<State>(
  output: string,
  read: (checkpoint: string) => Promise<State>,
): Promise<{ name: string; state: State } | undefined> {
  const names = (await readdir(output).catch((): string[] => [])).filter((name) => /^checkpoint-\d+$/.test(name));
  const stepOf = (name: string) => Number(name.slice('checkpoint-'.length));
  for (const name of names.sort((a, b) => stepOf(b) - stepOf(a))) {
    try {
      return { name, state: await read(join(output, name)) };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      await rm(join(output, name), { recursive: true, force: true });
    }
  }
  return undefined;
}
