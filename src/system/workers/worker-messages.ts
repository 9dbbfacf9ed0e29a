import type { PackedError } from './packed-error.ts';

/**
 * The export `serve` of a worker thread's file: prepares the thread for its calls. Such a file imports only types from this
 * folder's index: loading all of it would delay the start of each thread by a tenth of a second.
 * @param stopped returns whether the thread is being closed, so that a long call can end early
 */
export type Serve<Data, Request, Reply> = (
  data: Data,
  stopped: () => boolean,
) => Service<Request, Reply> | Promise<Service<Request, Reply>>;

export interface Service<Request, Reply> {
  /** Answers one call before the next begins. The caller receives what it throws. */
  answer(request: Request): Answer<Reply> | Promise<Answer<Reply>>;
  /** Releases what the thread holds outside its own memory, after the last call. */
  end?(): Promise<void>;
}

export interface Answer<Reply> {
  value: Reply;
  /** Buffers in it that are transferred instead of copied. */
  transfer?: readonly ArrayBuffer[];
}

/** The start data of a thread. */
export interface ThreadStart {
  /** URL of the file that exports `serve`. */
  service: string;
  data: unknown;
  /** Non-zero if the thread is being closed // [1], in shared memory */
  stop: Int32Array;
}

/** A part of a request that returns with the answer, and its buffers. */
export interface Loan {
  values: object;
  buffers: readonly ArrayBuffer[];
}

/** Message to the thread: a call, or the request to end after the current call. */
export type ToThread<Request> = { request: Request; loan: Loan | undefined } | 'end';

/** Message from the thread: the answers, in the order of the calls. */
export type FromThread<Reply> = ({ value: Reply } | { error: PackedError }) & { returned: object | undefined };
