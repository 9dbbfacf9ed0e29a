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
  /** Models by name; each is loaded when it is first asked for. */
  files: Readonly<Record<string, string>>;
}

/** To the worker: run a model on these inputs. */
export interface RunRequest {
  model: string;
  feeds: Values;
}

/** To the worker: load these models now; answered without results. */
export interface LoadRequest {
  load: readonly string[];
}
