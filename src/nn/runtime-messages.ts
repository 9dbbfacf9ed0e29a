import type { Dtype, TensorData } from './graph.ts';

/** A tensor with its numbers, row-major. */
export interface Value {
  dtype: Exclude<Dtype, 'bool'>;
  shape: readonly number[];
  data: TensorData;
}
export type Values = Record<string, Value>;

/** Where the runtime computes; all but the processor need a runtime that was built with it. */
export const DEVICES = ['cpu', 'cuda', 'webgpu', 'coreml', 'dml'] as const;
export type Device = (typeof DEVICES)[number];

/** How a worker's sessions are opened. */
export interface SessionSettings {
  /** Threads inside each operation. */
  threads: number;
  /** Whether the runtime may keep a second copy of the matrices, arranged for speed. */
  prepack: boolean;
  /** Whether a session keeps the memory of its intermediate results for the next run. */
  arena: boolean;
  device: Device;
}

/** What a worker is started with. */
export interface WorkerStart extends SessionSettings {
  /** Models by name; each is loaded when it is first asked for, but for `eager` ones. */
  files: Readonly<Record<string, string>>;
  eager: boolean;
  /** Not 0: what still waits is no longer wanted // [1], shared by all workers */
  stop: Int32Array;
}

/** To the worker: run a model on these inputs. */
export interface RunRequest {
  id: number;
  model: string;
  feeds: Values;
  /** Whether the inputs are to come back with the results. */
  lent: boolean;
}

/** To the worker: end when the run at hand has ended. */
export type WorkerRequest = RunRequest | 'close';

/** From the worker. `id` 0 tells that the worker is ready, or could not load its models. */
export type RunReply =
  | { id: number; results: Values; feeds: Values | undefined }
  | { id: number; failure: string; feeds: Values | undefined };
