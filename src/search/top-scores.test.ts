import { describe, expect, it } from 'vitest';
import { Random } from '../system/index.ts';
import { TopScores } from './top-scores.ts';

describe('the best scores of many', () => {
  it.each([1, 2, 10, 100, 1000])('are those that sorting all finds (k = %i)', (k) => {
    const random = new Random(k);
    const top = new TopScores(k, 'number');
    for (let round = 0; round < 4; round++) {
      const all = Array.from({ length: 5000 }, (_nothing, number) => {
        // Rounds with many ties, few ties, ascending and descending scores, negative ones too.
        const drawn = [Math.round(random.normal() * 3), Math.fround(random.normal()), number - 2000, -number][round]!;
        return { score: drawn, number: (number * 3559) % 5000 };
      });
      for (const { score, number } of all) top.offer(score, number);
      const best = all.sort((a, b) => b.score - a.score || a.number - b.number).slice(0, k);
      const { scores, numbers } = top.take();
      expect([...numbers]).toEqual(best.map(({ number }) => number));
      expect([...scores]).toEqual(best.map(({ score }) => score + 0));
    }
  });

  it('keep all ties with the last if they fit, and report if they do not', () => {
    const top = new TopScores(10, 'keep');
    for (let number = 0; number < 20; number++) top.offer(1, number);
    expect(top.take().numbers).toHaveLength(20);
    expect(top.overflowed).toBe(false);
    for (let number = 0; number < 5000; number++) top.offer(1, number);
    expect(top.take().numbers).toHaveLength(10);
    expect(top.overflowed).toBe(true);
  });

  it('leave out what is not a number', () => {
    const top = new TopScores(3, 'number');
    for (const score of [Number.NaN, 1, Number.NaN, -0, 0]) top.offer(score, 5);
    expect([...top.take().scores]).toEqual([1, 0, 0]);
  });
});
