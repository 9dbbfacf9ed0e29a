import { hostname } from 'node:os';
import type { Job, Worker } from 'bullmq';
import { ModelError } from '../../system/index.ts';
import { type Bull, connect, loadBull } from './connection.ts';
import { FIX_MARK } from './job-board.ts';
import { type EngineKind, lobbyOf, workQueueOf } from './meeting.ts';
import { encoderIdentity, generatorIdentity } from './messages.ts';
import { ModelProcess, TaskFailure } from './model-process.ts';
import { pack, unpack } from './payload.ts';
import type { QueueAddress } from './queue-address.ts';

/** How often a job whose worker vanished is given to another one. */
const MOST_STALLS = 10;

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
 * @throws ModelError if the model cannot be opened; ResourceError if BullMQ is not installed
 */
export async function serveJobs(given: ServeOptions): Promise<void> {
  const loaded = await loadBull();
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
    await serve(given, loaded, model, pack(facts), workQueueOf(given.kind, facts), stopped);
  } finally {
    model.close();
  }
}

function asOpeningFault(error: unknown): never {
  throw error instanceof TaskFailure ? new ModelError(error.message, { fix: error.fix, cause: error }) : error;
}

async function serve(
  given: ServeOptions,
  loaded: Bull,
  model: ModelProcess,
  identity: string,
  workQueue: string,
  stopped: Promise<void>,
): Promise<void> {
  const { address, kind, declared, lostAfter, signal } = given;
  const { tell, tellReady } = connectionNotes(given);
  const client = connect(loaded, address, { isPatient: true, onFault: tell });
  client.on('ready', tellReady);
  const common = {
    ...{ connection: client, name: `${hostname()}-${process.pid}` },
    ...{ lockDuration: lostAfter * 1000, stalledInterval: (lostAfter * 1000) / 2, maxStalledCount: MOST_STALLS },
  };
  const lobby = new loaded.bull.Worker(lobbyOf(kind, declared), async () => identity, common);
  const worker = new loaded.bull.Worker(
    workQueue,
    async (job: Job, token?: string) => {
      const started = performance.now();
      try {
        const packed = await model.answer(job.data);
        given.onJob(performance.now() - started);
        return packed;
      } catch (error) {
        if (!signal.aborted) throw asJobError(error, loaded);
        await job.moveToWait(token);
        throw new loaded.bull.WaitingError();
      }
    },
    common,
  );
  for (const one of [lobby, worker]) one.on('error', tell);
  await stopped;
  // The model's process ends, so that a job in progress fails here and goes back.
  model.close();
  await closeWithin([lobby, worker], 500);
  client.disconnect();
}

async function closeWithin(workers: readonly Worker[], milliseconds: number): Promise<void> {
  const limit = new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
  await Promise.race([Promise.allSettled(workers.map((worker) => worker.close())), limit]);
}

/** Tells once that the connection is lost, and once that it is back. */
function connectionNotes({ address, warn }: ServeOptions) {
  let isLost = false;
  return {
    tell(error: Error) {
      if (isLost || !('code' in error) || !/ECONN|ETIMEDOUT|ENOTFOUND|EPIPE/.test(String(error.code))) {
        if (!isLost && !/connection is closed/i.test(error.message)) warn(`${address.shown}: ${error.message}`);
        return;
      }
      isLost = true;
      warn(`${address.shown} does not answer (${String(error.code)}): this worker waits for it`);
    },
    tellReady() {
      if (isLost) warn(`${address.shown} answers again`);
      isLost = false;
    },
  };
}

function asJobError(error: unknown, { bull }: Bull): Error {
  const place = `on ${hostname()}: `;
  if (!(error instanceof TaskFailure)) return new Error(`${place}${error instanceof Error ? error.message : error}`);
  const text = `${place}${error.message}${FIX_MARK}${error.fix}`;
  return error.isFinal ? new bull.UnrecoverableError(text) : new Error(text);
}
