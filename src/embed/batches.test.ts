import { describe, expect, test } from 'vitest';
import { Random } from '../system/index.ts';
import { planAlike, planBatches, windows } from './batches.ts';

describe('planBatches', () => {
  const random = new Random(1);
  const lengths = Array.from({ length: 3000 }, () => 2 + random.below(255));

  test('holds every text once', () => {
    const all = planBatches(lengths).flatMap(({ texts }) => texts);
    expect(all.sort((a, b) => a - b)).toEqual(lengths.map((_, index) => index));
  });

  test('adds almost no padding', () => {
    const padded = planBatches(lengths).reduce((sum, { texts, longest }) => sum + texts.length * longest, 0);
    expect(padded / lengths.reduce((a, b) => a + b)).toBeLessThan(1.01);
  });

  test('keeps batches within the budget, and gives a longer text its own batch', () => {
    for (const { texts, longest } of planBatches(lengths)) expect(texts.length * longest).toBeLessThanOrEqual(1024);
    expect(planBatches([3, 4000, 3])[0]).toEqual({ texts: [1], longest: 4000 });
  });

  test('splits a short list so that threads can share it', () => {
    expect(planBatches(new Array(64).fill(16))).toHaveLength(4);
    expect(planBatches([])).toEqual([]);
  });
});

describe('windows', () => {
  test('ends at 2048 texts', () => {
    const texts = new Array(5000).fill('short');
    expect([...windows(texts)].map(({ start, end }) => end - start)).toEqual([2048, 2048, 904]);
  });

  test('ends at a million characters, but accepts a longer text', () => {
    const texts = ['a'.repeat(600_000), 'b'.repeat(600_000), 'c'.repeat(3_000_000), 'd'];
    expect([...windows(texts)]).toEqual([
      { start: 0, end: 1 },
      { start: 1, end: 2 },
      { start: 2, end: 3 },
      { start: 3, end: 4 },
    ]);
    expect([...windows([])]).toEqual([]);
  });
});

describe('planAlike', () => {
  const lengths = Array.from({ length: 700 }, (_none, at) => 2 + ((at * 37) % 255));
  const options = { longest: 256, alone: false };

  test('pads each text by its own length only, and by little', () => {
    const padded = (list: readonly number[]) => {
      const found: number[] = [];
      for (const { texts, longest } of planAlike(list, options)) for (const text of texts) found[text] = longest;
      return found;
    };
    const all = padded(lengths);
    expect(lengths.map((length) => padded([length])[0])).toEqual(all);
    for (const [at, length] of lengths.entries())
      expect(all[at]! - length).toBeLessThanOrEqual(Math.max(0, length / 8));
    expect(padded([253])).toEqual([256]);
    expect(planAlike([253], { longest: 254, alone: false })[0]!.longest).toBe(254);
  });

  test('holds every text once, in batches within the budget', () => {
    const plan = planAlike(lengths, options);
    expect(plan.flatMap(({ texts }) => texts).sort((a, b) => a - b)).toEqual(lengths.map((_length, at) => at));
    for (const { texts, longest } of plan) expect(texts.length * longest).toBeLessThanOrEqual(1024);
    expect(plan.length).toBeLessThan(200);
    expect(planAlike([], options)).toEqual([]);
  });

  test('or gives each text its own batch', () => {
    expect(planAlike([5, 5, 9], { longest: 256, alone: true }).map(({ texts }) => texts)).toEqual([[2], [0], [1]]);
  });
});
