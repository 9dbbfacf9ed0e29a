import type { Failure } from '../../shapes/studio.ts';

/** A refusal or failure that the studio explained. */
export class ApiError extends Error {
  readonly status: number;
  readonly fix: string;

  constructor(status: number, { message, fix }: Failure['error']) {
    super(message);
    this.status = status;
    this.fix = fix;
  }
}

const AWAY = {
  message: 'the studio does not answer',
  fix: 'Start `llm-qe studio` again, and open the address it prints.',
};

interface RequestOptions {
  signal?: AbortSignal | undefined;
}

/** @throws ApiError */
export function get<T>(path: string, options: RequestOptions = {}): Promise<T> {
  return call<T>('GET', path, undefined, options);
}

/** @throws ApiError */
export function send<T>(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: unknown,
  options: RequestOptions = {},
): Promise<T> {
  return call<T>(method, path, body, options);
}

async function call<T>(method: string, path: string, body: unknown, { signal }: RequestOptions): Promise<T> {
  const response = await respond(method, path, body, signal);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Sends a request. @throws ApiError if the answer is a failure, or there is none; an AbortError if it was stopped */
export async function respond(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    ...(signal && { signal }),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ApiError(0, AWAY);
  });
  if (response.ok) return response;
  const failure = (await response.json().catch(() => undefined)) as Failure | undefined;
  throw new ApiError(
    response.status,
    failure?.error ?? { message: `the studio answered ${response.status}`, fix: AWAY.fix },
  );
}
