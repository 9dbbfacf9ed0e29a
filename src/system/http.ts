import { setTimeout as sleep } from 'node:timers/promises';
import { AbortedError, type FaultOptions, isAbort, NetworkError, throwIfAborted } from './errors.ts';

/** A server answered, and the answer is no. */
export class HttpError extends NetworkError {
  readonly status: number;
  /** What the server's `Retry-After` asks for. */
  readonly retryAfterSeconds: number | undefined;

  constructor(reason: string, options: FaultOptions & { status: number; retryAfterSeconds?: number | undefined }) {
    super(reason, options);
    this.status = options.status;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The connection failed, was cut or went silent: worth another attempt. */
export class ConnectionError extends NetworkError {}

export interface RequestOptions {
  method?: 'GET' | 'HEAD';
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Limit on the time until the answer's headers are there, for each hop. Default 10. */
  connectTimeoutSeconds?: number | undefined;
  /** How many redirects are followed. Default 10. */
  redirects?: number;
}

/** Headers that prove who we are, and so must stay with the host they were meant for. */
const SECRET_HEADERS = ['authorization', 'cookie', 'proxy-authorization'];

/**
 * Asks a server over HTTP and returns its answer, whatever its status. Redirects are followed here and not by `fetch`,
 * so that credentials never reach another origin and HTTPS never falls back to HTTP.
 * @throws ConnectionError, NetworkError, AbortedError
 */
export async function request(url: string, options: RequestOptions = {}): Promise<Response> {
  let place = parseAddress(url);
  const headers = new Headers(options.headers);
  for (let left = options.redirects ?? 10; ; left--) {
    const response = await oneHop(place, headers, options);
    const location = response.headers.get('location');
    if (location === null || response.status < 300 || response.status > 399 || options.redirects === 0) return response;
    await response.body?.cancel();
    if (left === 0) {
      throw new NetworkError(`${address(url)} redirects without end`, { fix: 'Check the address.' });
    }
    const next = parseAddress(new URL(location, place).href);
    if (place.protocol === 'https:' && next.protocol === 'http:') {
      const reason = `${address(place.href)} redirects from HTTPS to plain HTTP`;
      throw new NetworkError(reason, { fix: 'Name an address that stays on HTTPS.' });
    }
    if (next.origin !== place.origin) for (const name of SECRET_HEADERS) headers.delete(name);
    place = next;
  }
}

async function oneHop(place: URL, headers: Headers, options: RequestOptions): Promise<Response> {
  throwIfAborted(options.signal);
  const seconds = options.connectTimeoutSeconds ?? 10;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), seconds * 1000);
  const signals = options.signal === undefined ? [limit.signal] : [limit.signal, options.signal];
  try {
    return await fetch(place, {
      method: options.method ?? 'GET',
      headers,
      redirect: 'manual',
      signal: AbortSignal.any(signals),
    });
  } catch (error) {
    if (options.signal?.aborted) throw new AbortedError('stopped', { cause: error });
    if (limit.signal.aborted) throw new ConnectionError(`${place.host} did not answer within ${seconds} s`, REACH);
    throw connectionFault(error, place.href);
  } finally {
    clearTimeout(timer);
  }
}

const REACH = { fix: 'Check the network and the address, or try again later.' };

/** Turns what `fetch` or a response's body throws into a typed error; typed errors and stops come back as they were. */
export function connectionFault(error: unknown, url: string): Error {
  if (error instanceof NetworkError || error instanceof AbortedError) return error;
  if (isAbort(error)) return new AbortedError('stopped', { cause: error });
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  const words = code ?? (cause instanceof Error ? cause.message : String(cause));
  const reason = `the connection to ${new URL(url).host} failed (${words})`;
  if (words === 'bad port') {
    const port = `${new URL(url).host}: browsers and this program keep away from that port, which other protocols use`;
    return new NetworkError(port, { fix: 'Name the right port, or serve on another one.', cause: error });
  }
  if (code !== undefined && /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/.test(code)) {
    const fix = 'Name the certificate authority in NODE_EXTRA_CA_CERTS, or check the address.';
    return new NetworkError(reason, { fix, cause: error });
  }
  return new ConnectionError(reason, { ...REACH, cause: error });
}

/** The error for an answer whose status is not a success. */
export function httpError(url: string, response: Response): HttpError {
  const { status } = response;
  const retryAfterSeconds = parseRetryAfter(response.headers.get('retry-after'));
  return new HttpError(`${address(url)} answered ${status}${REASONS[status] ?? ''}`, {
    status,
    retryAfterSeconds,
    fix: FIXES[status] ?? (status >= 500 ? 'The server has a fault: try again later.' : 'Check the address.'),
  });
}

const REASONS: Record<number, string> = {
  401: ' (it wants to know who asks)',
  403: ' (access refused)',
  404: ' (there is no such file)',
  410: ' (the file is gone)',
  429: ' (too many requests)',
};
const FIXES: Record<number, string> = {
  401: 'Give valid credentials, or check that the address is right.',
  403: 'Ask for access, or check that the address is right.',
  429: 'Wait a while and run the same command again: finished work is kept.',
};

/** An address as it may be shown: without credentials and without its query, which may hold a signature. */
export function address(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

function parseAddress(url: string): URL {
  const place = URL.canParse(url) ? new URL(url) : undefined;
  if (place === undefined || !['http:', 'https:'].includes(place.protocol)) {
    throw new NetworkError(`${JSON.stringify(url)} is not an HTTP address`, {
      fix: 'Give an address that begins with https:// or http://.',
    });
  }
  return place;
}

/** `Retry-After` in seconds; the header holds seconds or a date (RFC 9110, 10.2.3). */
function parseRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

export interface RetryOptions {
  /** Attempts after the first. Default 5. */
  retries?: number | undefined;
  /** Wait before the second attempt; it doubles each time, up to 30 s. Default 1. */
  firstWaitSeconds?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Whether the last attempt moved the work on: the count of attempts then starts anew. */
  hasMovedOn?: () => boolean;
  /** Told before each wait. */
  onWait?: (seconds: number, error: Error) => void;
}

/** A server that asks for a longer wait than this is believed, and the work ends with its error. */
const LONGEST_WAIT_SECONDS = 120;

/**
 * Does a piece of work again while it fails for a passing reason: a broken connection, 408, 425, 429 or 5xx. The waits
 * double and vary by a quarter so that many clients do not come back at once; `Retry-After` is honoured.
 */
export async function withRetries<T>(work: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { retries = 5, firstWaitSeconds = 1, signal } = options;
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (options.hasMovedOn?.()) failures = 1;
      const asked = error instanceof HttpError ? error.retryAfterSeconds : undefined;
      if (failures > retries || (asked ?? 0) > LONGEST_WAIT_SECONDS) throw error;
      const backOff = Math.min(30, firstWaitSeconds * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
      const seconds = asked ?? backOff;
      options.onWait?.(seconds, error);
      await sleep(seconds * 1000, undefined, signal && { signal }).catch(() => throwIfAborted(signal));
    }
  }
}

function isPassing(error: unknown): error is ConnectionError | HttpError {
  if (error instanceof ConnectionError) return true;
  return error instanceof HttpError && (error.status >= 500 || [408, 425, 429].includes(error.status));
}
