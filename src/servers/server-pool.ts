import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortedError,
  type FaultOptions,
  LONGEST_WAIT_SECONDS,
  NetworkError,
  type Progress,
  SILENT,
  throwIfAborted,
  timerOf,
  UsageError,
} from '../system/index.ts';
import { parseServerAddress } from './address.ts';
import { judgeFailure, type Verdict } from './judge.ts';
import { EXTRAS, type LimitName } from './parameters.ts';
import type { Server } from './server.ts';
import { ServerClient } from './server-client.ts';
import { isNothingThere, ServerFault } from './server-fault.ts';

export interface PoolOptions {
  baseUrls: readonly string[];
  /** Name of the model, for error messages. */
  model: string;
  /** Default: OPENAI_API_KEY, or none. */
  apiKey?: string | undefined;
  /** Time limit for one call. */
  timeoutSeconds: number;
  /** Number of retries; two if no server has ever answered at any of the addresses. */
  retries: number;
  /** Maximum wait that a server may request. Default 120. */
  maxWaitSeconds?: number | undefined;
  /** Size limit for an answer. Default 64 MiB. */
  maxBytes?: number | undefined;
  /** Shows waits, and reports what a server does not support. */
  progress?: Progress | undefined;
}

/** One request, to be sent to any server that has room. */
export interface Ask<T> {
  /** Calls one server. @throws ServerFault */
  call(server: Server, body: Readonly<Record<string, unknown>>): Promise<T>;
  /** Returns the body for that server. */
  body(server: Server): Record<string, unknown>;
  /** Names the request in error messages. */
  id?: string | undefined;
  /** Number of texts to embed; undefined for a chat. */
  inputs?: number | undefined;
  /** Whether to retry a batch that may be too large for the server as it is, instead of returning it to be split. Default false. */
  wholeBatch?: boolean | undefined;
  /** Number of retries for this request. Default: the pool's. */
  retries?: number | undefined;
  /** Restricts the request to this server. */
  only?: Server | undefined;
  signal?: AbortSignal | undefined;
}

/** Why a request cannot be answered in its present form: the caller changes it. */
export type Unfit = Extract<Verdict, { kind: 'tooLong' | 'tooMany' | 'filtered' }>;

/** First pause after a failure, in seconds. It doubles with each attempt, up to {@link LONGEST_PAUSE}. */
const FIRST_PAUSE = 0.5;
const LONGEST_PAUSE = 30;

/** Number of retries if no server has ever answered: the address is probably wrong. */
const RETRIES_UNANSWERED = 2;

/** A batch that failed so often without an explanation may be too large. */
const FAILURES_OF_BATCH = 2;

/** Shorter waits are not shown. */
const SHOWN_WAIT_SECONDS = 2;

/** All servers want to be left alone for longer than a caller is ready to wait. */
export class LongWaitError extends NetworkError {
  readonly seconds: number;

  constructor(reason: string, seconds: number, options: FaultOptions) {
    super(reason, options);
    // To users it is one of many faults of a server.
    this.name = 'NetworkError';
    this.seconds = seconds;
  }
}

/** Several servers of one model that share the load. A server that failed is set aside for a while, then tried again. */
export class ServerPool {
  readonly servers: readonly Server[];
  model: string;
  readonly #options: PoolOptions;
  readonly #told = new Set<string>();
  #waitIsShown = false;
  /** Whether a request has failed after all its retries. */
  #gaveUp = false;

  /** @throws UsageError if an address is not valid, or if a key cannot be sent */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.model = options.model;
    const addresses = new Map(
      options.baseUrls.map((baseUrl) => {
        const address = parseServerAddress(baseUrl);
        return [address.shown, address];
      }),
    );
    if (addresses.size === 0) throw new UsageError('there is no server', { fix: 'Pass at least one address.' });
    this.servers = [...addresses.values()].map((address) => ({
      shown: address.shown,
      client: new ServerClient(address, options),
      pending: 0,
      restUntil: 0,
      contact: undefined,
      leftOut: new Set(address.hostname === 'api.openai.com' ? EXTRAS : []),
      taken: new Set<string>(),
      streams: false,
      takesN: true,
      singles: 0,
      oneText: false,
      limitName: 'max_tokens',
      limitNamesTried: new Set<LimitName>(),
    }));
  }

  /** Starts a new round of requests: earlier failures do not count for it. */
  begin(): void {
    this.#gaveUp = false;
  }

  /**
   * Calls servers until one answers, or until the request must be changed. Learning what a server does not support does not count
   * as a retry.
   * @throws NetworkError, AbortedError; UsageError if a setting is not supported
   */
  async ask<T>(ask: Ask<T>): Promise<{ answer: T } | Unfit> {
    for (let failures = 0; ; ) {
      throwIfAborted(ask.signal);
      const outcome = await this.#attempt(ask, failures);
      if ('answer' in outcome) return outcome;
      if (outcome.kind === 'adapt') continue;
      if (outcome.kind !== 'again') return outcome;
      failures++;
      const most = Math.min(outcome.mostRetries ?? Number.POSITIVE_INFINITY, ask.retries ?? this.#retries());
      const { mayBeTooMany, error } = outcome;
      if (mayBeTooMany && !ask.wholeBatch && failures >= Math.min(FAILURES_OF_BATCH, most + 1)) {
        return { kind: 'tooMany', error, isGuess: true, ...mayBeTooMany };
      }
      if (failures <= most) continue;
      if (ask.retries === undefined) this.#gaveUp = true;
      throw error;
    }
  }

  /** Reports something about a server to the user, once. */
  tell(notice: string): void {
    if (this.#told.has(notice)) return;
    this.#told.add(notice);
    this.#options.progress?.warn?.(notice);
  }

  /** Calls one server once. Returns the verdict on a failure that is not final. */
  async #attempt<T>(ask: Ask<T>, failures: number): Promise<{ answer: T } | Exclude<Verdict, { kind: 'final' }>> {
    const server = await this.#choose(ask);
    const body = ask.body(server);
    server.pending++;
    try {
      const answer = await ask.call(server, body);
      server.contact = 'answered';
      for (const name of Object.keys(body)) server.taken.add(name);
      return { answer };
    } catch (error) {
      if (!(error instanceof ServerFault)) throw error;
      if (!isNothingThere(error)) server.contact = 'answered';
      server.contact ??= 'none';
      const verdict = judgeFailure(error, { server, model: this.model, id: ask.id, body, inputs: ask.inputs });
      if (verdict.kind === 'final') throw verdict.error;
      if (verdict.kind === 'again') this.#rest(server, verdict, failures, ask);
      if (verdict.kind === 'adapt' && verdict.notice !== undefined) this.tell(verdict.notice);
      return verdict;
    } finally {
      server.pending--;
    }
  }

  /** Sets a server aside. @throws NetworkError if the wait for every server would be longer than allowed */
  #rest(server: Server, verdict: Extract<Verdict, { kind: 'again' }>, failures: number, { only }: Ask<unknown>): void {
    const growth = this.#deserted ? 1 : 2 ** failures;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * growth) * (0.75 + Math.random() / 2);
    const now = performance.now();
    server.restUntil = Math.max(server.restUntil, now + (verdict.afterSeconds || pause) * 1000);
    const earliest = Math.min(...(only === undefined ? this.servers : [only]).map(({ restUntil }) => restUntil));
    // Sums of times have rounding errors.
    const seconds = Math.round(earliest - now) / 1000;
    const most = this.#options.maxWaitSeconds ?? LONGEST_WAIT_SECONDS;
    if (verdict.afterSeconds === undefined || seconds <= most) return;
    const asked = Math.ceil(verdict.afterSeconds);
    throw new LongWaitError(
      `${verdict.error.message}; it requests a wait of ${asked.toLocaleString('en-US')} s`,
      asked,
      {
        fix: `Run the same command again after that time: it resumes where it stopped. Or wait for the server: --max-wait ${asked} (now ${most}).`,
        cause: verdict.error,
      },
    );
  }

  #retries(): number {
    if (!this.#deserted) return this.#options.retries;
    return this.#gaveUp ? 0 : Math.min(RETRIES_UNANSWERED, this.#options.retries);
  }

  /** Whether each server was tried and none has ever answered. */
  get #deserted(): boolean {
    return this.servers.every(({ contact }) => contact === 'none');
  }

  /** Returns the server with the fewest calls in progress; waits while all of them are set aside. @throws AbortedError */
  async #choose({ only, signal }: Ask<unknown>): Promise<Server> {
    const all = only === undefined ? this.servers : [only];
    for (;;) {
      const now = performance.now();
      const awake = all.filter(({ restUntil }) => restUntil <= now);
      const [first, ...others] = awake;
      if (first !== undefined) return others.reduce((best, one) => (one.pending < best.pending ? one : best), first);
      const next = all.reduce((best, one) => (one.restUntil < best.restUntil ? one : best));
      this.#refuseLongWait(next, next.restUntil - now);
      const wait = this.#showWait(next, next.restUntil - now);
      try {
        await sleep(timerOf(Math.max(1, next.restUntil - now) / 1000), undefined, signal && { signal });
      } catch {
        throw new AbortedError();
      } finally {
        wait?.();
      }
    }
  }

  /** A server may have asked another request for a wait that is too long. @throws LongWaitError */
  #refuseLongWait({ shown }: Server, milliseconds: number): void {
    const most = this.#options.maxWaitSeconds ?? LONGEST_WAIT_SECONDS;
    // A wait of exactly that length was allowed.
    const seconds = Math.floor(milliseconds / 1000);
    if (seconds <= most) return;
    throw new LongWaitError(`${shown} was busy or failed, and is left alone for ${seconds} s`, seconds, {
      fix: `Try again after that time, or allow longer waits: --max-wait ${seconds} (now ${most}).`,
    });
  }

  /** Counts a wait down on the progress line, once for all calls that wait. */
  #showWait({ shown }: Server, milliseconds: number): (() => void) | undefined {
    const seconds = Math.ceil(milliseconds / 1000);
    if (this.#waitIsShown || seconds < SHOWN_WAIT_SECONDS) return undefined;
    this.#waitIsShown = true;
    const task = (this.#options.progress ?? SILENT).task(
      `waiting for ${shown}, which was busy or failed`,
      seconds,
      'seconds',
    );
    const timer = setInterval(() => task.advance(), 1000);
    return () => {
      clearInterval(timer);
      this.#waitIsShown = false;
      task.done();
    };
  }
}
