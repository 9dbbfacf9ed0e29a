import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { isAbort } from '../system/index.ts';
import { encoderFaultOf, secondsOfWait } from './encoder-faults.ts';

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

/** Says what a client learns of an error: nothing of anybody's texts. */
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
  const message = withoutQuotes(error.message);
  if (fault === 'busy') return new RequestError(429, message, { ...again, retryAfter: secondsOfWait(error) });
  if (fault === 'late') return new RequestError(504, message, again);
  const fix = 'fix' in error ? String(error.fix) : 'See the log of the server.';
  return new RequestError(502, message, { fix, cause: error });
}

/** Messages quote texts, and those of one call may be several clients'. */
export function withoutQuotes(message: string): string {
  return message.replace(/"(?:[^"\\]|\\.)*"?/g, '"..."').slice(0, 500);
}

/** What the body of a refusal holds, as OpenAI's clients read it. */
export function failureOf({ status, message, fix }: RequestError) {
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  return { error: { message, type, fix } };
}
