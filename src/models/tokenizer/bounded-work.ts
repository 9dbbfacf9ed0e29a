import { createContext, Script } from 'node:vm';

/** Any real chat template renders within a few milliseconds. */
const MOST_MILLISECONDS = 3000;

const room = createContext({ work: undefined as (() => void) | undefined });
const call = new Script('work()');

/**
 * Runs synchronous work of untrusted making, and stops it when it takes too long, wherever it is.
 * @throws Error where it was stopped; what the work throws
 */
export function runBounded<T>(work: () => T, milliseconds = MOST_MILLISECONDS): T {
  let result: { value: T } | undefined;
  room.work = () => {
    result = { value: work() };
  };
  try {
    call.runInContext(room, { timeout: milliseconds });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Error(`it takes longer than ${milliseconds / 1000} seconds`);
  } finally {
    room.work = undefined;
  }
  return result!.value;
}

/** More numbers than any template counts to. */
const LONGEST_RANGE = 100_000;

/**
 * Jinja's `range`, with a bound: it makes a list of all its numbers.
 * @throws Error for a range that is longer
 */
export function boundedRange(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to, by] = typeof stop === 'number' ? [Number(start), stop, Number(step)] : [0, Number(start), 1];
  const length = by === 0 ? Number.NaN : Math.max(0, Math.ceil((to - from) / by));
  if (!(length <= LONGEST_RANGE)) throw new Error(`range(${[from, to, by].join(', ')}) is too long`);
  return Array.from({ length }, (_none, row) => from + row * by);
}
