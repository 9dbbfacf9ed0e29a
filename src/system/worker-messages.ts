import type { PackedError } from './packed-error.ts';

/**
 * What the file of a worker thread exports as `serve`: readies the thread for its calls. Such a file takes only types
 * from this folder's face: to load all of it would make the start of each thread a tenth of a second longer.
 * @param stopped whether the thread is being closed, so that a long call may leave off
 */
export type Serve<Data, Request, Reply> = (
  data: Data,
  stopped: () => boolean,
) => Service<Request, Reply> | Promise<Service<Request, Reply>>;

export interface Service<Request, Reply> {
  /** Answers one call; the next is not begun before. What it throws, the caller gets. */
  answer(request: Request): Answer<Reply> | Promise<Answer<Reply>>;
  /** Gives back what the thread holds outside its own memory, after the last call. */
  end?(): Promise<void>;
}

export interface Answer<Reply> {
  value: Reply;
  /** Buffers in it that are handed over instead of copied. */
  transfer?: readonly ArrayBuffer[];
}

/** What a thread is started with. */
export interface ThreadStart {
  /** URL of the file that exports `serve`. */
  service: string;
  data: unknown;
  /** Not 0: the thread is being closed // [1], in shared memory */
  stop: Int32Array;
}

/** A part of a request that returns with the answer, and its buffers. */
export interface Loan {
  values: object;
  buffers: readonly ArrayBuffer[];
}

/** To the thread: a call, or to end once the call at hand is answered. */
export type ToThread<Request> = { request: Request; loan: Loan | undefined } | 'end';

/** From the thread: the answers, in the order of the calls. */
export type FromThread<Reply> = ({ value: Reply } | { error: PackedError }) & { returned: object | undefined };
