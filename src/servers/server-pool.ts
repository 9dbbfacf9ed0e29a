import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortedError,
  LONGEST_WAIT_SECONDS,
  NetworkError,
  type Progress,
  SILENT,
  throwIfAborted,
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
  /** Name of the model, for messages. */
  model: string;
  /** Default: OPENAI_API_KEY, or none. */
  apiKey?: string | undefined;
  /** Limit on one call. */
  timeoutSeconds: number;
  /** Further attempts after the first; two while nothing was ever found at any of the addresses. */
  retries: number;
  /** Longest wait that a server may ask for. Default 120. */
  maxWaitSeconds?: number | undefined;
  /** Limit on an answer. Default 64 MiB. */
  maxBytes?: number | undefined;
  /** Shows waits, and says what a server does not take. */
  progress?: Progress | undefined;
}

/** One request, as it is put to whichever server has room. */
export interface Ask<T> {
  /** Asks one server. @throws ServerFault */
  call(server: Server, body: Readonly<Record<string, unknown>>): Promise<T>;
  /** What that server is sent. */
  body(server: Server): Record<string, unknown>;
  /** Names the request in messages. */
  id?: string | undefined;
  /** Texts that are embedded; undefined for a chat. */
  inputs?: number | undefined;
  /** This server alone. */
  only?: Server | undefined;
  signal?: AbortSignal | undefined;
}

/** What a request cannot be answered for, as it is put: the caller puts it otherwise. */
export type Unfit = Extract<Verdict, { kind: 'tooLong' | 'tooMany' }>;

/** First pause after a failure, in seconds; it doubles from attempt to attempt up to {@link LONGEST_PAUSE}. */
const FIRST_PAUSE = 0.5;
const LONGEST_PAUSE = 30;

/** Further attempts while nothing was ever found at any address: that is a wrong address rather than a server that died. */
const RETRIES_UNANSWERED = 2;

/** Shorter waits are not worth a line. */
const SHOWN_WAIT_SECONDS = 2;

/** Several servers of one model that share the load. One that failed rests for a while and is then tried again. */
export class ServerPool {
  readonly servers: readonly Server[];
  model: string;
  readonly #options: PoolOptions;
  readonly #told = new Set<string>();
  #waitIsShown = false;
  /** Whether a request failed for good. */
  #gaveUp = false;

  /** @throws UsageError for an address that is none, or a key that cannot be sent */
  constructor(options: PoolOptions) {
    this.#options = options;
    this.model = options.model;
    const addresses = new Map(
      options.baseUrls.map((baseUrl) => {
        const address = parseServerAddress(baseUrl);
        return [address.shown, address];
      }),
    );
    if (addresses.size === 0) throw new UsageError('no server is named', { fix: 'Name at least one address.' });
    this.servers = [...addresses.values()].map((address) => ({
      shown: address.shown,
      client: new ServerClient(address, options),
      pending: 0,
      restUntil: 0,
      contact: undefined,
      leftOut: new Set(address.hostname === 'api.openai.com' ? EXTRAS : []),
      takesN: true,
      singles: 0,
      limitName: 'max_tokens',
      limitNamesTried: new Set<LimitName>(),
    }));
  }

  /** Begins anew: what failed before says nothing of the requests to come. */
  begin(): void {
    this.#gaveUp = false;
  }

  /**
   * Asks until there is an answer, here or there, or until the request must be put otherwise. What a server turns out not to
   * know takes nothing from the retries.
   * @throws NetworkError, UsageError for a setting that is not taken, AbortedError
   */
  async ask<T>(ask: Ask<T>): Promise<{ answer: T } | Unfit> {
    for (let failures = 0; ; ) {
      throwIfAborted(ask.signal);
      const outcome = await this.#attempt(ask, failures);
      if ('answer' in outcome) return outcome;
      if (outcome.kind === 'tooLong' || outcome.kind === 'tooMany') return outcome;
      if (outcome.kind !== 'again') continue;
      if (failures++ < Math.min(outcome.mostRetries ?? Number.POSITIVE_INFINITY, this.#retries())) continue;
      this.#gaveUp = true;
      throw outcome.error;
    }
  }

  /** Says once what a user should know of a server. */
  tell(notice: string): void {
    if (this.#told.has(notice)) return;
    this.#told.add(notice);
    this.#options.progress?.warn?.(notice);
  }

  /** Asks one server once; a failure that is not final comes back with what it means. */
  async #attempt<T>(ask: Ask<T>, failures: number): Promise<{ answer: T } | Exclude<Verdict, { kind: 'final' }>> {
    const server = await this.#choose(ask);
    const body = ask.body(server);
    server.pending++;
    try {
      const answer = await ask.call(server, body);
      server.contact = 'answered';
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

  /** Sets a server aside. @throws NetworkError if every server would have to be waited for longer than is allowed */
  #rest(server: Server, verdict: Extract<Verdict, { kind: 'again' }>, failures: number, { only }: Ask<unknown>): void {
    const growth = this.#deserted ? 1 : 2 ** failures;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * growth) * (0.75 + Math.random() / 2);
    const now = performance.now();
    server.restUntil = Math.max(server.restUntil, now + (verdict.afterSeconds ?? pause) * 1000);
    const earliest = Math.min(...(only === undefined ? this.servers : [only]).map(({ restUntil }) => restUntil));
    // Sums of times are rounded.
    const seconds = Math.round(earliest - now) / 1000;
    const most = this.#options.maxWaitSeconds ?? LONGEST_WAIT_SECONDS;
    if (verdict.afterSeconds === undefined || seconds <= most) return;
    const asked = Math.ceil(verdict.afterSeconds);
    throw new NetworkError(`${verdict.error.message}; it asks to wait ${asked.toLocaleString('en-US')} s`, {
      fix: `Run the same command again after that time: it goes on where it stopped. --max-wait ${asked} waits for it (now ${most}).`,
      cause: verdict.error,
    });
  }

  #retries(): number {
    if (!this.#deserted) return this.#options.retries;
    return this.#gaveUp ? 0 : Math.min(RETRIES_UNANSWERED, this.#options.retries);
  }

  /** Whether each server was tried and there was never anything at its address. */
  get #deserted(): boolean {
    return this.servers.every(({ contact }) => contact === 'none');
  }

  /** The server with the fewest calls under way; waits while all of them rest. @throws AbortedError */
  async #choose({ only, signal }: Ask<unknown>): Promise<Server> {
    const all = only === undefined ? this.servers : [only];
    for (;;) {
      const now = performance.now();
      const awake = all.filter(({ restUntil }) => restUntil <= now);
      const [first, ...others] = awake;
      if (first !== undefined) return others.reduce((best, one) => (one.pending < best.pending ? one : best), first);
      const next = all.reduce((best, one) => (one.restUntil < best.restUntil ? one : best));
      const wait = this.#showWait(next, next.restUntil - now);
      try {
        await sleep(Math.max(1, next.restUntil - now), undefined, signal && { signal });
      } catch {
        throw new AbortedError();
      } finally {
        wait?.();
      }
    }
  }

  /** Counts a wait down on the progress line, once for all calls that wait. */
  #showWait({ shown }: Server, milliseconds: number): (() => void) | undefined {
    const seconds = Math.ceil(milliseconds / 1000);
    if (this.#waitIsShown || seconds < SHOWN_WAIT_SECONDS) return undefined;
    this.#waitIsShown = true;
    const task = (this.#options.progress ?? SILENT).task(
      `waiting for ${shown}, which had no room or failed`,
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
