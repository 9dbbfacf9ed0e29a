import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { RequestError } from '../../serve/index.ts';
import {
  DataError,
  isAbort,
  LlmQeError,
  ModelError,
  NetworkError,
  ResourceError,
  UsageError,
} from '../../system/index.ts';
import type { Failure } from '../shapes/studio.ts';

/** What kind of fault a typed error is, to a client. */
const STATUS: readonly [new (...args: never[]) => LlmQeError, ContentfulStatusCode][] = [
  [UsageError, 400],
  [DataError, 422],
  [ModelError, 422],
  [NetworkError, 502],
  [ResourceError, 503],
];

/** Answers with what went wrong and what to do. @param report is told of faults of our own */
export function answerFailure(context: Context, error: Error, report: (error: unknown) => void): Response {
  const known = asRequestError(error);
  if (known.status === 500) report(error);
  return failure(context, known);
}

export function failure(context: Context, { status, message, fix }: RequestError): Response {
  return context.json({ error: { message, fix } } satisfies Failure, status);
}

function asRequestError(error: Error): RequestError {
  if (error instanceof RequestError) return error;
  if (isAbort(error)) return new RequestError(503, 'stopped', { fix: 'Try again.' });
  if (error instanceof LlmQeError) {
    const status = STATUS.find(([kind]) => error instanceof kind)?.[1] ?? 500;
    return new RequestError(status, error.message, { fix: error.fix });
  }
  return new RequestError(500, 'the studio failed', { fix: 'See what `llm-qe studio` printed, and report it.' });
}
