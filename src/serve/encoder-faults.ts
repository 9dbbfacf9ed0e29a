import { faultOf, LongWaitError } from '../servers/index.ts';
import { ModelError } from '../system/index.ts';

/** What can be wrong with an encoder, as the metrics name it. */
export const ENCODER_FAULTS = [
  'unreachable',
  'late',
  'busy',
  'failed',
  'refused',
  'foreign',
  'broken',
  'other',
] as const;
export type EncoderFault = (typeof ENCODER_FAULTS)[number];

/** Names what is wrong with an encoder, a server's or our own. */
export function encoderFaultOf(error: unknown): EncoderFault {
  if (error instanceof LongWaitError) return 'busy';
  const fault = faultOf(error);
  if (fault === undefined) return error instanceof ModelError ? 'broken' : 'other';
  if (fault.kind === 'cut') return 'unreachable';
  if (fault.kind !== 'refused') return fault.kind;
  const { status = 0 } = fault;
  return status === 429 ? 'busy' : status >= 500 ? 'failed' : 'refused';
}

/** Whether an error may be the fault of a single text, so that the others of a call deserve another one. */
export function mayBeOfOneText(error: unknown): boolean {
  const fault = encoderFaultOf(error);
  return fault === 'broken' || fault === 'refused' || fault === 'other';
}

/** Seconds after which a busy server wants to be asked again. */
export function secondsOfWait(error: unknown): number {
  const seconds = error instanceof LongWaitError ? error.seconds : (faultOf(error)?.retryAfterSeconds ?? 1);
  return Math.max(1, Math.ceil(seconds));
}
