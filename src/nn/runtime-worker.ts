import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { TensorData } from './graph.ts';
import type { RunReply, RunRequest, Value, Values, WorkerRequest, WorkerStart } from './runtime-messages.ts';

/** A thread that holds sessions of the runtime; its calls block, and here they block nobody. */
const port = parentPort!;
const { files, eager, threads, prepack, arena, device, stop } = workerData as WorkerStart;
const sessions = new Map<string, Promise<InferenceSession>>();

try {
  if (eager) for (const model of Object.keys(files)) await sessionOf(model);
  /** Requests are answered one after another, so that the last word, `close`, finds no run under way. */
  let last: Promise<void> = Promise.resolve();
  port.on('message', (request: WorkerRequest) => {
    last = last.then(() => (request === 'close' ? end() : answer(request)));
  });
  reply({ id: 0, results: {}, feeds: undefined });
} catch (error) {
  reply({ id: 0, failure: reasonOf(error), feeds: undefined });
}

function sessionOf(model: string): Promise<InferenceSession> {
  const known = sessions.get(model);
  if (known !== undefined) return known;
  const session = openSession(files[model]!);
  sessions.set(model, session);
  // One that could not be loaded is not there to be released at the end.
  session.catch(() => sessions.delete(model));
  return session;
}

/**
 * Optimisation stays at `basic`: the higher levels put Add and LayerNormalization together into an operation that is
 * four times slower on a CPU. What is worth fusing, the graph says itself.
 */
function openSession(file: string): Promise<InferenceSession> {
  return InferenceSession.create(file, {
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    graphOptimizationLevel: 'basic',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableCpuMemArena: arena,
    // A plan of all results for each shape stands in memory beside what the arena took before there was one.
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: { session: { disable_prepacking: prepack ? '0' : '1' } },
  });
}

/** Ends this thread from inside: ended from outside in the midst of native code it would take the process with it. */
async function end(): Promise<void> {
  for (const session of sessions.values()) await (await session).release();
  port.close();
}

async function answer({ id, model, feeds, lent }: RunRequest): Promise<void> {
  if (Atomics.load(stop, 0) !== 0) return;
  const back = lent ? feeds : undefined;
  try {
    const session = await sessionOf(model);
    const tensors = Object.entries(feeds).map(([name, { dtype, data, shape }]) => {
      return [name, new Tensor(dtype, data as Float32Array, shape)] as const;
    });
    const outputs = await session.run(Object.fromEntries(tensors));
    const results = Object.entries(outputs).map(([name, { type, dims, data }]) => {
      return [name, { dtype: type as Value['dtype'], shape: dims, data: data as TensorData }] as const;
    });
    reply({ id, results: Object.fromEntries(results), feeds: back });
  } catch (error) {
    reply({ id, failure: reasonOf(error), feeds: back });
  }
}

function reply(message: RunReply): void {
  const results = 'results' in message ? buffersOf(message.results) : [];
  port.postMessage(message, [...results, ...buffersOf(message.feeds ?? {})]);
}

function buffersOf(values: Values): ArrayBuffer[] {
  return Object.values(values).map(({ data }) => data.buffer as ArrayBuffer);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
