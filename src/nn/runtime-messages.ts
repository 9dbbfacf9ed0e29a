import type { Dtype, TensorData } from './graph.ts';

/** A tensor with its numbers, row-major. */
export interface Value {
  dtype: Exclude<Dtype, 'bool'>;
  shape: readonly number[];
  data: TensorData;
}
export type Values = Record<string, Value>;

/** What a worker is started with. */
export interface WorkerStart {
  file: string;
  threads: number;
  /** Whether the runtime may keep a second copy of the matrices, arranged for speed. */
  prepack: boolean;
  /** Not 0: what still waits is no longer wanted // [1], shared by all workers */
  stop: Int32Array;
}

/** To the worker: run the model on these inputs. */
export interface RunRequest {
  id: number;
  feeds: Values;
}

/** To the worker: end when the run at hand has ended. */
export type WorkerRequest = RunRequest | 'close';

/** From the worker. `id` 0 tells that the model is loaded, or could not be. */
export type RunReply = { id: number; results: Values } | { id: number; failure: string };
