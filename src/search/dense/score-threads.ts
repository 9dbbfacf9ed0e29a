import { Graph, operations, writeOnnxModel } from '../../nn/index.ts';
import { ResourceError, refuseIfSlim, WorkerThread } from '../../system/index.ts';
import type { ScoreReply, ScoreRequest, ScoreWorkerData } from './score-protocol.ts';
import type { VectorFormat, VectorNumbers } from './vector-format.ts';
import type { VectorSource } from './vector-source.ts';

const DTYPE_OF = { f32: 'float32', f16: 'float16', int8: 'int8' } as const;

/** A closed thread stops after the current matrix product. */
export type ScoreThread = WorkerThread<ScoreRequest, ScoreReply>;

/** Starts threads that score by dot product. Each uses one core, so scores do not depend on the number of threads. */
export function startScoreThreads(
  count: number,
  { dimensions, format }: Pick<VectorSource<VectorNumbers>, 'dimensions' | 'format'>,
  cosine: boolean,
): ScoreThread[] {
  refuseIfSlim('onnxruntime-node', 'vector search in this process', ' Or search elsewhere: --index postgres://...');
  const data: ScoreWorkerData = { model: dotProductModel(dimensions, format), dimensions, cosine };
  const options = { data, fault: threadFault };
  return Array.from({ length: count }, () => new WorkerThread(import.meta.url, './score-worker.ts', options));
}

/**
 * queries [queries, dimensions] · corpus [rows, dimensions]ᵀ → scores [queries, rows], as an ONNX model. Queries stay f32: only
 * documents lose precision. An int8 product (MatMulInteger) would be faster, but saturates on processors without VNNI
 * instructions, and the same search would give other scores elsewhere.
 */
export function dotProductModel(dimensions: number, format: VectorFormat = 'f32'): Uint8Array {
  const graph = new Graph();
  const queries = graph.input('queries', 'float32', ['queries', dimensions]);
  const stored = graph.input('corpus', DTYPE_OF[format], ['rows', dimensions]);
  const corpus = format === 'f32' ? stored : operations.cast(stored, 'float32');
  const [scores] = graph.node({
    operator: 'FusedMatMul',
    domain: 'com.microsoft',
    inputs: [queries, corpus],
    outputs: [{ dtype: 'float32', shape: ['queries', 'rows'] }],
    attributes: { transB: 1 },
  });
  const scaled = () => operations.multiply(scores!, graph.input('scales', 'float32', ['rows']));
  graph.output('scores', format === 'int8' ? scaled() : scores!);
  return writeOnnxModel(graph, '', new Map());
}

function threadFault(cause: Error | undefined): ResourceError {
  return new ResourceError(`a search thread ended${cause === undefined ? '' : `: ${cause.message}`}`, {
    fix: 'Search with fewer threads or fewer queries at a time; if memory is short, free some.',
    cause,
  });
}
