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
  readonly #calls: Call[] = [];
  #failure: unknown;

  constructor(data: ScoreWorkerData) {
    this.#worker = new Worker(workerFile(import.meta.url, './score-worker.ts'), { workerData: data });
    this.#worker.unref();
    this.#worker.on('message', (reply: ScoreReply) => this.#settle((call) => call.resolve(reply)));
    this.#worker.on('error', (error) => this.#fail(threadFault(error)));
  }

  /** Number of requests not yet answered. */
  get open(): number {
    return this.#calls.length;
  }

  /** @param transfer buffers that are handed over instead of copied */
  call(request: ScoreRequest, transfer: ArrayBuffer[] = []): Promise<ScoreReply> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#calls.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request, transfer);
    });
  }

  async close(): Promise<void> {
    this.#fail(new AbortedError());
    await this.#worker.terminate();
  }

  #settle(end: (call: Call) => void): void {
    const call = this.#calls.shift();
    if (this.#calls.length === 0) this.#worker.unref();
    if (call !== undefined) end(call);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const call of this.#calls.splice(0)) call.reject(error);
  }
}

/** Starts threads that score by dot product; each computes with one core, so that no number depends on how many there are. */
export function startScoreThreads(count: number, dimensions: number, cosine: boolean): ScoreThread[] {
  const model = dotProductModel(dimensions);
  return Array.from({ length: count }, () => new ScoreThread({ model, dimensions, cosine }));
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

function threadFault(error: Error): ResourceError {
  return new ResourceError(`a search thread ended: ${error.message}`, {
    mend: 'Search with fewer threads or fewer queries at a time; if memory is short, free some.',
    cause: error,
  });
}
