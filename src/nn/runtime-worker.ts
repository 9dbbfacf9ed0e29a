import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { TensorData } from './graph.ts';
import type { RunReply, RunRequest, Value, Values, WorkerRequest, WorkerStart } from './runtime-messages.ts';

/** A thread that holds one session of the runtime; its calls block, and here they block nobody. */
const port = parentPort!;
const { file, threads, prepack, stop } = workerData as WorkerStart;

try {
  const session = await openSession();
  /** Requests are answered one after another, so that the last word, `close`, finds no run under way. */
  let last: Promise<void> = Promise.resolve();
  port.on('message', (request: WorkerRequest) => {
    last = last.then(() => (request === 'close' ? end(session) : answer(session, request)));
  });
  reply({ id: 0, results: {} });
} catch (error) {
  reply({ id: 0, failure: reasonOf(error) });
}

/**
 * Optimisation stays at `basic`: the higher levels put Add and LayerNormalization together into an operation that is
 * four times slower on a CPU. What is worth fusing, the graph says itself.
 */
function openSession(): Promise<InferenceSession> {
  return InferenceSession.create(file, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'basic',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: { session: { disable_prepacking: prepack ? '0' : '1' } },
  });
}

/** Ends this thread from inside: ended from outside in the midst of native code it would take the process with it. */
async function end(session: InferenceSession): Promise<void> {
  await session.release();
  port.close();
}

async function answer(session: InferenceSession, { id, feeds }: RunRequest): Promise<void> {
  if (Atomics.load(stop, 0) !== 0) return;
  try {
    const tensors = Object.entries(feeds).map(([name, { dtype, data, shape }]) => {
      return [name, new Tensor(dtype, data as Float32Array, shape)] as const;
    });
    const outputs = await session.run(Object.fromEntries(tensors));
    const results = Object.entries(outputs).map(([name, { type, dims, data }]) => {
      return [name, { dtype: type as Value['dtype'], shape: dims, data: data as TensorData }] as const;
    });
    reply({ id, results: Object.fromEntries(results) });
  } catch (error) {
    reply({ id, failure: reasonOf(error) });
  }
}

function reply(message: RunReply): void {
  port.postMessage(message, 'results' in message ? buffersOf(message.results) : []);
}

function buffersOf(values: Values): ArrayBuffer[] {
  return Object.values(values).map(({ data }) => data.buffer as ArrayBuffer);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
