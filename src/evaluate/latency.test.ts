import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ExpandedQuery, Retriever } from '../retrieve/index.ts';
import { AbortedError } from '../system/index.ts';
import { measureLatencies } from './latency.ts';
import type { Topics } from './topics.ts';

let now = 0;
beforeEach(() => {
  now = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** An arm whose searches take these times in turn, the last one from then on; it writes down what it searches. */
function arm(name: string, queries: number, times: number[], log: string[] = []) {
  const searched: object[] = [];
  const retrieve = async (batch: readonly ExpandedQuery[], options: object) => {
    now += times[Math.min(searched.length, times.length - 1)]!;
    searched.push(options);
    log.push(...batch.map(({ id }) => `${name} ${id}`));
    return { run: new Map(), encodeMilliseconds: 0, searchMilliseconds: 0 };
  };
  const topics: Topics = {
    ...{ dataset: 'toy', split: 'test', qrels: new Map() },
    queries: Array.from({ length: queries }, (_none, at) => ({ id: `q${at}`, text: 'saw', expansions: [] })),
  };
  return { name, topics, searched, retriever: { retrieve } as unknown as Retriever };
}

const OPTIONS = { depth: 7, dropSelf: true };

describe('the time of a query', () => {
  it('is the median after a warm-up of three', async () => {
    // 900 each while it warms up, then 3, 1, 2, 50, 4: sorted 1 2 3 4 50.
    const odd = arm('odd', 5, [900, 900, 900, 3, 1, 2, 50, 4]);
    expect(await measureLatencies([odd], OPTIONS)).toEqual(new Map([['odd', 3]]));
    // Four: 3, 1, 2, 50: between 2 and 3. Numbers, not words: 50 is larger than 9.
    expect((await measureLatencies([arm('even', 4, [900, 900, 900, 3, 1, 2, 50])], OPTIONS)).get('even')).toBe(2.5);
    expect((await measureLatencies([arm('a', 3, [900, 900, 900, 50, 9, 100])], OPTIONS)).get('a')).toBe(50);
  });

  it('is taken one query at a time, the arms in turn, under the options of the search', async () => {
    const log: string[] = [];
    const [a, b] = [arm('a', 2, [1], log), arm('b', 2, [1], log)];
    await measureLatencies([a, b], OPTIONS);
    const round = ['a q0', 'b q0', 'a q1', 'b q1'];
    expect(log).toEqual([...round, ...round]);
    expect(a.searched[0]).toEqual({ depth: 7, dropSelf: true, signal: undefined });
  });

  it('is of 25 queries at most, and of as many as the smallest arm has', async () => {
    const large = arm('large', 100, [1]);
    await measureLatencies([large], OPTIONS);
    expect(large.searched).toHaveLength(3 + 25);
    const [one, two] = [arm('one', 30, [1]), arm('two', 4, [1])];
    await measureLatencies([one, two], OPTIONS);
    expect(one.searched).toHaveLength(3 + 4);
    expect(await measureLatencies([arm('none', 0, [1])], OPTIONS)).toEqual(new Map([['none', 0]]));
  });

  it('is of fewer queries if they are slow, but of three at least; the warm-up does not count', async () => {
    const slow = arm('slow', 25, [10_000, 10_000, 10_000, 9000]);
    expect((await measureLatencies([slow], OPTIONS)).get('slow')).toBe(9000);
    expect(slow.searched).toHaveLength(3 + 3);
    // 1,500 each: 6,000 are used up after four, and not yet exceeded; the fifth exceeds them.
    const middling = arm('middling', 25, [1500]);
    await measureLatencies([middling], OPTIONS);
    expect(middling.searched).toHaveLength(3 + 5);
  });

  it('can be stopped', async () => {
    const stopped = arm('stopped', 5, [1]);
    const measured = measureLatencies([stopped], { ...OPTIONS, signal: AbortSignal.abort() });
    await expect(measured).rejects.toBeInstanceOf(AbortedError);
    expect(stopped.searched).toEqual([]);
  });
});
