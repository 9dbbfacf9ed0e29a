import { setTimeout as sleep } from 'node:timers/promises';
import { AbortedError, type FaultOptions, isAbort, NetworkError, throwIfAborted, UsageError } from '../errors.ts';
import { takeCredentials } from './credentials.ts';
import { dispatcherOf, proxyHint } from './proxy.ts';
import { LONGEST_WAIT_SECONDS, retryAfterSeconds } from './retry-after.ts';

/** A server answered with a refusal. */
export class HttpError extends NetworkError {
  readonly status: number;
  /** The wait that the server's `Retry-After` requests. */
  readonly retryAfterSeconds: number | undefined;

  constructor(reason: string, options: FaultOptions & { status: number; retryAfterSeconds?: number | undefined }) {
    super(reason, options);
    this.status = options.status;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The connection failed, was lost or stalled: a retry is worthwhile. */
export class ConnectionError extends NetworkError {}

/** The server took too long. */
export class TimeoutError extends ConnectionError {}

export interface RequestOptions {
  method?: 'GET' | 'HEAD' | 'POST';
  headers?: Record<string, string>;
  body?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Time limit until the answer's headers arrive, for each hop. Default 10. */
  connectTimeoutSeconds?: number | undefined;
  /** Maximum number of redirects to follow. Default 10. */
  redirects?: number;
}

/** Headers with credentials, which must not be sent to another host. */
const SECRET_HEADERS = ['authorization', 'cookie', 'proxy-authorization'];

/**
 * Sends an HTTP request and returns the answer, whatever its status. Redirects are followed here and not by `fetch`, so that
 * credentials never reach another origin and HTTPS never falls back to HTTP. `user:password@` in an address becomes a header. The
 * environment's proxies are used. {@link readText} reads the answer within limits.
 * @throws ConnectionError, NetworkError, AbortedError; UsageError if a proxy's address is not valid
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
      throw new NetworkError(`${address(url)} redirects endlessly`, { fix: 'Check the address.' });
    }
    const next = parseAddress(URL.canParse(location, place.href) ? new URL(location, place.href).href : location);
    if (place.protocol === 'https:' && next.protocol === 'http:') {
      const reason = `${address(place.href)} redirects from HTTPS to plain HTTP`;
      throw new NetworkError(reason, { fix: 'Use an address that stays on HTTPS.' });
    }
    takeCredentials(next);
    if (next.origin !== place.origin) for (const name of SECRET_HEADERS) headers.delete(name);
    place = next;
  }
}

/** Milliseconds of a timer: Node fires one of more than 24 days at once. */
export function timerOf(seconds: number): number {
  return Math.min(1000 * seconds, 2 ** 31 - 1);
}

async function oneHop(place: URL, headers: Headers, options: RequestOptions): Promise<Response> {
  throwIfAborted(options.signal);
  const undici = await import('undici');
  const seconds = options.connectTimeoutSeconds ?? 10;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timerOf(seconds));
  const signals = options.signal === undefined ? [limit.signal] : [limit.signal, options.signal];
  try {
    const response = await undici.fetch(place.href, {
      method: options.method ?? 'GET',
      headers: [...headers],
      body: options.body ?? null,
      redirect: 'manual',
      signal: AbortSignal.any(signals),
      dispatcher: dispatcherOf(undici),
    });
    // The same class by the same authors; the package has its own types.
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
  /** Size limit for the unpacked body. Default 64 MiB. */
  maxBytes?: number | undefined;
  /** Time limit until the body is complete. Default 60. */
  seconds?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Reads an answer's body as text, within limits of time and size. Nothing beyond them is read.
 * @param url for error messages
 * @throws TimeoutError; ConnectionError if it breaks off; NetworkError if it is too large; AbortedError
 */
export async function readText(response: Response, url: string, options: ReadOptions = {}): Promise<string> {
  const { text, whole } = await readBeginning(response, url, options);
  if (whole) return text;
  const limit = `${((options.maxBytes ?? LARGEST_TEXT) / 2 ** 20).toFixed(0)} MiB`;
  throw new NetworkError(`${address(url)} sent more than ${limit}, which is more than any answer needs`, {
    fix: 'Check the address.',
  });
}

const LARGEST_TEXT = 64 * 2 ** 20;

/** Reads a body likewise, but cuts it if it is too large. */
export async function readBeginning(
  response: Response,
  url: string,
  {
    maxBytes = LARGEST_TEXT,
    seconds = 60,
    signal,
    onChunk,
  }: ReadOptions & { onChunk?: ((bytes: Uint8Array) => void) | undefined } = {},
): Promise<{ text: string; whole: boolean }> {
  if (response.body === null) return { text: '', whole: true };
  const reader = response.body.getReader();
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    void reader.cancel().catch(() => {});
  };
  const onAbort = () => end(new AbortedError());
  const late = `${new URL(url).host} did not send its complete answer within ${seconds} s`;
  const timer = setTimeout(() => end(new TimeoutError(late, { fix: 'Try again later.' })), timerOf(seconds));
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
      onChunk?.(value);
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

/** Turns an exception of `fetch` or of a response's body into a typed error; typed errors and aborts are returned unchanged. */
export function connectionFault(error: unknown, url: string): Error {
  if (error instanceof NetworkError || error instanceof AbortedError) return error;
  if (isAbort(error)) return new AbortedError('stopped', { cause: error });
  const cause = innermost(error);
  const code = cause instanceof Error && 'code' in cause && cause.code != null ? String(cause.code) : undefined;
  const message = cause instanceof Error ? cause.message : String(cause);
  const words = code === undefined || /proxy/i.test(message) ? message : code;
  const reason = `the connection to ${new URL(url).host} failed (${words})`;
  if (words === 'bad port') {
    const port = `${new URL(url).host}: this port belongs to another protocol, and browsers and this program refuse it`;
    return new NetworkError(port, { fix: 'Use the right port, or run the server on another one.', cause: error });
  }
  if (code !== undefined && /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/.test(code)) {
    const fix = 'Set NODE_EXTRA_CA_CERTS to the file of the certificate authority, or check the address.';
    return new NetworkError(reason, { fix, cause: error });
  }
  return new ConnectionError(reason, { ...reachFix(new URL(url)), cause: error });
}

function innermost(error: unknown): unknown {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  return inner;
}

/** Returns the error for an answer whose status is not a success. */
export function httpError(url: string, response: Response): HttpError {
  const { status } = response;
  const wait = retryAfterSeconds(response.headers);
  const asks = (wait ?? 0) > LONGEST_WAIT_SECONDS ? `, and requests a wait of ${Math.ceil(wait!)} s` : '';
  return new HttpError(`${address(url)} answered ${status}${REASONS[status] ?? ''}${asks}`, {
    status,
    retryAfterSeconds: wait,
    fix: FIXES[status] ?? (status >= 500 ? 'The server has a fault: try again later.' : 'Check the address.'),
  });
}

const REASONS: Record<number, string> = {
  401: ' (it requires credentials)',
  403: ' (access refused)',
  404: ' (no such file)',
  410: ' (the file is gone)',
  429: ' (too many requests)',
};
const FIXES: Record<number, string> = {
  401: 'Pass valid credentials, or check that the address is right.',
  403: 'Request access, or check that the address is right.',
  429: 'Wait a while and run the same command again: finished work is kept.',
};

/** Returns an address as it may be shown: without credentials and without its query string, which may hold a signature. */
export function address(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

function parseAddress(url: string): URL {
  const place = URL.canParse(url) ? new URL(url) : undefined;
  if (place === undefined || !['http:', 'https:'].includes(place.protocol)) {
    throw new NetworkError(`${JSON.stringify(url)} is not an HTTP address`, {
      fix: 'Use an address that begins with https:// or http://.',
    });
  }
  return place;
}

export interface RetryOptions {
  /** Number of retries. Default 5. */
  retries?: number | undefined;
  /** Wait before the second attempt. It doubles each time, up to 30 s. Default 1. */
  firstWaitSeconds?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Returns whether the last attempt made progress; the count of retries then starts again. */
  hasMovedOn?: () => boolean;
  /** Called before each wait. */
  onWait?: (seconds: number, error: Error) => void;
}

/**
 * Repeats a piece of work while it fails for a temporary reason: a lost connection, 408, 425, 429 or 5xx. The waits double and vary
 * by a quarter, so that many clients do not return at once. `Retry-After` is obeyed up to {@link LONGEST_WAIT_SECONDS}. If a server
 * requests more, the work ends with its error.
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
      await sleep(timerOf(seconds), undefined, signal && { signal }).catch(() => throwIfAborted(signal));
    }
  }
}

/** Whether a failure may pass: a lost connection, 408, 425, 429 or 5xx. */
export function isPassing(error: unknown): error is ConnectionError | HttpError {
  if (error instanceof ConnectionError) return true;
  return error instanceof HttpError && (error.status >= 500 || [408, 425, 429].includes(error.status));
}
