import { setTimeout as sleep } from 'node:timers/promises';
import { hash64 } from '../../files/index.ts';
import {
  FinishedQueue,
  type Generation,
  type GenerationRequest,
  type Generator,
  RequestFeed,
} from '../../generate/index.ts';
import { AbortedError, canonicalJson, contentKey, DataError } from '../../system/index.ts';
import type { JobBoard, JobResult } from './job-board.ts';
import { JOB_FORMAT, textsResult, toSent } from './messages.ts';
import { unpack } from './payload.ts';

/** Jobs in the queue for each worker: one in progress, the others wait, so that no worker waits for the producer. */
const JOBS_PER_WORKER = 4;
/** A job that is not full is sent if no request has come for this time and a worker has nothing to do. */
const PAUSE_MILLISECONDS = 100;
/** A job holds at most about so many characters of prompts, whatever the number of its texts. */
const MOST_CHARACTERS = 4_000_000;
const ENDED = Symbol('ended');
const PAUSE = Symbol('pause');

export interface GeneratorFacts {
  id: string;
  fingerprint: string;
  contextSize?: number | undefined;
}

/** A text, and what to do when the next one is asked for, because this one is stored then. */
interface Finished {
  generation: Generation;
  release?: (() => Promise<void>) | undefined;
}

/**
 * A generator whose texts are written by the workers of a queue. Requests are cut into jobs of about `jobSize` texts. Where a job ends
 * depends on the texts alone: when a producer is started again, most of what it still misses falls into the same jobs, whose results
 * may be in the queue already.
 */
export class QueueGenerator implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly contextSize: number | undefined;
  readonly ahead: number;
  readonly #board: JobBoard;
  readonly #workers: number;
  readonly #jobSize: number;

  constructor(facts: GeneratorFacts, board: JobBoard, { workers, jobSize }: { workers: number; jobSize: number }) {
    [this.id, this.fingerprint, this.contextSize] = [facts.id, facts.fingerprint, facts.contextSize];
    [this.#board, this.#workers, this.#jobSize] = [board, Math.max(1, workers), jobSize];
    this.ahead = this.#jobs * 2 * jobSize;
  }

  /** Jobs that are in the queue at once. */
  get #jobs(): number {
    return JOBS_PER_WORKER * this.#workers;
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    const feed = new RequestFeed(requests);
    const finished = new FinishedQueue<Finished>();
    const stop = new AbortController();
    const onAbort = () => {
      stop.abort();
      finished.fail(new AbortedError());
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    this.#send(feed, finished, stop).then(
      () => finished.end(),
      (error: unknown) => finished.fail(error),
    );
    try {
      for await (const { generation, release } of finished) {
        yield generation;
        await release?.();
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
      await feed.close();
    }
  }

  async close(): Promise<void> {
    await this.#board.close();
  }

  /** Sends all requests, and passes on what comes back. If a job fails, the others stay in the queue for the next run. */
  async #send(feed: RequestFeed, finished: FinishedQueue<Finished>, stop: AbortController): Promise<void> {
    const running = new Set<Promise<void>>();
    let failure: { error: unknown } | undefined;
    const run = async (job: readonly GenerationRequest[]) => {
      try {
        for (const result of await this.#run(job, stop.signal)) finished.push(result);
      } catch (error) {
        failure ??= { error };
        await feed.close();
      }
    };
    for await (const job of this.#cut(feed, running)) {
      if (failure !== undefined) break;
      const work: Promise<void> = run(job).finally(() => running.delete(work));
      running.add(work);
      while (running.size >= this.#jobs && failure === undefined) await Promise.race(running);
    }
    while (running.size > 0 && failure === undefined) await Promise.race(running);
    if (failure !== undefined) throw failure.error;
  }

  /** Cuts the requests into jobs. @param running jobs that have not ended */
  async *#cut(feed: RequestFeed, running: ReadonlySet<Promise<void>>): AsyncGenerator<GenerationRequest[]> {
    let job: GenerationRequest[] = [];
    let characters = 0;
    let last: string | undefined;
    for (let next = this.#take(feed); ; ) {
      const request = await (job.length === 0 ? next : Promise.race([next, sleep(PAUSE_MILLISECONDS, PAUSE)]));
      if (request === PAUSE) {
        if (running.size >= this.#workers) continue;
        yield job;
        [job, characters] = [[], 0];
        continue;
      }
      if (request === ENDED) break;
      next = this.#take(feed);
      const prompt = canonicalJson(request.messages);
      const isNew = last !== undefined && prompt !== last;
      const isFull = job.length >= 2 * this.#jobSize || characters >= MOST_CHARACTERS;
      if (job.length > 0 && (isFull || (isNew && this.#ends(last!)))) {
        yield job;
        [job, characters] = [[], 0];
      }
      job.push(request);
      characters += prompt.length;
      last = prompt;
    }
    if (job.length > 0) yield job;
  }

  async #take(feed: RequestFeed): Promise<GenerationRequest | typeof ENDED> {
    return (await feed.take(true)) ?? ENDED;
  }

  /** Whether a job ends after this prompt: on average after `jobSize` prompts. */
  #ends(prompt: string): boolean {
    return hash64(prompt)[0] % this.#jobSize === 0;
  }

  async #run(job: readonly GenerationRequest[], signal: AbortSignal): Promise<Finished[]> {
    const { fingerprint, contextSize } = this;
    const requests = job.map(toSent);
    const id = `texts-${contentKey({ format: JOB_FORMAT, fingerprint, contextSize, requests })}`;
    const result = await this.#board.run(id, { kind: 'texts', requests }, signal);
    const generations = this.#read(result, job);
    const last = generations.length - 1;
    return generations.map((generation, at) => ({ generation, ...(at === last && { release: result.release }) }));
  }

  #read({ packed }: JobResult, job: readonly GenerationRequest[]): Generation[] {
    const generations = unpack(packed, textsResult, 'the result of a worker');
    const wanted = new Set(job.map(({ id }) => id));
    if (generations.length === job.length && generations.every(({ id }) => wanted.delete(id))) return generations;
    throw new DataError('a worker answered other requests than those it was given', {
      fix: 'Use the same version of llm-qe on all machines.',
    });
  }
}
