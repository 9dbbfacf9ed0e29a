import { describe, expect, it } from 'vitest';
import { Random } from '../../system/index.ts';
import { type Choosable, choosePairs } from './choose-pairs.ts';
import { describe as distributionOf, quantile } from './distribution.ts';
import { drawPairs } from './draw.ts';
import { defaultPairSettings } from './pair-settings.ts';
import { GoldWords, wordsOf } from './quoting.ts';

function candidates(...given: [text: string, reward: number, quotes?: boolean][]): Choosable[] {
  return given.map(([text, reward, quotes = false], index) => ({
    id: `q#${index}`,
    index,
    text,
    words: wordsOf(text),
    reward,
    quotes,
  }));
}

function chosen(list: Choosable[], settings: Parameters<typeof defaultPairSettings>[0] = {}) {
  const { pairs, reason } = choosePairs(list, defaultPairSettings(settings));
  return reason ?? pairs.map((pair) => `${pair.chosen.index}>${pair.rejected.index}`);
}

describe('choosePairs', () => {
  it('pairs the best with the worst, and the lower index wins if rewards tie', () => {
    expect(chosen(candidates(['a', 0.2], ['b', 2], ['c', 0.1], ['d', 2], ['e', 0.1]))).toEqual(['1>2']);
  });

  it('takes several pairs, each candidate once', () => {
    const list = candidates(['a', 5], ['b', 4], ['c', 3], ['d', 2], ['e', 1]);
    expect(chosen(list, { pairsPerQuery: 9 })).toEqual(['0>4', '1>3']);
  });

  it('counts equal texts once, as their first', () => {
    expect(chosen(candidates(['a', 1], ['a', 1], ['b', 3], ['b', 3]), { pairsPerQuery: 4 })).toEqual(['2>0']);
    expect(chosen(candidates(['a', 1], ['a', 1]))).toBe('fewer than two distinct texts');
    expect(chosen([])).toBe('fewer than two distinct texts');
  });

  it('never pairs equal rewards', () => {
    expect(chosen(candidates(['a', 1], ['b', 1]))).toBe('all rewards equal');
  });

  it('requires the minimum margin', () => {
    const list = candidates(['a', 1], ['b', 0.5], ['c', 0.25], ['d', 0.9]);
    expect(chosen(list, { minMargin: 0.75 })).toEqual(['0>2']);
    expect(chosen(list, { minMargin: 0.4, pairsPerQuery: 3 })).toEqual(['0>2', '3>1']);
    expect(chosen(list, { minMargin: 0.8 })).toBe('margin below the minimum');
  });

  it('matches lengths by the largest margin that fits', () => {
    const list = candidates(['one two three four', 3], ['x', 0], ['five six seven', 1]);
    expect(chosen(list, { maxLengthRatio: 1.5 })).toEqual(['0>2']);
    expect(chosen(list, { maxLengthRatio: 1.2 })).toBe('no two sides of similar length');
    expect(chosen(list)).toEqual(['0>1']);
    // Four words against three: the ratio that is asked for is allowed.
    expect(chosen(list, { maxLengthRatio: 4 / 3 })).toEqual(['0>2']);
  });

  it('skips near duplicates', () => {
    const list = candidates(['a saw cuts wood', 2], ['A saw cuts wood!', 0], ['a saw cuts metal', 1]);
    expect(chosen(list, { maxOverlap: 0.9 })).toEqual(['0>2']);
    expect(chosen(list.slice(0, 2), { maxOverlap: 0.9 })).toBe('sides too similar');
    // "a saw cuts" of five distinct words: 3/5 is allowed if it is asked for.
    expect(chosen([list[0]!, list[2]!], { maxOverlap: 3 / 5 })).toEqual(['0>2']);
    expect(chosen([list[0]!, list[2]!], { maxOverlap: 0.59 })).toBe('sides too similar');
  });

  it('does not choose what quotes the gold document, but may reject it', () => {
    const list = candidates(['a', 3, true], ['b', 2], ['c', 1, true]);
    expect(chosen(list, { dropQuotes: true })).toEqual(['1>2']);
    expect(chosen(list.slice(0, 1).concat(list.slice(2)), { dropQuotes: true })).toBe(
      'chosen side quotes the gold document',
    );
  });

  it('does not depend on the order, except if rewards tie', () => {
    const random = new Random(3);
    const list = candidates(
      ...Array.from({ length: 12 }, (_one, at): [string, number] => [`t${at}`, random.uniform()]),
    );
    const pairs = (order: Choosable[]) => chosen(order, { pairsPerQuery: 4, minMargin: 0.1 });
    const expected = pairs(list);
    for (let round = 0; round < 10; round++) expect(pairs(random.shuffle([...list]))).toEqual(expected);
  });
});

describe('drawPairs', () => {
  const available = new Map(Array.from({ length: 50 }, (_one, at) => [`q${at}`, (at % 3) + 1]));
  const total = [...available.values()].reduce((sum, count) => sum + count, 0);

  it('draws the exact number, by query, whatever the order', () => {
    const settings = { pairs: 40, dev: 10, seed: 42 };
    const draw = drawPairs(available, settings);
    expect(draw.dev).toBe(10);
    expect(draw.train + draw.dev).toBeLessThanOrEqual(40);
    expect(draw.train).toBeGreaterThanOrEqual(28);
    const shuffled = new Map(new Random(1).shuffle([...available]));
    const again = drawPairs(shuffled, settings);
    expect(new Map([...again.parts].sort())).toEqual(new Map([...draw.parts].sort()));
    expect([...drawPairs(available, { ...settings, seed: 43 }).parts.keys()]).not.toEqual([...draw.parts.keys()]);
  });

  it('is exact with one pair per query: 30 of 100, 3 of them dev pairs', () => {
    const single = new Map(Array.from({ length: 100 }, (_one, at) => [`q${at}`, 1]));
    expect(drawPairs(single, { pairs: 30, dev: 0.1, seed: 42 })).toMatchObject({ train: 27, dev: 3 });
  });

  it('takes all if there are fewer, and no dev pairs if asked to', () => {
    const draw = drawPairs(available, { pairs: 1000, dev: 0, seed: 42 });
    expect(draw).toMatchObject({ train: total, dev: 0 });
    expect(() => drawPairs(available, { pairs: 10, dev: 11, seed: 42 })).toThrow(/cannot take 11 of 10/);
  });
});

describe('GoldWords', () => {
  const gold = 'A hand saw with a thin blade in a C-shaped frame, used for cutting metal.';
  const looked = new GoldWords([gold, 'the old harbour of the town'], 'What is a hand saw?');

  it('takes runs of letters and digits as words, in lower case', () => {
    expect(wordsOf('Der 3. C-Schlüssel!')).toEqual(['der', '3', 'c', 'schlüssel']);
    expect(wordsOf('... !')).toEqual([]);
  });

  it('finds eight words in a row, whatever case and punctuation', () => {
    expect(looked.isQuotedIn(wordsOf('It is a saw with A THIN blade - in a C shaped frame.'))).toBe(true);
    expect(looked.isQuotedIn(wordsOf('A saw that has a thin blade in a frame, for cutting metal'))).toBe(false);
  });

  it('finds a shorter document in full', () => {
    expect(looked.isQuotedIn(wordsOf('we saw the old harbour of the town there'))).toBe(true);
    expect(looked.isQuotedIn(wordsOf('the old harbour of the city'))).toBe(false);
    // Four words are enough; three are not.
    expect(new GoldWords(['one small red boat'], 'ship?').isQuotedIn(wordsOf('it is one small red boat'))).toBe(true);
    expect(new GoldWords(['a human being'], 'person?').isQuotedIn(wordsOf('a human being'))).toBe(false);
  });

  it('does not count words of the query', () => {
    const own = new GoldWords(['the capital of France is Paris'], 'Is it true that the capital of France is Paris?');
    expect(own.isQuotedIn(wordsOf('Yes, the capital of France is Paris.'))).toBe(false);
  });

  it('measures the fraction of four-word sequences that occur in the document', () => {
    expect(looked.overlap(wordsOf('with a thin blade in a bow'))).toBeCloseTo(3 / 4, 12);
    expect(looked.overlap(wordsOf('cutting metal'))).toBe(1);
    expect(looked.overlap([])).toBe(0);
    expect(looked.isCopiedIn(wordsOf('A hand saw with a thin blade in a C-shaped frame.'))).toBe(true);
    // Four of the five stretches: all but "thin blade in x".
    expect(looked.isCopiedIn(wordsOf('hand saw with a thin blade in x'))).toBe(true);
    expect(looked.isCopiedIn(wordsOf('hand saw with a thin blade on x'))).toBe(false);
    expect(looked.isCopiedIn(wordsOf('A tool that cuts metal with a thin blade.'))).toBe(false);
  });
});

describe('a distribution', () => {
  it('has quantiles between values and bins of equal width', () => {
    // numpy.quantile([1, 2, 4, 8], [0.1, 0.5, 0.9]) = 1.3, 3, 6.8
    expect(distributionOf([8, 1, 4, 2], 2)).toMatchObject({
      count: 4,
      mean: 3.75,
      min: 1,
      p10: 1.3,
      median: 3,
      max: 8,
    });
    expect(distributionOf([8, 1, 4, 2], 2).p90).toBeCloseTo(6.8, 12);
    expect(distributionOf([8, 1, 4, 2], 2).histogram).toEqual({ from: 1, to: 8, counts: [3, 1] });
    expect(distributionOf([], 2)).toMatchObject({ count: 0, mean: 0, median: 0 });
    expect(quantile([5], 0.3)).toBe(5);
    // The squares of -2.75, -1.75, 0.25 and 4.25 sum to 28.75.
    expect(distributionOf([8, 1, 4, 2]).deviation).toBeCloseTo(Math.sqrt(28.75 / 4), 12);
    expect(distributionOf([])).toMatchObject({ deviation: 0, min: 0, max: 0 });
  });

  it('puts equal values into the first bin, and takes a range for its bins', () => {
    expect(distributionOf([5, 5], 2).histogram).toEqual({ from: 5, to: 5, counts: [2, 0] });
    expect(distributionOf([1, 3], 4, [0, 8]).histogram).toEqual({ from: 0, to: 8, counts: [1, 1, 0, 0] });
  });
});
