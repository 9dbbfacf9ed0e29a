import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Graph, type TensorData, writeOnnxModel } from '../src/nn/index.ts';
import { threadCount } from './harness.ts';

/** Size of a product large enough for full speed: [ROWS, INNER] · [INNER, COLUMNS]. */
const ROWS = 1024;
const INNER = 4096;
const COLUMNS = 1024;
const RUNS = 12;

/** Operations per second of the machine's best matrix product. */
export interface MatrixSpeed {
  f32: number;
  int8: number;
}

let measured: Promise<MatrixSpeed> | undefined;

/**
 * Returns the limit for everything built on matrix products: the runtime's own product of two large matrices, the best of several
 * runs, on all threads, for 32-bit floats and for bytes. Measured once per run of the benchmark.
 */
export function matrixSpeed(): Promise<MatrixSpeed> {
  measured ??= measure();
  return measured;
}

async function measure(): Promise<MatrixSpeed> {
  const f32 = await speedOf(
    'MatMul',
    new Float32Array(ROWS * INNER).fill(0.5),
    new Float32Array(INNER * COLUMNS).fill(0.5),
  );
  const int8 = await speedOf(
    'MatMulInteger',
    new Uint8Array(ROWS * INNER).fill(3),
    new Int8Array(INNER * COLUMNS).fill(2),
  );
  return { f32, int8 };
}

async function speedOf(operator: string, left: Float32Array | Uint8Array, right: TensorData): Promise<number> {
  const dtype = left instanceof Float32Array ? 'float32' : 'uint8';
  const graph = new Graph();
  const input = graph.input('left', dtype, [ROWS, INNER]);
  const [product] = graph.node({
    operator,
    inputs: [input, graph.constant(right, [INNER, COLUMNS])],
    outputs: [{ dtype: dtype === 'uint8' ? 'int32' : 'float32', shape: [ROWS, COLUMNS] }],
  });
  graph.output('product', product!);
  const session = await InferenceSession.create(writeOnnxModel(graph, '', new Map()), {
    intraOpNumThreads: threadCount(),
    logSeverityLevel: 3,
  });
  const feeds = { left: new Tensor(dtype, left as Float32Array, [ROWS, INNER]) };
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    await session.run(feeds);
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  await session.release();
  return (2 * ROWS * INNER * COLUMNS) / best;
}
