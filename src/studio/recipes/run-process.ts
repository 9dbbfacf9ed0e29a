import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readBoundedJson } from '../../files/index.ts';
import { PROCESS_MARK } from '../../pipeline/index.ts';
import { RequestError } from '../../serve/index.ts';
import {
  formatIdentity,
  identityOf,
  isExact,
  isThere,
  lifeOf,
  makeFolder,
  type ProcessIdentity,
  packageVersion,
  parseIdentity,
  ResourceError,
  redact,
  withFileLock,
  writeDurably,
} from '../../system/index.ts';
import type { RunLog, RunProcess } from '../shapes/recipes.ts';
import { hasCode, optionWords, RECIPE_FILE } from './align-command.ts';
import type { Draft } from './draft.ts';
import { type RunOptions, runOptionsSchema } from './run-options.ts';

/** The folder of the studio within that of a run, and what it holds. */
const FOLDER = 'studio';
const [START_FILE, STOP_FILE, LOG_FILE] = ['start.json', 'stop', 'log.txt'];
/** The end of a log that is shown, in bytes. */
const SHOWN_BYTES = 32 * 1024;

const startSchema = runOptionsSchema.extend({ at: z.number(), version: z.string() });

/** A process of this program that works in the folder of a run. */
interface Worker {
  identity: ProcessIdentity;
  /** Whether it is the one that a studio started, and whether it works. */
  isStarted: boolean;
  isWorking: boolean;
}

/**
 * Starts runs as processes of their own, which outlive the studio, and stops them. What is known of a process stands in the folder of
 * its run: a mark that names it, its lock, and the log. So a studio that is started again knows as much as the one before.
 */
export class RunProcesses {
  readonly #runs: string;
  readonly #program: readonly string[] | undefined;
  readonly #own = new Set<string>();

  /** @param program how `llm-qe` is started; undefined: runs are only watched */
  constructor(runs: string, program: readonly string[] | undefined) {
    this.#runs = runs;
    this.#program = program;
  }

  /** Why nothing can be started or stopped; undefined if it can. */
  get why(): string | undefined {
    return this.#program === undefined
      ? 'This studio was started with --read-only: it starts and stops no runs.'
      : undefined;
  }

  /** @throws RequestError if runs are only watched */
  refuseReadOnly(): void {
    if (this.why === undefined) return;
    throw new RequestError(403, 'this studio starts and stops no runs', { fix: 'Start it without --read-only.' });
  }

  /**
   * Starts the run of a draft in a new process.
   * @throws RequestError if another process works in its folder, ResourceError if the process cannot be started
   */
  async start({ run, yaml, options, consents, command }: Draft): Promise<void> {
    this.refuseReadOnly();
    const folder = join(this.#runs, run);
    await makeFolder(folder);
    const own = await ownFolder(folder);
    await withFileLock(join(own, '.lock'), async () => {
      const worker = await workerIn(folder);
      if (worker !== undefined) throw inUse(folder, worker.identity);
      await writeDurably(join(folder, RECIPE_FILE), yaml);
      const facts = { ...options, at: Date.now(), version: packageVersion() };
      await writeDurably(join(own, START_FILE), `${JSON.stringify(facts)}\n`);
      const words = ['align', join(folder, RECIPE_FILE), '--out', folder, ...optionWords(options, hasCode(consents))];
      const identity = await this.#spawn(words, join(own, LOG_FILE), command);
      this.#own.add(formatIdentity(identity));
      await writeDurably(join(folder, PROCESS_MARK), `${formatIdentity(identity)}\n`);
    });
  }

  /** Starts a process that leads its own session: neither the end of the studio nor that of its terminal ends it. */
  async #spawn(words: readonly string[], log: string, command: string): Promise<ProcessIdentity> {
    const [program, ...before] = this.#program!;
    const output = await openLog(log);
    try {
      await output.appendFile(`\n${START_LINE} ${new Date().toISOString()}\n$ ${command}\n`);
      const child = spawn(program!, [...before, ...words], { detached: true, stdio: ['ignore', output.fd, output.fd] });
      await once(child, 'spawn').catch((cause: unknown) => {
        throw new ResourceError('the run could not be started', { fix: 'Start it at the command line.', cause });
      });
      child.on('error', () => {});
      child.unref();
      return identityOf(child.pid!);
    } finally {
      await output.close();
    }
  }

  /**
   * Asks the process of a run to end, as Ctrl-C does.
   * @throws RequestError if none works there, or it cannot be told for certain which process it is
   */
  async stop(folder: string): Promise<void> {
    this.refuseReadOnly();
    const worker = await workerIn(folder);
    if (worker === undefined) {
      throw new RequestError(409, 'no process works on this run', { fix: 'It has ended. Reload the page.' });
    }
    const whyNot = this.#whyNot(worker.identity);
    if (whyNot !== undefined) throw new RequestError(409, whyNot, { fix: 'Press Ctrl-C where it was started.' });
    const own = await ownFolder(folder);
    await writeDurably(join(own, STOP_FILE), `${formatIdentity(worker.identity)}\n`);
    try {
      process.kill(worker.identity.pid, 'SIGINT');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      throw new RequestError(409, `process ${worker.identity.pid} cannot be stopped from here`, {
        fix: 'Press Ctrl-C where it was started.',
        cause: error,
      });
    }
  }

  /** A folder of a run may be somebody else's: what it says must not end a process that has nothing to do with it. */
  #whyNot(identity: ProcessIdentity): string | undefined {
    if (this.why !== undefined) return this.why;
    const life = lifeOf(identity);
    if (life === 'here') return 'The studio itself works on this run.';
    if (life === 'unknown') return `It runs on ${identity.host}, or in another container.`;
    if (isExact(identity) || this.#own.has(formatIdentity(identity))) return undefined;
    return `It is not certain that process ${identity.pid} works on this run.`;
  }

  /** What the folder of a run and the system say about its process. */
  async look(folder: string): Promise<RunProcess> {
    const worker = await workerIn(folder);
    const isOurs = await isThere(join(folder, FOLDER, START_FILE));
    if (worker !== undefined) {
      const whyNot = this.#whyNot(worker.identity);
      const state = await stateOf(folder, worker);
      return { state, pid: worker.identity.pid, canStop: whyNot === undefined, whyNot, canResume: false };
    }
    const isResumable = isOurs && this.why === undefined;
    const end = isOurs ? await lastEnd(folder) : undefined;
    return { state: 'ended', canStop: false, canResume: isResumable, end };
  }

  /** The options of the last start. @throws RequestError if there was none, DataError */
  async lastOptions(folder: string): Promise<RunOptions> {
    const file = join(folder, FOLDER, START_FILE);
    if (!(await isThere(file))) {
      const fix = 'Run the command again that started it.';
      throw new RequestError(409, 'the studio did not start this run', { fix });
    }
    return readBoundedJson(file, startSchema, { what: 'the record of a start', fix: 'Start the run anew.' });
  }
}

const START_LINE = '=== started';

/**
 * The process that works on a run: the one that was started for it, or any that holds its lock, which may be that of another machine.
 * Nobody removes a mark, so that one of another machine says nothing.
 */
async function workerIn(folder: string): Promise<Worker | undefined> {
  const [started, holder] = await Promise.all([PROCESS_MARK, '.lock'].map((name) => readIdentity(join(folder, name))));
  if (started !== undefined && ['alive', 'here'].includes(lifeOf(started))) {
    return { identity: started, isStarted: true, isWorking: holder?.pid === started.pid };
  }
  if (holder === undefined || lifeOf(holder) === 'gone') return undefined;
  return { identity: holder, isStarted: false, isWorking: true };
}

async function stateOf(folder: string, { identity, isStarted, isWorking }: Worker): Promise<RunProcess['state']> {
  const asked = await readIdentity(join(folder, FOLDER, STOP_FILE));
  if (asked !== undefined && formatIdentity(asked) === formatIdentity(identity)) return 'stopping';
  if (isWorking || !isStarted) return 'running';
  const holder = await readIdentity(join(folder, '.lock'));
  return holder !== undefined && lifeOf(holder) !== 'gone' ? 'waiting' : 'starting';
}

/** A lock or a mark; what is too long for one is none. */
async function readIdentity(file: string): Promise<ProcessIdentity | undefined> {
  const facts = await lstat(file).catch(() => undefined);
  if (!facts?.isFile() || facts.size > 1000) return undefined;
  return parseIdentity(await readFile(file, 'utf8').catch(() => ''));
}

function inUse(folder: string, { pid, host }: ProcessIdentity): RequestError {
  const what = `process ${pid} on ${host} works in the same folder (lock: ${join(folder, '.lock')})`;
  return new RequestError(409, what, { fix: 'Wait until it has ended, or stop it first.' });
}

/** A link would lead what is written here into another folder. @throws RequestError */
async function ownFolder(run: string): Promise<string> {
  const folder = join(run, FOLDER);
  const refused = new RequestError(409, `${folder} is not a folder of this run`, { fix: 'Remove it.' });
  if (!(await lstat(run)).isDirectory()) throw refused;
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  if (!(await lstat(folder)).isDirectory()) throw refused;
  return folder;
}

function openLog(file: string): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW = 0 } = constants;
  return open(file, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600).catch((cause: unknown) => {
    throw new RequestError(409, `${file} cannot be written`, { fix: 'Remove it.', cause });
  });
}

/** The end of what the processes of a run wrote, without keys. Empty if none was started here. */
export async function readLog(folder: string): Promise<RunLog> {
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  const isOwn = (await lstat(join(folder, FOLDER)).catch(() => undefined))?.isDirectory() ?? false;
  const none = { text: '', isCut: false };
  if (!isOwn) return none;
  const file = await open(join(folder, FOLDER, LOG_FILE), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined);
  if (file === undefined) return none;
  try {
    const facts = await file.stat();
    if (!facts.isFile()) return none;
    const from = Math.max(0, facts.size - SHOWN_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SHOWN_BYTES), 0, SHOWN_BYTES, from);
    const text = buffer.subarray(0, bytesRead).toString('utf8');
    // The first line may be cut in half, and with it a character.
    const whole = from === 0 ? text : text.slice(text.indexOf('\n') + 1);
    return { text: redact(whole).trimStart(), isCut: from > 0 };
  } finally {
    await file.close();
  }
}

/** How the last process ended. A report that is newer than the log was written by a later one, from the command line. */
async function lastEnd(folder: string): Promise<RunProcess['end']> {
  const files = [join(folder, 'report.html'), join(folder, FOLDER, LOG_FILE)];
  const [report, log] = await Promise.all(files.map((file) => lstat(file).catch(() => undefined)));
  if (report !== undefined && log !== undefined && report.mtimeMs > log.mtimeMs)
    return { kind: 'finished', message: '' };
  return endOf((await readLog(folder)).text);
}

/**
 * How the process ended that wrote the log, by its last words: `manifest: FILE`, or `error: ...` or `stopped` with the fix below. Who is killed says
 * nothing.
 */
function endOf(log: string): RunProcess['end'] {
  const last = log.slice(Math.max(0, log.lastIndexOf(START_LINE)));
  const lines = last.split('\n').filter((line) => line.trim() !== '');
  const at = lines.findLastIndex((line) => /^(error: |stopped$|manifest: )/.test(line));
  const words = at < 0 ? '' : lines.slice(at).join(' ').replace(/\s+/g, ' ');
  if (words.startsWith('error: ')) return { kind: 'failed', message: words.slice('error: '.length) };
  if (words.startsWith('manifest: ')) return { kind: 'finished', message: '' };
  if (words !== '') return { kind: 'stopped', message: '' };
  return { kind: 'killed', message: 'It was killed, or the machine went down: it wrote no last word.' };
}
