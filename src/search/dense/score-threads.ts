import { Graph, writeOnnxModel } from '../../nn/index.ts';
import { ResourceError, WorkerThread } from '../../system/index.ts';
import type { ScoreReply, ScoreRequest, ScoreWorkerData } from './score-protocol.ts';

/** A closed thread stops after the current matrix product. */
export type ScoreThread = WorkerThread<ScoreRequest, ScoreReply>;

/** Starts threads that score by dot product. Each uses one core, so scores do not depend on the number of threads. */
export function startScoreThreads(count: number, dimensions: number, cosine: boolean): ScoreThread[] {
  const data: ScoreWorkerData = { model: dotProductModel(dimensions), dimensions, cosine };
  const options = { data, fault: threadFault };
  return Array.from({ length: count }, () => new WorkerThread(import.meta.url, './score-worker.ts', options));
}

/** queries [queries, dimensions] · corpus [rows, dimensions]ᵀ → scores [queries, rows], as an ONNX model. */
export function dotProductModel(dimensions: number): Uint8Array {
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

function threadFault(cause: Error | undefined): ResourceError {
  return new ResourceError(`a search thread ended${cause === undefined ? '' : `: ${cause.message}`}`, {
    fix: 'Search with fewer threads or fewer queries at a time; if memory is short, free some.',
    cause,
  });
}
