import { createContext, Script } from 'node:vm';

/** Any real chat template renders within a few milliseconds. */
const MAX_MILLISECONDS = 3000;

const room = createContext({ work: undefined as (() => void) | undefined });
const call = new Script('work()');

/**
 * Runs untrusted synchronous work, and stops it if it takes too long.
 * @throws Error if it was stopped; whatever the work throws
 */
export function runBounded<T>(work: () => T, milliseconds = MAX_MILLISECONDS): T {
  let result: { value: T } | undefined;
  room.work = () => {
    result = { value: work() };
  };
  try {
    call.runInContext(room, { timeout: milliseconds });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Error(`rendering takes more than ${milliseconds / 1000} seconds`);
  } finally {
    room.work = undefined;
  }
  return result!.value;
}

/** Longer than any range in a real template. */
const MAX_RANGE = 100_000;

/**
 * Jinja's `range`, which lists all its numbers, with a maximum length.
 * @throws Error if the range is longer
 */
export function boundedRange(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to, by] = typeof stop === 'number' ? [Number(start), stop, Number(step)] : [0, Number(start), 1];
  const length = by === 0 ? Number.NaN : Math.max(0, Math.ceil((to - from) / by));
  if (!(length <= MAX_RANGE)) throw new Error(`range(${[from, to, by].join(', ')}) is too long`);
  return Array.from({ length }, (_none, row) => from + row * by);
}
