import { setTimeout as sleep } from 'node:timers/promises';
import type { Job, Queue } from 'bullmq';
import { AbortedError, NetworkError } from '../../system/index.ts';
import { connectQueue, queueFault } from './connection.ts';
import { JOB_FORMAT, type Task } from './messages.ts';
import { pack } from './payload.ts';
import type { QueueAddress } from './queue-address.ts';
import type { QueueServer } from './queue-server.ts';

/** How often a job is tried before its failure is told. */
const ATTEMPTS = 3;
/** What nobody takes is removed after this time, in seconds. */
const KEPT_SECONDS = 3 * 24 * 3600;
/** How often the state of jobs is asked for. */
const POLL_MILLISECONDS = { first: 20, last: 100 };
/** How long a server that does not answer is tried. */
const PATIENCE_MILLISECONDS = 2_000;

/** The result of a job. */
export interface JobResult {
  packed: unknown;
  /** Removes the job from the queue: call it when the result is stored. */
  release(): Promise<void>;
}

interface Waiting {
  task: Task;
  resolve(result: JobResult): void;
  reject(error: unknown): void;
}

/** Returns the name of a queue: workers and producers meet under it. */
export function queueName(...parts: string[]): string {
  return ['llm-qe', JOB_FORMAT, ...parts].join('-');
}

/** The producer's side of a queue: puts jobs into it, and waits for their results. */
export class JobBoard {
  readonly #address: QueueAddress;
  readonly #server: QueueServer;
  readonly #queue: Queue;
  readonly #waiting = new Map<string, Waiting>();
  #lastFault: Error | undefined;
  #polling: Promise<void> | undefined;
  #closed = false;

  private constructor(address: QueueAddress, server: QueueServer, name: string) {
    [this.#address, this.#server, this.#queue] = [address, server, server.queue(name)];
  }

  /** @throws ResourceError if BullMQ is not installed; NetworkError */
  static async open(address: QueueAddress, name: string): Promise<JobBoard> {
    let board: JobBoard | undefined;
    const server = await connectQueue(address, {
      ...{ patience: PATIENCE_MILLISECONDS, isFaithful: false, onReady() {} },
      onFault(error) {
        if (board !== undefined) board.#lastFault = error;
      },
    });
    board = new JobBoard(address, server, name);
    return board;
  }

  /** Number of jobs that are waited for. */
  get open(): number {
    return this.#waiting.size;
  }

  /** Number of workers that serve this queue now. @throws NetworkError */
  async workers(): Promise<number> {
    return this.#ask(() => this.#queue.getWorkersCount());
  }

  /**
   * Lets a worker do a task. Tasks with the same id are one job: one that an earlier process put into the queue is not done again.
   * @throws NetworkError if the job fails on every attempt, or the queue does not answer; AbortedError
   */
  async run(id: string, task: Task, signal?: AbortSignal): Promise<JobResult> {
    let onAbort = () => {};
    try {
      return await new Promise<JobResult>((resolve, reject) => {
        onAbort = () => reject(new AbortedError());
        signal?.addEventListener('abort', onAbort, { once: true });
        if (signal?.aborted) return onAbort();
        this.#add(id, task).then(() => {
          if (signal?.aborted || this.#closed) return;
          this.#waiting.set(id, { task, resolve, reject });
          this.#poll();
        }, reject);
      });
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#waiting.values()) reject(new AbortedError());
    await this.#polling?.catch(() => {});
    await this.#queue.close().catch(() => {});
    this.#server.close();
  }

  async #add(id: string, task: Task): Promise<void> {
    await this.#ask(async () => {
      // A job that failed in an earlier run is tried again.
      if ((await this.#queue.getJobState(id)) === 'failed') await this.#queue.remove(id);
      await this.#queue.add(task.kind, pack(task), {
        jobId: id,
        attempts: ATTEMPTS,
        backoff: { type: 'exponential', delay: 500 },
        removeOnComplete: { age: KEPT_SECONDS },
        removeOnFail: { age: KEPT_SECONDS },
      });
    });
  }

  #poll(): void {
    this.#polling ??= this.#watch().finally(() => {
      this.#polling = undefined;
      if (this.#waiting.size > 0 && !this.#closed) this.#poll();
    });
  }

  async #watch(): Promise<void> {
    let pause = POLL_MILLISECONDS.first;
    while (this.#waiting.size > 0 && !this.#closed) {
      try {
        const ended = await Promise.all([...this.#waiting.keys()].map((id) => this.#look(id)));
        pause = ended.includes(true) ? POLL_MILLISECONDS.first : Math.min(pause * 1.5, POLL_MILLISECONDS.last);
      } catch (error) {
        for (const { reject } of this.#waiting.values()) reject(error);
        return;
      }
      await sleep(pause);
    }
  }

  /** Looks whether a job has ended, and passes its result on. */
  async #look(id: string): Promise<boolean> {
    const state = await this.#ask(() => this.#queue.getJobState(id));
    if (state !== 'completed' && state !== 'failed' && state !== 'unknown') return false;
    const job = state === 'unknown' ? undefined : await this.#ask(() => this.#queue.getJob(id));
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return false;
    if (job === undefined) {
      // The server lost it, or another producer with the same texts took it.
      await this.#add(id, waiting.task);
      return false;
    }
    this.#waiting.delete(id);
    if (state === 'failed') waiting.reject(jobFault(job));
    else waiting.resolve({ packed: job.returnvalue, release: () => this.#remove(job) });
    return true;
  }

  async #remove(job: Job): Promise<void> {
    await this.#ask(() => job.remove());
  }

  async #ask<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw queueFault(error, this.#address, this.#lastFault);
    }
  }
}

/** A worker's message is followed by its fix, in a line of its own. */
export const FIX_MARK = '\n  Fix: ';

function jobFault({ failedReason, attemptsMade }: Job): NetworkError {
  const [message, fix = ''] = failedReason.split(FIX_MARK);
  const tries = attemptsMade === 1 ? 'could not do its part' : `failed ${attemptsMade} times`;
  return new NetworkError(`a worker ${tries}: ${message}`, {
    fix: `${fix} Then run the same command again: it goes on where it stopped.`.trim(),
  });
}
