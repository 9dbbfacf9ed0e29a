import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { faultOf } from '../servers/index.ts';
import { isAbort } from '../system/index.ts';
import { type EncoderFault, encoderFaultOf, secondsOfWait } from './encoder-faults.ts';

/** A request that cannot be answered; its message goes to the client. */
export class RequestError extends Error {
  readonly status: ContentfulStatusCode;
  readonly fix: string;
  /** Seconds after which it may be sent again. */
  readonly retryAfter: number | undefined;

  constructor(
    status: ContentfulStatusCode,
    message: string,
    { fix, retryAfter, cause }: { fix: string; retryAfter?: number | undefined; cause?: unknown },
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RequestError';
    [this.status, this.fix, this.retryAfter] = [status, fix, retryAfter];
  }
}

/** Says what a client learns of an error: nothing of anybody's texts, nor of the servers and files behind this one. */
export function asRequestError(error: Error): RequestError {
  if (error instanceof RequestError) return error;
  const again = { fix: 'Send it again.', retryAfter: 1, cause: error };
  if (isAbort(error)) return new RequestError(503, 'stopped', again);
  // What the framework throws is wrong with the body or its type.
  if (error instanceof HTTPException && error.status < 500) {
    const fix = 'Send JSON with the header content-type: application/json.';
    const reason = error.status === 415 ? 'the body is not said to be JSON' : 'the body is not JSON';
    return new RequestError(error.status, reason, { fix });
  }
  const fault = encoderFaultOf(error);
  if (fault === 'busy') return new RequestError(429, WORDS.busy, { ...again, retryAfter: secondsOfWait(error) });
  if (fault === 'late') return new RequestError(504, WORDS.late, again);
  const status = faultOf(error)?.status;
  const message = status === undefined || status < 400 ? WORDS[fault] : `${WORDS[fault]} (status ${status})`;
  return new RequestError(502, message, { fix: 'See the log of the server.', cause: error });
}

const WORDS: Readonly<Record<EncoderFault, string>> = {
  unreachable: 'the embedding server cannot be reached, or broke off',
  late: 'the embedding server did not answer in time',
  busy: 'the embedding server is busy',
  failed: 'the embedding server failed',
  refused: 'the embedding server refused the request',
  foreign: 'the embedding server sent something that is no answer',
  broken: 'the encoder made no sound vector',
  other: 'the server failed',
};

/**
 * Tells the operator of an error, if it is a fault of this server or of one behind it: everything but texts. A client that left, or whose
 * request is wrong, is none.
 */
export function reportFault(error: unknown, report: ((error: Error) => void) | undefined): void {
  if (!(error instanceof Error) || error instanceof RequestError) return;
  const { status } = asRequestError(error);
  if (status >= 500 && status !== 503) report?.(new Error(withoutQuotes(error.message), { cause: error }));
}

/** Messages quote texts, and those of one call may be several clients'. An apostrophe within a word ends no quotation. */
export function withoutQuotes(message: string): string {
  return message
    .replace(/"(?:[^"\\]|\\.)*"?/g, '"..."')
    .replace(/(?<![\p{L}\p{N}])'(?:[^'\\]|\\.|'(?=[\p{L}\p{N}]))*(?:'|$)/gu, '"..."')
    .replace(/`[^`]*`?/g, '"..."')
    .slice(0, 500);
}

/** What the body of a refusal holds, as OpenAI's clients read it. */
export function failureOf({ status, message, fix }: RequestError) {
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  return { error: { message, type, fix } };
}
