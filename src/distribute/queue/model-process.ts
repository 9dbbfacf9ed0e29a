import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { asMessage, endBoundChild, ModelError, spawnBound } from '../../system/index.ts';
import { OPENING, REPLY_MARK, type Reply, replySchema } from './answer-tasks.ts';

/** What is kept of what the process prints, to explain its end. */
const MOST_WORDS = 2000;

/** A task that the process with the model could not do. */
export class TaskFailure extends Error {
  readonly fix: string;
  /** Whether another attempt would fail as well. */
  readonly isFinal: boolean;

  constructor({ message, fix, isFinal }: NonNullable<Reply['failure']>) {
    super(message);
    [this.fix, this.isFinal] = [fix, isFinal];
  }
}

interface Pending {
  resolve(packed: string): void;
  reject(error: Error): void;
}

/** The process that holds a worker's model. If it ends, the next task starts another one. */
export class ModelProcess {
  readonly #file: string;
  readonly #options: unknown;
  #child: ChildProcess | undefined;
  #opened: Promise<string> | undefined;
  readonly #pending = new Map<number, Pending>();
  #tasks = OPENING;
  #words = '';
  #isClosed = false;

  /**
   * @param file the program; it calls `answerTasks`
   * @param options what it opens
   */
  constructor(file: string, options: unknown) {
    [this.#file, this.#options] = [file, options];
  }

  /** Starts the process, if it does not run. @returns who the model is, packed */
  open(): Promise<string> {
    this.#opened ??= this.#start();
    return this.#opened;
  }

  /** @throws TaskFailure */
  async answer(packed: string): Promise<string> {
    await this.open();
    const task = ++this.#tasks;
    return this.#order(task, { task, packed });
  }

  /** Ends the process; what it does is lost. */
  close(): void {
    this.#isClosed = true;
    if (this.#child !== undefined) endBoundChild(this.#child, 'SIGKILL');
  }

  #start(): Promise<string> {
    const child = spawnBound(process.execPath, [this.#file], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    this.#words = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-MOST_WORDS);
    });
    // A process that has ended stops reading; its end gives the reason.
    child.stdin!.on('error', () => {});
    createInterface({ input: child.stdout! }).on('line', (line) => this.#read(line));
    child.once('close', (code, signal) => this.#ended(signal ?? `code ${code}`));
    return this.#order(OPENING, { open: this.#options });
  }

  #order(task: number, order: unknown): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#pending.set(task, { resolve, reject });
      this.#child!.stdin!.write(`${JSON.stringify(order)}\n`);
    });
  }

  #read(line: string): void {
    if (!line.startsWith(REPLY_MARK)) return;
    const { task, packed, failure } = replySchema.parse(JSON.parse(line.slice(REPLY_MARK.length)));
    const pending = this.#pending.get(task);
    this.#pending.delete(task);
    if (failure !== undefined) pending?.reject(new TaskFailure(failure));
    else pending?.resolve(packed!);
  }

  #ended(how: string): void {
    [this.#child, this.#opened] = [undefined, undefined];
    const words = this.#words.trim();
    const message = `the process with the model ended (${how})${words === '' ? '' : `: ${words}`}`;
    const fix = 'Check that the machine of this worker has enough memory.';
    const error = this.#isClosed
      ? new ModelError('stopped', { fix })
      : new TaskFailure({ message: asMessage(message), fix, isFinal: false });
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
