import type { Dtype, TensorData } from './graph.ts';

/** A tensor with its numbers, row-major. */
export interface Value {
  dtype: Exclude<Dtype, 'bool'>;
  shape: readonly number[];
  data: TensorData;
}
export type Values = Record<string, Value>;

/** Where the runtime computes; every device except the CPU needs a runtime that was built with it. */
export const DEVICES = ['cpu', 'cuda', 'webgpu', 'coreml', 'dml'] as const;
export type Device = (typeof DEVICES)[number];

/** How a worker opens its sessions. */
export interface SessionSettings {
  /** Threads inside each operation. */
  threads: number;
  /** Whether the runtime may keep a second copy of the matrices, arranged for speed. */
  prepack: boolean;
  /** Whether a session keeps the memory of its intermediate results for the next run. */
  arena: boolean;
  device: Device;
}

/** The start message of a worker. */
export interface WorkerStart extends SessionSettings {
  /** The models by name, in files or as they are; each is loaded at its first use. */
  files: Readonly<Record<string, string | Uint8Array>>;
}

/** A request to the worker: run a model on these inputs. */
export interface RunRequest {
  model: string;
  feeds: Values;
  /** Memory for all results of a model that can fill it; the answer then holds none. */
  results?: Values | undefined;
}

/** A request to the worker: load these models now. The answer has no results. */
export interface LoadRequest {
  load: readonly string[];
}

/**
 * The first result of a graph that fills memory of the caller's: an empty list. The runtime's binding copies results one by one, in
 * the model's order, even those that it was given memory for, and ends with an error at one that is no tensor. So a run that asks
 * for this one computes everything and copies nothing (see `runtime-worker.ts`).
 */
export const END = 'end';
