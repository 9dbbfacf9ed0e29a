import { spawn } from 'node:child_process';
import { once } from 'node:events';
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
  ResourceError,
  withFileLock,
  writeDurably,
} from '../../system/index.ts';
import type { RunProcess } from '../shapes/recipes.ts';
import { hasCode, optionWords, RECIPE_FILE } from './align-command.ts';
import type { Draft } from './draft.ts';
import { OWN_FOLDER, ownFolder } from './run-folder.ts';
import { lastEnd, openLog } from './run-log.ts';
import { type RunOptions, runOptionsSchema } from './run-options.ts';
import { removeMark, STOP_FILE, stateOf, workerIn } from './working-process.ts';

/** The options of the last start. */
const START_FILE = 'start.json';

const startSchema = runOptionsSchema.extend({ at: z.number(), version: z.string() });

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
      const { child, identity } = await this.#spawn(words, own, command);
      this.#own.add(formatIdentity(identity));
      const mark = join(folder, PROCESS_MARK);
      await writeDurably(mark, `${formatIdentity(identity)}\n`);
      if (child.exitCode !== null || child.signalCode !== null) await removeMark(mark, identity);
      else child.once('exit', () => void removeMark(mark, identity));
    });
  }

  /** Starts a process that leads its own session: neither the end of the studio nor that of its terminal ends it. */
  async #spawn(words: readonly string[], own: string, command: string) {
    const [program, ...before] = this.#program!;
    const output = await openLog(own, command);
    try {
      const child = spawn(program!, [...before, ...words], { detached: true, stdio: ['ignore', output.fd, output.fd] });
      await once(child, 'spawn').catch((cause: unknown) => {
        throw new ResourceError('the run could not be started', { fix: 'Start it at the command line.', cause });
      });
      child.on('error', () => {});
      child.unref();
      return { child, identity: identityOf(child.pid!) };
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
    // 0 would be the studio's own group, and 1 the system.
    const isCertain = identity.pid > 1 && (isExact(identity) || this.#own.has(formatIdentity(identity)));
    if (isCertain) return undefined;
    return `It is not certain that process ${identity.pid} works on this run.`;
  }

  /** What the folder of a run and the system say about its process. */
  async look(folder: string): Promise<RunProcess> {
    const worker = await workerIn(folder);
    const isOurs = await isThere(join(folder, OWN_FOLDER, START_FILE));
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
    const file = join(folder, OWN_FOLDER, START_FILE);
    if (!(await isThere(file))) {
      const fix = 'Run the command again that started it.';
      throw new RequestError(409, 'the studio did not start this run', { fix });
    }
    return readBoundedJson(file, startSchema, { what: 'the record of a start', fix: 'Start the run anew.' });
  }
}

function inUse(folder: string, { pid, host }: ProcessIdentity): RequestError {
  const what = `process ${pid} on ${host} works in the same folder (lock: ${join(folder, '.lock')})`;
  return new RequestError(409, what, { fix: 'Wait until it has ended, or stop it first.' });
}
