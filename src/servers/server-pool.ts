import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { AbortedError, UsageError } from '../system/index.ts';

/** One server, and what was learnt about it. */
export interface Server {
  readonly baseUrl: string;
  readonly client: OpenAI;
  /** Calls under way. */
  pending: number;
  /** Set aside until then, in milliseconds of `performance.now()`. */
  restUntil: number;
  /** Whether anything ever came back from it; undefined before the first call ended. */
  contact: 'none' | 'answered' | undefined;
  /** Whether it takes settings beyond OpenAI's own (top_k, min_p, samplers); OpenAI's refuses them. */
  takesExtras: boolean;
  /** Whether it writes several texts in one call (`n`); some take one and leave the others out, some refuse. */
  takesN: boolean;
  /** How often in a row it gave one text where several were asked for. */
  singles: number;
  /** Newer OpenAI models know the limit by another name. */
  limitName: 'max_tokens' | 'max_completion_tokens';
}

export interface PoolOptions {
  baseUrls: readonly string[];
  apiKey: string;
  timeoutSeconds: number;
}

/** Several servers of one model that share the load. One that failed rests for a while and is then tried again. */
export class ServerPool {
  readonly servers: Server[];

  /** @throws UsageError for an address that is none */
  constructor({ baseUrls, apiKey, timeoutSeconds }: PoolOptions) {
    if (baseUrls.length === 0) throw new UsageError('no server is named', { fix: 'Name at least one address.' });
    this.servers = [...new Set(baseUrls.map(normalizeBaseUrl))].map((baseUrl) => ({
      baseUrl,
      client: new OpenAI({ baseURL: baseUrl, apiKey, timeout: timeoutSeconds * 1000, maxRetries: 0 }),
      pending: 0,
      restUntil: 0,
      contact: undefined,
      takesExtras: new URL(baseUrl).hostname !== 'api.openai.com',
      takesN: true,
      singles: 0,
      limitName: 'max_tokens',
    }));
  }

  /** Runs a call on the server with the fewest calls under way; waits when all of them rest. @throws AbortedError */
  async run<T>(call: (server: Server) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const server = await this.#choose(signal);
    server.pending++;
    try {
      return await call(server);
    } finally {
      server.pending--;
    }
  }

  /** Whether each server was tried and there was never anything at its address. */
  get deserted(): boolean {
    return this.servers.every(({ contact }) => contact === 'none');
  }

  /** Sets a server aside. */
  rest(server: Server, seconds: number): void {
    server.restUntil = Math.max(server.restUntil, performance.now() + seconds * 1000);
  }

  async #choose(signal: AbortSignal | undefined): Promise<Server> {
    for (;;) {
      const now = performance.now();
      const awake = this.servers.filter(({ restUntil }) => restUntil <= now);
      const [first, ...others] = awake;
      if (first !== undefined) return others.reduce((best, one) => (one.pending < best.pending ? one : best), first);
      const earliest = Math.min(...this.servers.map(({ restUntil }) => restUntil));
      await sleep(Math.max(1, earliest - now), undefined, signal && { signal }).catch(() => {
        throw new AbortedError();
      });
    }
  }
}

/** `http://host:8000` becomes `http://host:8000/v1`; an address with a path is left alone. @throws UsageError */
export function normalizeBaseUrl(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`${JSON.stringify(address)} is not the address of a server`, {
      fix: 'Write it as http://HOST:PORT/v1.',
    });
  }
  const path = url.pathname.replace(/\/+$/, '');
  return `${url.origin}${path === '' ? '/v1' : path}${url.search}`;
}
