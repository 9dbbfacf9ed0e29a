import type { LimitName } from './parameters.ts';
import type { ServerClient } from './server-client.ts';

/** One server, and what was learnt about it. */
export interface Server {
  /** Its address, without what is secret in it. */
  readonly shown: string;
  readonly client: ServerClient;
  /** Calls under way. */
  pending: number;
  /** Set aside until then, in milliseconds of `performance.now()`. */
  restUntil: number;
  /** Whether anything ever came back from it; undefined before the first call ended. */
  contact: 'none' | 'answered' | undefined;
  /** Settings that it does not take, and that change nothing by their absence. */
  readonly leftOut: Set<string>;
  /** Whether it writes several texts in one call (`n`); some take one and leave the others out, some refuse. */
  takesN: boolean;
  /** How often in a row it gave one text where several were asked for. */
  singles: number;
  limitName: LimitName;
  readonly limitNamesTried: Set<LimitName>;
}
