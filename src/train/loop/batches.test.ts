import { describe, expect, test } from 'vitest';
import { Random } from '../../system/index.ts';
import { BatchPlan, cutMicroBatches, examplesTaken } from './batches.ts';

describe('the order of examples', () => {
  const sorted = (numbers: number[]) => numbers.sort((a, b) => a - b);
  const epoch = (plan: BatchPlan, from: number) =>
    Array.from({ length: plan.stepsPerEpoch }, (_, step) => [...plan.batch(from + step)]);

  test('holds each once an epoch, the last batch smaller, each epoch in another order', () => {
    const plan = new BatchPlan(10, { batchSize: 4, seed: 1 });
    expect(plan.stepsPerEpoch).toBe(3);
    const first = epoch(plan, 0);
    const second = epoch(plan, 3);
    expect(first.map((batch) => batch.length)).toEqual([4, 4, 2]);
    expect(sorted(first.flat())).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(sorted(second.flat())).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(first).not.toEqual(second);
  });

  test('depends only on seed and step, not on earlier calls', () => {
    const asked = new BatchPlan(100, { batchSize: 8, seed: 7 });
    for (let step = 0; step < 40; step++) asked.batch(step);
    expect([...asked.batch(29)]).toEqual([...new BatchPlan(100, { batchSize: 8, seed: 7 }).batch(29)]);
    expect([...asked.batch(29)]).not.toEqual([...new BatchPlan(100, { batchSize: 8, seed: 8 }).batch(29)]);
  });
});

describe('the examples that a run takes', () => {
  const taken = (examples: number, more: { maxSteps?: number; epochs?: number }) =>
    examplesTaken(examples, { epochs: 1, batchSize: 4, seed: 1, ...more });

  test.each([
    [10, { maxSteps: 1 }, 4],
    [10, { maxSteps: 2 }, 8],
    [10, { maxSteps: 3 }, 10],
    [10, { maxSteps: 300 }, 10],
    [10, { epochs: 0.5 }, 8],
    [10, { epochs: 2 }, 10],
    [3, { maxSteps: 1 }, 3],
    [0, { maxSteps: 1 }, 0],
  ])('of %i with %j are %i', (examples, more, count) => {
    expect(taken(examples, more).size).toBe(count);
  });

  test('are those of its steps', () => {
    const plan = new BatchPlan(100, { batchSize: 4, seed: 1 });
    expect([...taken(100, { maxSteps: 2 })]).toEqual([...plan.batch(0), ...plan.batch(1)]);
  });
});

describe('micro-batches', () => {
  const random = new Random(3);
  const lengths = Array.from({ length: 200 }, () => 1 + random.below(100));
  const cut = (batch: number[], tokens: number | undefined, packed: boolean) =>
    cutMicroBatches(batch, (length) => length, { tokens, packed });
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

  test('hold every example once, the longest first', () => {
    const cuts = cut(lengths, 128, false);
    expect(cuts.flat()).toEqual([...lengths].sort((a, b) => b - a));
  });

  test('stay within the budget: padded by their longest, packed by their sum', () => {
    const padded = cut(lengths, 128, false);
    const packed = cut(lengths, 128, true);
    for (const one of padded) expect(one.length * Math.max(...one)).toBeLessThanOrEqual(128);
    for (const one of packed) expect(sum(one)).toBeLessThanOrEqual(128);
    expect(packed.length).toBeLessThan(padded.length);
    // None has room for the first of the next.
    for (const one of padded.slice(0, -1)) expect((one.length + 1) * one[0]!).toBeGreaterThan(128);
    for (const [i, one] of packed.slice(0, -1).entries()) expect(sum(one) + packed[i + 1]![0]!).toBeGreaterThan(128);
  });

  test('an example above the budget stands alone; without a budget nothing is cut', () => {
    expect(cut([5, 300, 4, 200], 100, false)).toEqual([[300], [200], [5, 4]]);
    expect(cut([5, 300, 4, 200], 100, true)).toEqual([[300], [200], [5, 4]]);
    expect(cut([5, 300, 4], undefined, false)).toEqual([[300, 5, 4]]);
    expect(cut([], 100, false)).toEqual([]);
  });
});
