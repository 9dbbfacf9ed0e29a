import { setTimeout as sleep } from 'node:timers/promises';
import { fetch } from 'undici';
import { takeCredentials } from './credentials.ts';
import { AbortedError, type FaultOptions, isAbort, NetworkError, throwIfAborted, UsageError } from './errors.ts';
import { dispatcherOf, proxyHint } from './proxy.ts';
import { LONGEST_WAIT_SECONDS, retryAfterSeconds } from './retry-after.ts';

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

/** The server took too long. */
export class TimeoutError extends ConnectionError {}

export interface RequestOptions {
  method?: 'GET' | 'HEAD' | 'POST';
  headers?: Record<string, string>;
  body?: string | undefined;
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
 * so that credentials never reach another origin and HTTPS never falls back to HTTP. `user:password@` of an address goes into
 * a header. The environment's proxies are used. {@link readText} reads the answer within limits.
 * @throws ConnectionError, NetworkError, AbortedError, UsageError for a proxy that is no address
 */
export async function request(url: string, options: RequestOptions = {}): Promise<Response> {
  let place = parseAddress(url);
  const headers = new Headers(options.headers);
  const credentials = takeCredentials(place);
  if (credentials !== undefined && !headers.has('authorization')) headers.set('authorization', credentials);
  for (let left = options.redirects ?? 10; ; left--) {
    const response = await oneHop(place, headers, options);
    const location = response.headers.get('location');
    if (location === null || response.status < 300 || response.status > 399 || options.redirects === 0) return response;
    await response.body?.cancel();
    if (left === 0) {
      throw new NetworkError(`${address(url)} redirects without end`, { fix: 'Check the address.' });
    }
    const next = parseAddress(URL.canParse(location, place.href) ? new URL(location, place.href).href : location);
    if (place.protocol === 'https:' && next.protocol === 'http:') {
      const reason = `${address(place.href)} redirects from HTTPS to plain HTTP`;
      throw new NetworkError(reason, { fix: 'Name an address that stays on HTTPS.' });
    }
    takeCredentials(next);
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
    const response = await fetch(place.href, {
      method: options.method ?? 'GET',
      headers: [...headers],
      body: options.body ?? null,
      redirect: 'manual',
      signal: AbortSignal.any(signals),
      dispatcher: dispatcherOf(),
    });
    // The same class by the same authors; the package has types of its own.
    return response as unknown as Response;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (options.signal?.aborted) throw new AbortedError('stopped', { cause: error });
    if (limit.signal.aborted)
      throw new TimeoutError(`${place.host} did not answer within ${seconds} s`, reachFix(place));
    throw connectionFault(error, place.href);
  } finally {
    clearTimeout(timer);
  }
}

function reachFix({ protocol }: URL) {
  return { fix: `Check the network and the address, or try again later.${proxyHint(protocol)}` };
}

export interface ReadOptions {
  /** Limit on the body's size, unpacked. Default 64 MiB. */
  maxBytes?: number | undefined;
  /** Limit on the time until it is whole. Default 60. */
  seconds?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Reads an answer's body as text, within limits of time and size. What is beyond them is not read.
 * @param url for messages
 * @throws TimeoutError, ConnectionError if it breaks off, NetworkError if it is too large, AbortedError
 */
export async function readText(response: Response, url: string, options: ReadOptions = {}): Promise<string> {
  const { text, whole } = await readBeginning(response, url, options);
  if (whole) return text;
  const limit = `${((options.maxBytes ?? LARGEST_TEXT) / 2 ** 20).toFixed(0)} MiB`;
  throw new NetworkError(`${address(url)} sent more than ${limit}, which no answer takes`, {
    fix: 'Check the address.',
  });
}

const LARGEST_TEXT = 64 * 2 ** 20;

/** The same, but what is too large is cut instead. */
export async function readBeginning(
  response: Response,
  url: string,
  { maxBytes = LARGEST_TEXT, seconds = 60, signal }: ReadOptions = {},
): Promise<{ text: string; whole: boolean }> {
  if (response.body === null) return { text: '', whole: true };
  const reader = response.body.getReader();
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    void reader.cancel().catch(() => {});
  };
  const onAbort = () => end(new AbortedError());
  const late = `${new URL(url).host} did not send its whole answer within ${seconds} s`;
  const timer = setTimeout(() => end(new TimeoutError(late, { fix: 'Try again later.' })), seconds * 1000);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    while (size <= maxBytes && ended === undefined) {
      const { value, done } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
    }
  } catch (error) {
    throw ended ?? connectionFault(error, url);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    if (size > maxBytes) void reader.cancel().catch(() => {});
  }
  if (ended !== undefined) throw ended;
  return { text: new TextDecoder().decode(Buffer.concat(chunks).subarray(0, maxBytes)), whole: size <= maxBytes };
}

/** Turns what `fetch` or a response's body throws into a typed error; typed errors and stops come back as they were. */
export function connectionFault(error: unknown, url: string): Error {
  if (error instanceof NetworkError || error instanceof AbortedError) return error;
  if (isAbort(error)) return new AbortedError('stopped', { cause: error });
  const cause = innermost(error);
  const code = cause instanceof Error && 'code' in cause && cause.code != null ? String(cause.code) : undefined;
  const message = cause instanceof Error ? cause.message : String(cause);
  const words = code === undefined || /proxy/i.test(message) ? message : code;
  const reason = `the connection to ${new URL(url).host} failed (${words})`;
  if (words === 'bad port') {
    const port = `${new URL(url).host}: browsers and this program keep away from that port, which other protocols use`;
    return new NetworkError(port, { fix: 'Name the right port, or serve on another one.', cause: error });
  }
  if (code !== undefined && /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/.test(code)) {
    const fix = 'Name the certificate authority in NODE_EXTRA_CA_CERTS, or check the address.';
    return new NetworkError(reason, { fix, cause: error });
  }
  return new ConnectionError(reason, { ...reachFix(new URL(url)), cause: error });
}

function innermost(error: unknown): unknown {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  return inner;
}

/** The error for an answer whose status is not a success. */
export function httpError(url: string, response: Response): HttpError {
  const { status } = response;
  const wait = retryAfterSeconds(response.headers);
  const asks = (wait ?? 0) > LONGEST_WAIT_SECONDS ? `, and asks to wait ${Math.ceil(wait!)} s` : '';
  return new HttpError(`${address(url)} answered ${status}${REASONS[status] ?? ''}${asks}`, {
    status,
    retryAfterSeconds: wait,
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

/**
 * Does a piece of work again while it fails for a passing reason: a broken connection, 408, 425, 429 or 5xx. The waits
 * double and vary by a quarter so that many clients do not come back at once. `Retry-After` is honoured up to
 * {@link LONGEST_WAIT_SECONDS}; a server that asks for more is believed, and the work ends with its error.
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
