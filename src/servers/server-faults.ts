import { APIConnectionTimeoutError, APIError } from 'openai';
import { NetworkError, UsageError } from '../system/index.ts';
import type { Server } from './server-pool.ts';

/** What a failed call means for the next step. */
export type Verdict =
  /** The server can take the request once it is put otherwise; that was just learnt. */
  | { kind: 'adapt' }
  /** Worth another attempt: here after the time that the server asks for, or on another server. */
  | { kind: 'again'; afterSeconds: number | undefined; error: NetworkError }
  /** The prompt is longer than the model can read. */
  | { kind: 'tooLong'; error: NetworkError }
  /** Asking again would bring the same. */
  | { kind: 'final'; error: Error };

/** What of the request matters to the verdict. */
export interface FailedCall {
  server: Server;
  model: string;
  /** Id of the request, for messages. */
  id: string | undefined;
  /** How the request was put; other calls may have learnt more since. */
  dialect: Pick<Server, 'takesExtras' | 'takesN' | 'limitName'>;
  /** Texts that were asked for. */
  texts: number;
  topK: number;
}

const EXTRA_REFUSED = /top_k|min_p|samplers|unrecognized|unknown|unexpected|unsupported|not permitted|extra/i;
/** The setting by its name alone, as in "`n` must be 1" or "n > 1 is not supported". */
const N_REFUSED = /(^|[^a-z0-9_])n([^a-z0-9_]|$)/i;
const TOO_LONG = /context|too long|exceed|maximum.{0,40}tokens/i;

/** What the system says when nothing listens at an address, or the address names nothing. */
const NOTHING_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Whether a call failed because nothing is at the server's address. */
export function isNothingThere(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if ('code' in inner && NOTHING_THERE.has(String(inner.code))) return true;
    // The fetch standard has ports that nothing may be asked on, 9 among them.
    if (inner.message === 'bad port') return true;
  }
  return false;
}

/** Judges an error of the client. Learns from refusals: a server's peculiarities are noted on {@link Server}. */
export function judgeFailure(error: unknown, call: FailedCall): Verdict {
  if (error instanceof NetworkError) return { kind: 'final', error };
  if (!(error instanceof APIError))
    return { kind: 'final', error: error instanceof Error ? error : new Error(String(error)) };
  if (error.status === undefined) return again(error, unreachable(error, call));
  if (error.status === 400 || error.status === 422) return judgeRefusal(error, call);
  if (error.status === 429 && error.code !== 'insufficient_quota') return again(error, busy(error, call));
  if (error.status >= 500 || error.status === 408 || error.status === 409) return again(error, broken(error, call));
  return { kind: 'final', error: refused(error, call) };
}

function again(error: APIError, typed: NetworkError): Verdict {
  return { kind: 'again', afterSeconds: retryAfterSeconds(error.headers), error: typed };
}

/** `Retry-After`, as seconds or as a date (RFC 9110, section 10.2.3), or OpenAI's own in milliseconds. */
export function retryAfterSeconds(headers: Headers | undefined, now = Date.now()): number | undefined {
  const milliseconds = Number.parseFloat(headers?.get('retry-after-ms') ?? '');
  if (milliseconds >= 0) return milliseconds / 1000;
  const written = headers?.get('retry-after')?.trim();
  if (!written) return undefined;
  if (/^\d+(\.\d+)?$/.test(written)) return Number(written);
  const date = Date.parse(written);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}

function judgeRefusal(error: APIError, call: FailedCall): Verdict {
  const { server, dialect, topK, texts, id } = call;
  if (dialect.limitName === 'max_tokens' && /max_completion_tokens/.test(error.message)) {
    server.limitName = 'max_completion_tokens';
    return { kind: 'adapt' };
  }
  if (error.code === 'context_length_exceeded' || TOO_LONG.test(error.message)) {
    const fix = 'Give fewer new tokens (--max-tokens), shorten the query, or serve the model with a longer context.';
    const typed = new NetworkError(
      `${server.baseUrl}: prompt and new tokens do not fit the model's context${said(error)}`,
      {
        id,
        fix,
        cause: error,
      },
    );
    return { kind: 'tooLong', error: typed };
  }
  if (texts > 1 && dialect.takesN && N_REFUSED.test(error.message)) {
    server.takesN = false;
    return { kind: 'adapt' };
  }
  if (dialect.takesExtras && EXTRA_REFUSED.test(error.message)) {
    server.takesExtras = false;
    if (topK === 0) return { kind: 'adapt' };
    const fix = 'Leave top-k at 0, or use a server that knows it, such as vLLM or llama-server.';
    return { kind: 'final', error: new UsageError(`${server.baseUrl} does not know top-k`, { fix, cause: error }) };
  }
  return { kind: 'final', error: refused(error, call) };
}

function unreachable(error: APIError, { server, id }: FailedCall): NetworkError {
  const timeout = error instanceof APIConnectionTimeoutError;
  return new NetworkError(`${server.baseUrl} ${timeout ? 'did not answer in time' : 'cannot be reached'}`, {
    id,
    fix: timeout
      ? 'Check whether the server is overloaded; lower --concurrency, or raise --timeout.'
      : 'Check that the server runs and that the address is right; what is written so far is kept.',
    cause: error,
  });
}

function busy(error: APIError, { server, id }: FailedCall): NetworkError {
  return new NetworkError(`${server.baseUrl} refuses for too many requests (429)${said(error)}`, {
    id,
    fix: 'Lower --concurrency, or run the same command again later: it goes on where it stopped.',
    cause: error,
  });
}

function broken(error: APIError, { server, id }: FailedCall): NetworkError {
  return new NetworkError(`${server.baseUrl} failed with status ${error.status}${said(error)}`, {
    id,
    fix: "Look into the server's log, then run the same command again: it goes on where it stopped.",
    cause: error,
  });
}

function refused(error: APIError, { server, id, model }: FailedCall): NetworkError {
  const fixes: Record<number, string> = {
    401: 'Set OPENAI_API_KEY to a valid key of this server.',
    403: 'Set OPENAI_API_KEY to a key that may use this model.',
    404: `Check the address (it usually ends in /v1) and that the server knows the model ${JSON.stringify(model)}.`,
    429: 'The quota of this key is used up; add to it, or use another key.',
  };
  return new NetworkError(`${server.baseUrl} refuses with status ${error.status}${said(error)}`, {
    id,
    fix: fixes[error.status ?? 0] ?? 'Change the settings that the server complains of.',
    cause: error,
  });
}

/** What the server wrote about it, shortened to one line. */
function said(error: APIError): string {
  const text = error.message
    .replace(/^\d{3}\s*/, '')
    .replace(/\s+/g, ' ')
    .trim();
  return text === '' || /status code \(no body\)/.test(text) ? '' : `: ${text.slice(0, 300)}`;
}
