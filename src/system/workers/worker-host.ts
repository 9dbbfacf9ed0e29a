import { parentPort, workerData } from 'node:worker_threads';
import { AbortedError } from '../errors.ts';
import { packError } from './packed-error.ts';
import type { FromThread, Serve, ThreadStart, ToThread } from './worker-messages.ts';

/**
 * The thread's side of `WorkerThread`: loads the service and answers its calls one after another, so that no call is in progress
 * when `end` arrives.
 */
const port = parentPort!;
const { service: file, data, stop } = workerData as ThreadStart;
const stopped = () => Atomics.load(stop, 0) !== 0;
const { serve } = (await import(file)) as { serve: Serve<unknown, unknown, unknown> };
const service = await serve(data, stopped);

let last: Promise<void> = Promise.resolve();
port.on('message', (message: ToThread<unknown>) => {
  last = last.then(() => (message === 'end' ? end() : answer(message)));
});

async function answer({ request, loan }: Exclude<ToThread<unknown>, 'end'>): Promise<void> {
  const [returned, buffers] = [loan?.values, loan?.buffers ?? []];
  try {
    if (stopped()) throw new AbortedError();
    const { value, transfer = [] } = await service.answer(request);
    reply({ value, returned }, [...transfer, ...buffers]);
  } catch (error) {
    reply({ error: packError(error), returned }, buffers);
  }
}

function reply(message: FromThread<unknown>, transfer: readonly ArrayBuffer[]): void {
  port.postMessage(message, transfer);
}

/** Ends this thread from inside. Ending it from outside during native code would crash the process. */
async function end(): Promise<void> {
  await service.end?.();
  port.close();
}
