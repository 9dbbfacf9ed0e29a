import { Worker } from 'node:worker_threads';
import { Graph, writeOnnxModel } from '../nn/index.ts';
import { AbortedError, ResourceError, workerFile } from '../system/index.ts';
import type { ScoreReply, ScoreRequest, ScoreWorkerData } from './score-protocol.ts';

interface Call {
  resolve(reply: ScoreReply): void;
  reject(error: unknown): void;
}

/** One scoring thread. Requests are answered in order; while any is open, the thread keeps the process alive. */
export class ScoreThread {
  readonly #worker: Worker;
  readonly #stop: Int32Array;
  readonly #calls: Call[] = [];
  readonly #exit: Promise<unknown>;
  #ended: unknown;

  constructor(data: ScoreWorkerData) {
    this.#stop = data.stop;
    this.#worker = new Worker(workerFile(import.meta.url, './score-worker.ts'), { workerData: data });
    this.#worker.on('message', (reply: ScoreReply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#fail(threadFault(error)));
    this.#exit = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#exit.then(() => this.#fail(threadFault(undefined)));
    this.#worker.unref();
  }

  /** Number of requests not yet answered. */
  get open(): number {
    return this.#calls.length;
  }

  /** @param transfer buffers that are handed over instead of copied */
  call(request: ScoreRequest, transfer: ArrayBuffer[] = []): Promise<ScoreReply> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      this.#calls.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request, transfer);
    });
  }

  /**
   * Ends the thread after the product at hand; open requests are answered with `stopped`. Worker.terminate() would do it
   * in the middle of the runtime's native code, which then aborts the whole process.
   */
  async close(): Promise<void> {
    this.#ended ??= new AbortedError();
    Atomics.store(this.#stop, 0, 1);
    this.#worker.ref();
    this.#worker.postMessage({ kind: 'close' } satisfies ScoreRequest);
    await this.#exit;
  }

  #settle(reply: ScoreReply): void {
    const call = this.#calls.shift();
    if (this.#calls.length === 0 && this.#ended === undefined) this.#worker.unref();
    call?.resolve(reply);
  }

  #fail(error: unknown): void {
    this.#ended ??= error;
    for (const call of this.#calls.splice(0)) call.reject(error);
  }
}

/** Starts threads that score by dot product; each computes with one core, so that no number depends on how many there are. */
export function startScoreThreads(count: number, dimensions: number, cosine: boolean): ScoreThread[] {
  const model = dotProductModel(dimensions);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  return Array.from({ length: count }, () => new ScoreThread({ model, dimensions, cosine, stop }));
}

/** queries [queries, dimensions] · corpus [rows, dimensions]ᵀ → scores [queries, rows], as an ONNX model. */
function dotProductModel(dimensions: number): Uint8Array {
  const graph = new Graph();
  const queries = graph.input('queries', 'float32', ['queries', dimensions]);
  const corpus = graph.input('corpus', 'float32', ['rows', dimensions]);
  const [scores] = graph.node({
    operator: 'FusedMatMul',
    domain: 'com.microsoft',
    inputs: [queries, corpus],
    outputs: [{ dtype: 'float32', shape: ['queries', 'rows'] }],
    attributes: { transB: 1 },
  });
  graph.output('scores', scores!);
  return writeOnnxModel(graph, '', new Map());
}

function threadFault(error: Error | undefined): ResourceError {
  return new ResourceError(`a search thread ended${error === undefined ? '' : `: ${error.message}`}`, {
    mend: 'Search with fewer threads or fewer queries at a time; if memory is short, free some.',
    cause: error,
  });
}
