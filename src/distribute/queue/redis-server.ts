import { optionalPackage } from '../../system/index.ts';
import type { QueueAddress } from './queue-address.ts';
import type { Bull, ConnectOptions, QueueServer } from './queue-server.ts';

/** How long a lost connection is waited for by a command that does not wait for ever. */
const LOST_MILLISECONDS = 10_000;
const RETRY_MILLISECONDS = 200;
/** A connection that waits for ever asks less and less often. */
const MOST_RETRY_MILLISECONDS = 5_000;
/** BullMQ keeps its last events, results among them, in memory. Nobody here reads them. */
const EVENTS = 10;

/** Connects to Redis, and waits until it answers. @throws ResourceError; the client's errors */
export async function connectRedis(
  bull: Bull,
  { url }: QueueAddress,
  { patience, isFaithful, onFault, onReady }: ConnectOptions,
): Promise<QueueServer> {
  const { Redis: Client } = await optionalPackage(() => import('ioredis'), 'ioredis', 'a queue in Redis');
  let wasReady = false;
  /** When the connection was first tried, or lost; undefined while it stands. */
  let since: number | undefined = performance.now();
  const client = new Client(url, {
    maxRetriesPerRequest: null,
    retryStrategy(times) {
      if (wasReady && isFaithful) return Math.min(times * RETRY_MILLISECONDS, MOST_RETRY_MILLISECONDS);
      since ??= performance.now();
      return performance.now() - since > (wasReady ? LOST_MILLISECONDS : patience) ? null : RETRY_MILLISECONDS;
    },
  });
  client.on('ready', () => {
    [wasReady, since] = [true, undefined];
    onReady();
  });
  client.on('error', onFault);
  try {
    await client.ping();
  } catch (error) {
    client.disconnect();
    throw error;
  }
  return {
    bull,
    queue(name) {
      const queue = new bull.Queue(name, { connection: client, streams: { events: { maxLen: EVENTS } } });
      queue.on('error', onFault);
      return queue;
    },
    worker(name, processor, options) {
      const worker = new bull.Worker(name, processor, { ...options, connection: client });
      worker.on('error', onFault);
      return worker;
    },
    close: () => client.disconnect(),
  };
}
