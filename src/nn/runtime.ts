import {
  AbortedError,
  type LlmQeError,
  ModelError,
  ResourceError,
  refuseIfSlim,
  UsageError,
  WorkerThread,
} from '../system/index.ts';
import type { Device, LoadRequest, RunRequest, Values, WorkerStart } from './runtime-messages.ts';

export interface RuntimeOptions {
  /** The number of worker threads, each with its own session; they share the mapped file of weights. Default 1. */
  workers?: number;
  /** Threads inside each operation of a worker. Default 1. */
  threads?: number;
  /** Whether each worker keeps a second copy of the matrices, arranged for speed (about 5 % faster). Default true. */
  prepack?: boolean;
  /** Whether a session keeps the memory of its intermediate results for the next run. Default true. */
  arena?: boolean;
  /** Where to compute. Default `cpu`. */
  device?: Device;
}

/** The name of the model if {@link Runtime.open} receives a plain file. */
const ONLY = 'model';

/**
 * The number of runs at a worker: one that it computes, and one that waits there, so that the worker need not wait for
 * this thread.
 */
const DEPTH = 2;

interface Job {
  request: RunRequest;
  /** Whether the inputs must come back. */
  lent: boolean;
  resolve(results: Values): void;
  reject(error: unknown): void;
}

type RuntimeThread = WorkerThread<RunRequest | LoadRequest, Values>;

/** Whoever lacks the runtime should learn it before a model is downloaded for it. @throws ResourceError in a slim install */
export function refuseWithoutRuntime(): void {
  refuseIfSlim('onnxruntime-node', 'a local encoder', ' Or use a server: --encoder URL, or serve --upstream URL.');
}

/** A compiled model that runs in worker threads and keeps the caller's event loop free. */
export class Runtime {
  readonly #file: string;
  readonly #threads: readonly RuntimeThread[];
  #waiting: Job[] = [];
  #ended: Error | undefined;

  private constructor(file: string, threads: readonly RuntimeThread[]) {
    this.#file = file;
    this.#threads = threads;
  }

  /**
   * Loads a model in every worker, or prepares several models, each of which is loaded at its first run.
   * @throws ModelError if the runtime refuses a model; UsageError if the runtime lacks the device
   */
  static async open(files: string | Readonly<Record<string, string>>, options: RuntimeOptions = {}): Promise<Runtime> {
    const { workers = 1, threads = 1, prepack = true, arena = true, device = 'cpu' } = options;
    refuseWithoutRuntime();
    await checkDevice(device);
    const one = typeof files === 'string';
    const named = one ? { [ONLY]: files } : files;
    const start: WorkerStart = { files: named, threads, prepack, arena, device };
    const file = Object.values(named)[0]!;
    const runtime = new Runtime(
      file,
      Array.from({ length: workers }, () => startThread(file, start)),
    );
    try {
      await Promise.all(runtime.#threads.map((thread) => thread.call({ load: one ? [ONLY] : [] })));
    } catch (error) {
      await runtime.close();
      throw error;
    }
    return runtime;
  }

  /**
   * Runs the model once. The buffers of the inputs are transferred to the worker and cannot be used afterwards.
   * @throws AbortedError at once if the signal fires; the result of a run that has begun is dropped
   * @throws ModelError if an operation fails; names it
   */
  async run(feeds: Values, signal?: AbortSignal): Promise<Values> {
    if (signal?.aborted) throw new AbortedError();
    return this.#request({ model: ONLY, feeds }, false, signal);
  }

  /**
   * Runs one of several models on borrowed inputs: the buffers are unavailable during the run, and `feeds` holds the
   * same memory again afterwards, even after a failure. A run that has begun cannot be stopped.
   * @param results memory for all results, if the graph fills it: the run returns it, filled, and copies nothing
   */
  lend(model: string, feeds: Values, results?: Values): Promise<Values> {
    return this.#request({ model, feeds, results }, true);
  }

  /**
   * Ends the workers after their current runs, which are rejected at once. (Worker.terminate() during native code of
   * the runtime aborts the whole process.)
   */
  close(): Promise<void> {
    return this.#end(new ModelError('the model was closed', { fix: 'Open it again.', file: this.#file }));
  }

  async #request(request: RunRequest, lent: boolean, signal?: AbortSignal): Promise<Values> {
    if (this.#ended !== undefined) throw this.#ended;
    let stop = () => {};
    try {
      return await new Promise((resolve, reject) => {
        const job: Job = { request, lent, resolve, reject };
        stop = () => {
          this.#waiting = this.#waiting.filter((other) => other !== job);
          reject(new AbortedError());
        };
        signal?.addEventListener('abort', stop, { once: true });
        this.#waiting.push(job);
        this.#dispatch();
      });
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Passes waiting runs to the workers, the least busy first. */
  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#threads.reduce((least, other) => (other.open < least.open ? other : least));
      if (thread.open >= DEPTH) return;
      void this.#runIn(thread, this.#waiting.shift()!);
    }
  }

  async #runIn(thread: RuntimeThread, { request, lent, resolve, reject }: Job): Promise<void> {
    try {
      resolve(await (lent ? lendTo(thread, request) : thread.call(request, buffersOf(request.feeds))));
    } catch (error) {
      reject(error);
      if (thread.ended !== undefined) void this.#end(thread.ended);
    }
    this.#dispatch();
  }

  /** Rejects all runs and ends all workers: if one worker dies, the others end too. */
  async #end(error: Error): Promise<void> {
    this.#ended ??= error;
    for (const job of this.#waiting.splice(0)) job.reject(this.#ended);
    await Promise.all(this.#threads.map((thread) => thread.close(this.#ended)));
  }
}

function buffersOf(values: Values): ArrayBuffer[] {
  return Object.values(values).map(({ data }) => data.buffer as ArrayBuffer);
}

/** Lends inputs, and memory for results if there is some; `feeds` holds the same memory again afterwards. */
async function lendTo(thread: RuntimeThread, request: RunRequest): Promise<Values> {
  const { feeds, results } = request;
  const loan = { feeds, results };
  try {
    const copied = await thread.lend(request, loan, [...buffersOf(feeds), ...buffersOf(results ?? {})]);
    return loan.results ?? copied;
  } finally {
    Object.assign(feeds, loan.feeds);
  }
}

function startThread(file: string, data: WorkerStart): RuntimeThread {
  return new WorkerThread(import.meta.url, './runtime-worker.ts', {
    data,
    fault: (cause) => workerFault(file, cause),
    failure: ({ message }) => deviceFault(data.device, message) ?? runFault(file, message),
  });
}

/** Refuses a device that the installed runtime lacks. @throws UsageError */
async function checkDevice(device: Device): Promise<void> {
  if (device === 'cpu') return;
  const { listSupportedBackends } = await import('onnxruntime-node');
  const built = new Set(['cpu', ...listSupportedBackends().map(({ name }) => name)]);
  if (built.has(device)) return;
  throw new UsageError(`the installed runtime cannot compute on ${device}; available: ${[...built].join(', ')}`, {
    fix: 'Use device cpu, or install a build of onnxruntime-node with this device.',
  });
}

/** Returns the error for a device that the runtime knows, if its drivers or its libraries are missing. */
function deviceFault(device: Device, message: string): UsageError | undefined {
  const isMissing = /ExecutionProvider_|Failed to load (shared )?library|RequestAdapter/.test(message);
  if (device === 'cpu' || !isMissing) return undefined;
  return new UsageError(`cannot compute on ${device}: ${message.trim().split('\n')[0]}`, {
    fix: `Use device cpu, or install the device drivers and the runtime libraries for ${device}.`,
    cause: message,
  });
}

/** Converts a message of the runtime to a typed error that names the operation. */
export function runFault(file: string, message: string): LlmQeError {
  if (/bad_alloc|[Ff]ailed to allocate|out of memory/.test(message)) {
    const fix = 'Free some memory, use a smaller model, or use precision int8.';
    return new ResourceError('not enough memory to run the model', { file, fix, cause: message });
  }
  const operation = /running (\S+) node\. Name:'([^']+)' Status Message: ([\s\S]*)/.exec(message);
  const reason =
    operation === null
      ? `the runtime refused the model: ${message}`
      : `operation ${operation[2]} (${operation[1]}) failed: ${operation[3]}`;
  const fix = 'Check that the inputs fit the model. If they do, remove the compiled model and run again.';
  return new ModelError(reason, { file, fix, cause: message });
}

function workerFault(file: string, cause: Error | undefined): ResourceError {
  const reason = `the worker thread ended${cause === undefined ? '' : `: ${cause.message}`}`;
  return new ResourceError(reason, { file, fix: 'Run again. If memory is short, use fewer threads.', cause });
}
