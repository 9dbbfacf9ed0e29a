import { expect, it } from 'vitest';
import { ThreadChoice } from './thread-choice.ts';

function tryOut(threads: number, steps: number, stepTime: (threads: number, step: number) => number) {
  const choice = new ThreadChoice(threads);
  const used: number[] = [];
  for (let step = 0; step < steps; step++) {
    used.push(choice.threads);
    choice.record(stepTime(choice.threads, step));
  }
  return used;
}

it('keeps the number of threads that is faster, after trying both', () => {
  expect(tryOut(8, 12, (threads) => (threads === 1 ? 10 : 15)).slice(8)).toEqual([1, 1, 1, 1]);
  expect(tryOut(8, 12, (threads) => (threads === 1 ? 15 : 10)).slice(8)).toEqual([8, 8, 8, 8]);
  expect(tryOut(8, 8, () => 1).sort()).toEqual([1, 1, 1, 1, 8, 8, 8, 8]);
});

it('uses one thread if several are hardly faster', () => {
  expect(tryOut(2, 12, (threads) => (threads === 1 ? 12 : 11)).at(-1)).toBe(1);
});

it('is not misled by one slow step, and tries again later', () => {
  expect(tryOut(2, 12, (threads, step) => (step === 0 ? 300 : threads === 1 ? 15 : 10)).at(-1)).toBe(2);
  const used = tryOut(2, 160, (threads, step) => (threads === 1 ? 15 : step < 100 ? 10 : 200));
  expect([used[100], used.at(-1)]).toEqual([2, 1]);
});

it('tries nothing if there is only one thread', () => {
  expect(new Set(tryOut(1, 12, () => 5))).toEqual(new Set([1]));
});
