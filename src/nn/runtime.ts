import { Worker } from 'node:worker_threads';
import { listSupportedBackends } from 'onnxruntime-node';
import { AbortedError, type LlmQeError, ModelError, ResourceError, UsageError, workerFile } from '../system/index.ts';
import type { Device, RunReply, RunRequest, Values, WorkerRequest, WorkerStart } from './runtime-messages.ts';

export interface RuntimeOptions {
  /** Worker threads, each with a session of its own; they share the mapped file of weights. Default 1. */
  workers?: number;
  /** Threads inside each operation of a worker. Default 1. */
  threads?: number;
  /** Whether each worker keeps a second copy of the matrices, arranged for speed (some 5 %). Default true. */
  prepack?: boolean;
  /** Whether a session keeps the memory of its intermediate results for the next run. Default true. */
  arena?: boolean;
  /** Where to compute. Default `cpu`. */
  device?: Device;
}

/** The name of the one model that {@link Runtime.open} is given as a plain file. */
const ONLY = 'model';

/** What a run returns: its results, and the inputs, where they were lent. */
interface Finished {
  results: Values;
  feeds: Values | undefined;
}

/** Runs in flight at a worker: one that it computes, one that waits there, so that it need not wait for this thread. */
const DEPTH = 2;

interface Job {
  request: RunRequest;
  resolve(finished: Finished): void;
  reject(error: Error): void;
}

interface Seat {
  worker: Worker;
  exit: Promise<unknown>;
  jobs: Map<number, Job>;
}

/** A compiled model, ready to run in worker threads. The event loop of the caller stays free. */
export class Runtime {
  readonly #file: string;
  readonly #device: Device;
  readonly #seats: Seat[] = [];
  #waiting: Job[] = [];
  #lastId = 0;
  #ended: Error | undefined;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));

  private constructor(file: string, device: Device) {
    this.#file = file;
    this.#device = device;
  }

  /**
   * Loads a model in every worker, or readies several models, each of which is loaded when it is first run.
   * @throws ModelError where the runtime refuses it; UsageError where the runtime lacks the device
   */
  static async open(files: string | Readonly<Record<string, string>>, options: RuntimeOptions = {}): Promise<Runtime> {
    const { workers = 1, threads = 1, prepack = true, arena = true, device = 'cpu' } = options;
    checkDevice(device);
    const one = typeof files === 'string';
    const runtime = new Runtime(one ? files : Object.values(files)[0]!, device);
    const named = one ? { [ONLY]: files } : files;
    const start: WorkerStart = { files: named, eager: one, threads, prepack, arena, device, stop: runtime.#stop };
    try {
      await Promise.all(Array.from({ length: workers }, () => runtime.#startWorker(start)));
    } catch (error) {
      await runtime.close();
      throw error;
    }
    return runtime;
  }

  /**
   * Runs the model once. The buffers of the inputs are handed over to the worker and cannot be used afterwards.
   * @throws AbortedError at once when the signal fires; a run that has begun ends unheard
   * @throws ModelError, naming the operation that failed
   */
  async run(feeds: Values, signal?: AbortSignal): Promise<Values> {
    if (signal?.aborted) throw new AbortedError();
    return (await this.#request(ONLY, feeds, false, signal)).results;
  }

  /**
   * Runs one of several models on inputs that come back: the buffers are away during the run, and `feeds` holds the same
   * memory again when it has ended, well or badly. A run cannot be stopped once it has begun.
   */
  async lend(model: string, feeds: Values): Promise<Values> {
    return (await this.#request(model, feeds, true)).results;
  }

  #request(model: string, feeds: Values, lent: boolean, signal?: AbortSignal): Promise<Finished> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const job: Job = { request: { id: ++this.#lastId, model, feeds, lent }, resolve, reject };
      if (signal !== undefined) this.#obey(signal, job);
      this.#waiting.push(job);
      this.#dispatch();
    });
  }

  /**
   * Ends the workers after the runs at hand, which are rejected at once. (Worker.terminate() in the midst of the
   * runtime's native code aborts the whole process.)
   */
  async close(): Promise<void> {
    this.#fail(new ModelError('the model was closed', { mend: 'Open it again.', file: this.#file }));
    Atomics.store(this.#stop, 0, 1);
    for (const { worker } of this.#seats) {
      worker.ref();
      worker.postMessage('close' satisfies WorkerRequest);
    }
    await Promise.all(this.#seats.map(({ exit }) => exit));
  }

  #obey(signal: AbortSignal, job: Job): void {
    const { resolve, reject } = job;
    const stop = () => {
      this.#waiting = this.#waiting.filter((other) => other !== job);
      reject(new AbortedError());
    };
    signal.addEventListener('abort', stop, { once: true });
    job.resolve = (results) => {
      signal.removeEventListener('abort', stop);
      resolve(results);
    };
    job.reject = (error) => {
      signal.removeEventListener('abort', stop);
      reject(error);
    };
  }

  async #startWorker(start: WorkerStart): Promise<void> {
    // Without execArgv a worker would inherit flags that only fit the main program, such as --input-type.
    const worker = new Worker(workerFile(import.meta.url, './runtime-worker.ts'), { workerData: start, execArgv: [] });
    const exit = new Promise((resolve) => worker.once('exit', resolve));
    const seat: Seat = { worker, exit, jobs: new Map() };
    this.#seats.push(seat);
    await new Promise<void>((resolve, reject) => {
      const request = { id: 0, model: '', feeds: {}, lent: false };
      const loading: Job = { request, resolve: () => resolve(), reject };
      seat.jobs.set(0, loading);
      worker.on('message', (reply: RunReply) => this.#settle(seat, reply));
      worker.on('error', (cause) => this.#fail(workerFault(this.#file, cause)));
      worker.on('exit', () => this.#fail(workerFault(this.#file, undefined)));
    });
    worker.unref();
  }

  #settle(seat: Seat, reply: RunReply): void {
    const job = seat.jobs.get(reply.id);
    seat.jobs.delete(reply.id);
    if (seat.jobs.size === 0 && this.#ended === undefined) seat.worker.unref();
    if (reply.feeds !== undefined && job !== undefined) Object.assign(job.request.feeds, reply.feeds);
    if ('results' in reply) job?.resolve(reply);
    else job?.reject(deviceFault(this.#device, reply.failure) ?? runFault(this.#file, reply.failure));
    this.#dispatch();
  }

  /** Hands waiting runs to the workers, the least busy first. */
  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const seat = this.#seats.reduce((least, other) => (other.jobs.size < least.jobs.size ? other : least));
      if (seat.jobs.size >= DEPTH) return;
      const job = this.#waiting.shift()!;
      seat.jobs.set(job.request.id, job);
      seat.worker.ref();
      const buffers = Object.values(job.request.feeds).map(({ data }) => data.buffer as ArrayBuffer);
      seat.worker.postMessage(job.request, buffers);
    }
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    for (const job of [...this.#waiting, ...this.#seats.flatMap(({ jobs }) => [...jobs.values()])]) {
      job.reject(this.#ended);
    }
    this.#waiting = [];
    for (const { jobs } of this.#seats) jobs.clear();
  }
}

/** @throws UsageError where the runtime at hand was built without this device */
function checkDevice(device: Device): void {
  const built = new Set(['cpu', ...listSupportedBackends().map(({ name }) => name)]);
  if (built.has(device)) return;
  throw new UsageError(`the runtime at hand cannot compute on ${device}; it knows ${[...built].join(', ')}`, {
    mend: 'Use device cpu, or install a build of onnxruntime-node that has this device.',
  });
}

/** The device is known to the runtime, but its drivers or its part of the runtime are not there. */
function deviceFault(device: Device, message: string): UsageError | undefined {
  const isMissing = /ExecutionProvider_|Failed to load (shared )?library|RequestAdapter/.test(message);
  if (device === 'cpu' || !isMissing) return undefined;
  return new UsageError(`cannot compute on ${device}: ${message.trim().split('\n')[0]}`, {
    mend: `Use device cpu, or install the drivers of the device and the runtime's part for ${device}.`,
    cause: message,
  });
}

/** What the runtime says, as a typed error that names the operation. */
function runFault(file: string, message: string): LlmQeError {
  if (/bad_alloc|[Ff]ailed to allocate|out of memory/.test(message)) {
    const mend = 'Free some memory, use a smaller model, or use precision int8.';
    return new ResourceError('the memory did not suffice to run the model', { file, mend, cause: message });
  }
  const operation = /running (\S+) node\. Name:'([^']+)' Status Message: ([\s\S]*)/.exec(message);
  const reason =
    operation === null
      ? `the runtime refused the model: ${message}`
      : `operation ${operation[2]} (${operation[1]}) failed: ${operation[3]}`;
  const mend = 'Check that the inputs fit the model; if they do, remove the compiled model and run again.';
  return new ModelError(reason, { file, mend, cause: message });
}

function workerFault(file: string, cause: unknown): ResourceError {
  const reason = `the worker thread ended${cause instanceof Error ? `: ${cause.message}` : ''}`;
  return new ResourceError(reason, { file, mend: 'Run again; with less memory to spare, use fewer threads.', cause });
}
