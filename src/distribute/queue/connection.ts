import type { Redis } from 'ioredis';
import { LlmQeError, NetworkError, optionalPackage } from '../../system/index.ts';
import type { QueueAddress } from './queue-address.ts';

/** How long a command waits for a connection that was lost, or never made, before it gives up. */
const PATIENCE_MILLISECONDS = { lost: 10_000, never: 2_000 };
const RETRY_MILLISECONDS = 200;

/** BullMQ and the client of Redis. */
export interface Bull {
  bull: typeof import('bullmq');
  Client: typeof Redis;
}

/** Loads what only queues need. @throws ResourceError if they are not installed */
export async function loadBull(): Promise<Bull> {
  const what = 'a queue';
  const bull = await optionalPackage(() => import('bullmq'), 'bullmq', what);
  const { Redis: Client } = await optionalPackage(() => import('ioredis'), 'ioredis', what);
  return { bull, Client };
}

/**
 * Connects to the server of a queue.
 * @param isPatient whether a lost connection is waited for, however long it takes
 * @param onFault is told what the connection meets; it may be told often
 */
export function connect(
  { Client }: Bull,
  { url }: QueueAddress,
  { isPatient, onFault = () => {} }: { isPatient: boolean; onFault?: (error: Error) => void },
): Redis {
  let wasReady = false;
  const client = new Client(url, {
    maxRetriesPerRequest: null,
    retryStrategy(times) {
      const most = wasReady ? PATIENCE_MILLISECONDS.lost : PATIENCE_MILLISECONDS.never;
      if (!isPatient && times * RETRY_MILLISECONDS > most) return null;
      return isPatient ? Math.min(times * RETRY_MILLISECONDS, 5_000) : RETRY_MILLISECONDS;
    },
  });
  client.on('ready', () => {
    wasReady = true;
  });
  client.on('error', onFault);
  return client;
}

/** Turns an error of the queue's server or its client into a typed one. */
export function queueFault(error: unknown, { shown }: QueueAddress, last?: Error): unknown {
  if (error instanceof LlmQeError || !(error instanceof Error)) return error;
  const cause = /connection is closed/i.test(error.message) ? (last ?? error) : error;
  const reason = cause.message || ('code' in cause ? String(cause.code) : cause.name);
  return new NetworkError(`the queue ${shown} does not answer: ${reason}`, {
    fix: /NOAUTH|WRONGPASS|NOPERM/.test(reason)
      ? 'Put the password into the address: redis://:PASSWORD@HOST:PORT.'
      : 'Check that the server runs, then run the same command again: it goes on where it stopped.',
    cause,
  });
}
