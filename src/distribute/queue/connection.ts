import { LlmQeError, NetworkError, optionalPackage } from '../../system/index.ts';
import { connectPostgres } from './postgres-server.ts';
import type { QueueAddress } from './queue-address.ts';
import type { ConnectOptions, QueueServer } from './queue-server.ts';
import { connectRedis } from './redis-server.ts';

/**
 * Connects to the server of a queue, and waits until it answers.
 * @throws ResourceError if BullMQ or the client is not installed; NetworkError if the server has not answered within the patience
 */
export async function connectQueue(address: QueueAddress, options: ConnectOptions): Promise<QueueServer> {
  const bull = await optionalPackage(() => import('bullmq'), 'bullmq', 'a queue');
  let last: Error | undefined;
  const onFault = (error: Error) => {
    last = error;
    options.onFault(error);
  };
  const connect = address.isPostgres ? connectPostgres : connectRedis;
  try {
    return await connect(bull, address, { ...options, onFault });
  } catch (error) {
    throw queueFault(error, address, last);
  }
}

/** Turns an error of the queue's server or its client into a typed one. */
export function queueFault(error: unknown, { shown, isPostgres }: QueueAddress, last?: Error): unknown {
  if (error instanceof LlmQeError || !(error instanceof Error)) return error;
  const cause = /connection is closed/i.test(error.message) ? (last ?? error) : error;
  // Node gathers the failures of several addresses of one host.
  const first = cause instanceof AggregateError ? (cause.errors[0] as Error) : cause;
  const reason = first.message || ('code' in first ? String(first.code) : first.name);
  const form = isPostgres ? 'postgres://USER:PASSWORD@HOST:PORT/DATABASE' : 'redis://:PASSWORD@HOST:PORT';
  return new NetworkError(`the queue ${shown} does not answer: ${reason}`, {
    fix: /NOAUTH|WRONGPASS|NOPERM|password/.test(reason)
      ? `Put the password into the address: ${form}.`
      : 'Check the address and that the server runs, then run the same command again: it goes on where it stopped.',
    cause,
  });
}
