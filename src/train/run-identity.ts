import { createHash } from 'node:crypto';
import type { Parameters } from '../nn/index.ts';
import { canonicalJson } from '../system/index.ts';
import type { TrainingSettings } from './training-settings.ts';

/** All that decides the outcome of a run; two runs of one identity end in the same bytes. Plain JSON. */
export interface RunIdentity {
  /** What the caller says of the task: model, adapter, loss. */
  task: unknown;
  /** Names, shapes and values that the run began with. */
  parameters: string;
  train: { examples: number; hash: string };
  dev: { examples: number; hash: string };
  settings: Omit<TrainingSettings, 'saveEvery'>;
}

export function runIdentity(
  task: unknown,
  parameters: Parameters,
  { train, dev }: { train: readonly unknown[]; dev: readonly unknown[] },
  { saveEvery: _changesNothing, ...settings }: TrainingSettings,
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

/** Examples are plain data: texts, numbers, lists, typed arrays, objects of such. */
function hashExamples(examples: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const example of examples) hash.update(`${JSON.stringify(example, plain)}\n`);
  return hash.digest('hex');
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}`;
  return ArrayBuffer.isView(value) ? Array.from(value as Float32Array) : value;
}

/** What differs between two identities, each as `settings.learningRate: 0.1, now 0.2`. */
export function describeChanges(before: unknown, after: unknown, path = ''): string[] {
  if (isObject(before) && isObject(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) => describeChanges(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  const [old, now] = [show(before), show(after)];
  return old === now ? [] : [`${path}: ${old}, now ${now}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const LONGEST_VALUE = 60;

function show(value: unknown): string {
  const text = value === undefined ? 'none' : canonicalJson(value);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
}
