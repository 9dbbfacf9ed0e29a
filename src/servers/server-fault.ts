import { type Complaint, readComplaint } from './answer-words.ts';

/** What went wrong with a call. What to do about it is decided later. */
export type FaultKind =
  /** There was no connection, or it was lost. */
  | 'unreachable'
  /** The call took too long. */
  | 'late'
  /** The answer is empty, or its end is missing. */
  | 'cut'
  /** The server refuses, with an error status or with an error in the body under status 200. */
  | 'refused'
  /** The answer is not one of this API. */
  | 'foreign'
  /** The answer has the right form, but an impossible content. */
  | 'broken';

/** A call to a server without a usable answer. It never leaves this room: `judgeFailure` turns it into an error for users. */
export class ServerFault extends Error {
  readonly kind: FaultKind;
  /** The status of the answer; undefined if there was no answer. */
  readonly status: number | undefined;
  readonly complaint: Complaint;
  /** Number of vectors in the answer, if it is not that of the texts. */
  readonly vectors: number | undefined;
  /** The wait that the server requests. */
  retryAfterSeconds: number | undefined;

  constructor(
    kind: FaultKind,
    reason: string,
    more: {
      status?: number | undefined;
      body?: unknown;
      retryAfterSeconds?: number | undefined;
      vectors?: number | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(reason, { cause: more.cause });
    this.name = 'ServerFault';
    this.kind = kind;
    this.status = more.status;
    this.vectors = more.vectors;
    this.complaint = readComplaint(more.body);
    this.retryAfterSeconds = more.retryAfterSeconds ?? this.complaint.retryAfterSeconds;
  }
}

/** Error codes of the system if nothing listens at an address, or if the address names no host. */
const NOTHING_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Returns whether a call failed because there is nothing at the server's address, or because a proxy refuses all calls. */
export function isNothingThere(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if ('code' in inner && NOTHING_THERE.has(String(inner.code))) return true;
    // The fetch standard blocks some ports, 9 among them.
    if (inner.message === 'bad port') return true;
    if (/^Proxy (response \(4|Authentication)/.test(inner.message)) return true;
  }
  return false;
}

/** Returns the fault of a server that an error for users tells of, if it tells of one. */
export function faultOf(error: unknown): ServerFault | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause) if (inner instanceof ServerFault) return inner;
  return undefined;
}
