import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresPoolConfig, Queue, Worker } from 'bullmq';
import { optionalPackage } from '../../system/index.ts';
import type { QueueAddress } from './queue-address.ts';
import type { Bull, ConnectOptions, QueueServer } from './queue-server.ts';

const RETRY_MILLISECONDS = 200;
/** After this time a worker asks again for a server that it has lost. */
const WORKER_RETRY_MILLISECONDS = 1_000;
/** The schema of all tables, apart from those of other programs that use BullMQ. */
const SCHEMA = 'llm_qe_queue';

/**
 * Waits until PostgreSQL answers, and makes the tables of BullMQ if there are none. Each queue and worker has connections of its own,
 * which are made anew when they are lost.
 * @throws ResourceError; the client's errors
 */
export async function connectPostgres(
  bull: Bull,
  { url }: QueueAddress,
  { patience, onFault, onReady }: ConnectOptions,
): Promise<QueueServer> {
  const { default: pg } = await optionalPackage(() => import('pg'), 'pg', 'a queue in PostgreSQL');
  const config = { connectionString: url, connectionTimeoutMillis: 10_000, keepAlive: true };
  const started = performance.now();
  for (;;) {
    const client = new pg.Client(config);
    client.on('error', onFault);
    try {
      await client.connect();
      await bull.runMigrations(client, SCHEMA);
      break;
    } catch (error) {
      if (!isPassing(error) || performance.now() - started > patience) throw error;
      onFault(error as Error);
      await sleep(RETRY_MILLISECONDS);
    } finally {
      await client.end().catch(() => {});
    }
  }
  onReady();
  const connection: PostgresPoolConfig = { ...config, schema: SCHEMA, max: 3 };
  return {
    bull,
    queue(name) {
      const queue = new bull.Queue(name, { connection }, bull.createPostgresBackend);
      queue.on('error', onFault);
      return queue as unknown as Queue;
    },
    worker(name, processor, options) {
      const settings = { ...options, connection, runRetryDelay: WORKER_RETRY_MILLISECONDS };
      const worker = new bull.Worker(name, processor, settings, bull.createPostgresBackend);
      worker.on('error', onFault);
      return worker as unknown as Worker;
    },
    close() {},
  };
}

/** Whether a server may answer later: it cannot be reached, or is starting. */
function isPassing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(E[A-Z_]+|57P0[1-3]|53300|08\w{3})$/.test(code) || error instanceof AggregateError;
}
