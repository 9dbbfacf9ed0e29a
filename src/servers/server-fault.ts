import { type Complaint, readComplaint } from './answer-words.ts';

/** What went wrong with a call, before anyone judged what it means. */
export type FaultKind =
  /** No connection, or one that broke off. */
  | 'unreachable'
  /** It took too long. */
  | 'late'
  /** The answer's end is missing, or it is empty. */
  | 'cut'
  /** The server says no, with an error status or, in the body, under status 200. */
  | 'refused'
  /** The answer is of another kind than the API's. */
  | 'foreign'
  /** The answer is of the right kind, and what it holds cannot be right. */
  | 'broken';

/** A call to a server that brought no usable answer. Never leaves this package: `judgeFailure` makes an error for people of it. */
export class ServerFault extends Error {
  readonly kind: FaultKind;
  /** The answer's own status; undefined if there was no answer. */
  readonly status: number | undefined;
  readonly complaint: Complaint;
  /** What the server asks to wait. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    kind: FaultKind,
    reason: string,
    more: { status?: number | undefined; body?: unknown; retryAfterSeconds?: number | undefined; cause?: unknown } = {},
  ) {
    super(reason, { cause: more.cause });
    this.name = 'ServerFault';
    this.kind = kind;
    this.status = more.status;
    this.complaint = readComplaint(more.body);
    this.retryAfterSeconds = more.retryAfterSeconds;
  }
}

/** What the system says when nothing listens at an address, or the address names nothing. */
const NOTHING_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Whether a call failed because nothing is at the server's address, or a proxy lets nobody there. */
export function isNothingThere(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if ('code' in inner && NOTHING_THERE.has(String(inner.code))) return true;
    // The fetch standard has ports that nothing may be asked on, 9 among them.
    if (inner.message === 'bad port') return true;
    if (/^Proxy (response \(4|Authentication)/.test(inner.message)) return true;
  }
  return false;
}
