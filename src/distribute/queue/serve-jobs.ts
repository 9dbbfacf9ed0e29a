import { hostname } from 'node:os';
import type { Job, Worker } from 'bullmq';
import { ModelError } from '../../system/index.ts';
import { connectQueue } from './connection.ts';
import { FIX_MARK } from './job-board.ts';
import { type EngineKind, lobbyOf, workQueueOf } from './meeting.ts';
import { encoderIdentity, generatorIdentity } from './messages.ts';
import { ModelProcess, TaskFailure } from './model-process.ts';
import { pack, unpack } from './payload.ts';
import type { QueueAddress } from './queue-address.ts';
import type { Bull, QueueServer } from './queue-server.ts';

/** How often a job whose worker vanished is given to another one. */
const MOST_STALLS = 10;
/** How long a server that has never answered is tried: it may be starting, as this worker is. */
const PATIENCE_MILLISECONDS = 15_000;

export interface ServeOptions {
  address: QueueAddress;
  kind: EngineKind;
  /** The model as the user named it; see `lobbyOf`. */
  declared: string;
  /** The program with the model, and what it opens. */
  program: string;
  options: unknown;
  /** Seconds after which a worker that does not renew its lock counts as lost. */
  lostAfter: number;
  signal: AbortSignal;
  onOpen(id: string): void;
  onJob(milliseconds: number): void;
  warn(line: string): void;
}

/**
 * Serves a queue until the signal fires: a process of its own holds the model, so that this one can always renew the locks of its
 * jobs. A job that is stopped goes back to the queue at once.
 * @throws NetworkError if the queue's server never answered; ModelError if the model cannot be opened; ResourceError if BullMQ is not
 *   installed
 */
export async function serveJobs(given: ServeOptions): Promise<void> {
  const notes = connectionNotes(given);
  const server = await connectQueue(given.address, {
    ...{ patience: PATIENCE_MILLISECONDS, isFaithful: true, onFault: notes.tell, onReady: notes.tellReady },
  });
  const model = new ModelProcess(given.program, given.options);
  const stopped = new Promise<void>((resolve) => {
    if (given.signal.aborted) resolve();
    given.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  try {
    const identity = await Promise.race([model.open().catch(asOpeningFault), stopped]);
    if (identity === undefined) return;
    const facts = unpack(identity, given.kind === 'generator' ? generatorIdentity : encoderIdentity, 'the model');
    given.onOpen(facts.id);
    const queues = { lobby: lobbyOf(given.kind, given.declared), work: workQueueOf(given.kind, facts) };
    await serve(given, server, { model, identity: pack(facts), queues, stopped, onJob: notes.tellReady });
  } finally {
    model.close();
    server.close();
  }
}

function asOpeningFault(error: unknown): never {
  throw error instanceof TaskFailure ? new ModelError(error.message, { fix: error.fix, cause: error }) : error;
}

interface Served {
  model: ModelProcess;
  /** What producers ask for in the lobby. */
  identity: string;
  queues: { lobby: string; work: string };
  stopped: Promise<void>;
  /** Is told that a job has come. */
  onJob(): void;
}

async function serve(given: ServeOptions, server: QueueServer, { model, identity, queues, stopped, onJob }: Served) {
  const { lostAfter, signal } = given;
  const common = {
    ...{ name: `${hostname()}-${process.pid}`, maxStalledCount: MOST_STALLS },
    ...{ lockDuration: lostAfter * 1000, stalledInterval: (lostAfter * 1000) / 2 },
  };
  const tellIdentity = async () => {
    onJob();
    return identity;
  };
  const work = async (job: Job, token?: string) => {
    onJob();
    const started = performance.now();
    try {
      const packed = await model.answer(job.data);
      given.onJob(performance.now() - started);
      return packed;
    } catch (error) {
      if (!signal.aborted) throw asJobError(error, server.bull);
      await job.moveToWait(token);
      throw new server.bull.WaitingError();
    }
  };
  const workers = [server.worker(queues.lobby, tellIdentity, common), server.worker(queues.work, work, common)];
  await stopped;
  // The model's process ends, so that a job in progress fails here and goes back.
  model.close();
  await closeWithin(workers, 500);
}

async function closeWithin(workers: readonly Worker[], milliseconds: number): Promise<void> {
  const limit = new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
  await Promise.race([Promise.allSettled(workers.map((worker) => worker.close())), limit]);
}

/** Codes of a connection that is not there or was lost: of Node's sockets, and of a PostgreSQL server that ends or starts. */
const LOST = /ECONN|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|EPIPE|ENOENT|57P0[1-3]/;

/** Tells once that the connection is lost, and once that it is back. */
function connectionNotes({ address, warn }: ServeOptions) {
  let wasReady = false;
  let isLost = false;
  return {
    tell(error: Error) {
      // A server that never answered ends the worker, with an error.
      if (!wasReady || isLost || /connection is closed/i.test(error.message)) return;
      const code = 'code' in error ? String(error.code) : '';
      if (!LOST.test(code) && !/connection terminated/i.test(error.message)) {
        warn(`${address.shown}: ${error.message}`);
        return;
      }
      isLost = true;
      warn(`${address.shown} does not answer (${code || error.message}): this worker waits for it`);
    },
    tellReady() {
      if (isLost) warn(`${address.shown} answers again`);
      [wasReady, isLost] = [true, false];
    },
  };
}

function asJobError(error: unknown, bull: Bull): Error {
  const place = `on ${hostname()}: `;
  if (!(error instanceof TaskFailure)) return new Error(`${place}${error instanceof Error ? error.message : error}`);
  const text = `${place}${error.message}${FIX_MARK}${error.fix}`;
  return error.isFinal ? new bull.UnrecoverableError(text) : new Error(text);
}
