import { createHash } from 'node:crypto';
import type { Parameters } from '../../nn/index.ts';
import type { TrainingSettings } from './training-settings.ts';

/**
 * SHA-256 of a list, as of a file with one line per member. It is computed member by member because the text of a
 * hundred thousand pairs exceeds the maximum length of a string.
 */
export function hashList<T>(members: Iterable<T>, lineOf: (member: T) => string): string {
  const hash = createHash('sha256');
  for (const member of members) hash.update(`${lineOf(member)}\n`);
  return hash.digest('hex');
}

/** Everything that determines the result of a run. Two runs with equal identities end in the same bytes. Plain JSON. */
export interface RunIdentity {
  /** The caller's description of the task: model, adapter, loss. */
  task: unknown;
  /** Hash of the initial names, shapes and values. */
  parameters: string;
  train: { examples: number; hash: string };
  dev: { examples: number; hash: string };
  settings: Omit<TrainingSettings, 'saveSteps'>;
}

export function runIdentity(
  task: unknown,
  parameters: Parameters,
  { train, dev }: { train: readonly unknown[]; dev: readonly unknown[] },
  { saveSteps: _changesNothing, ...settings }: TrainingSettings,
): RunIdentity {
  return {
    task,
    parameters: hashParameters(parameters),
    train: { examples: train.length, hash: hashExamples(train) },
    dev: { examples: dev.length, hash: hashExamples(dev) },
    settings,
  };
}

function hashParameters(parameters: Parameters): string {
  const hash = createHash('sha256');
  for (const name of parameters.names()) {
    const { buffer, byteOffset, byteLength } = parameters.get(name);
    hash.update(JSON.stringify([name, parameters.shape(name)])).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}

/** SHA-256 of examples, which are plain data: strings, numbers, lists, typed arrays, and objects of these. */
export function hashExamples(examples: readonly unknown[]): string {
  return hashList(examples, (example) => JSON.stringify(example, plain));
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}`;
  return ArrayBuffer.isView(value) ? Array.from(value as Float32Array) : value;
}
