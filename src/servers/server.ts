import type { LimitName } from './parameters.ts';
import type { ServerClient } from './server-client.ts';

/** One server, and what was learnt about it. */
export interface Server {
  /** Its address, without secrets. */
  readonly shown: string;
  readonly client: ServerClient;
  /** Number of calls in progress. */
  pending: number;
  /** Time until which it is set aside, in milliseconds of `performance.now()`. */
  restUntil: number;
  /** Whether it has ever answered; undefined before the first call ended. */
  contact: 'none' | 'answered' | undefined;
  /** Fields of the calls that it has answered. */
  readonly taken: Set<string>;
  /** Whether it answers only in a stream of events. */
  streams: boolean;
  /** Settings that it does not support and whose absence changes nothing. */
  readonly leftOut: Set<string>;
  /** Whether it writes several texts in one call (`n`). Some servers write only one, others refuse. */
  takesN: boolean;
  /** How many times in a row it returned one text when several were requested. */
  singles: number;
  /** Whether it takes a single text for embedding, not a list. */
  oneText: boolean;
  limitName: LimitName;
  readonly limitNamesTried: Set<LimitName>;
}
