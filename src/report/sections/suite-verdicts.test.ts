import { describe, expect, it } from 'vitest';
import type { SuiteData, SuiteMeta, SuiteOverall } from '../suite-data.ts';
import { suiteVerdicts, verdictList } from './suite-verdicts.ts';

const overallOf = (facts: Partial<SuiteOverall>): SuiteOverall => {
  return {
    ...{ arm: 'rm3', baseline: 'raw', measure: 'nDCG@10', delta: 0.02, interval: [0.01, 0.03] as [number, number] },
    ...{ tTest: 0.001, randomization: 0.001, helped: 60, hurt: 20, unchanged: 20, sets: ['a', 'b', 'c'] },
    ...facts,
  };
};
const metaOf = (facts: Partial<SuiteMeta>): SuiteMeta => {
  return {
    ...{ system: 'rm3', studies: 3, effect: 0.02, standardError: 0.01, interval: { low: 0.001, high: 0.04 }, p: 0.03 },
    ...{ tauSquared: 0, q: 1, iSquared: 0, prediction: undefined, unchanged: [] },
    ...facts,
  };
};
const row = (name: string) => ({ name, documents: 9, queries: 5, cells: {} });
const dataOf = (overall: SuiteOverall[], meta: SuiteMeta[] = [metaOf({})]): SuiteData => {
  return {
    ...{ suite: 's', measure: 'nDCG@10', baseline: 'raw', rows: ['a', 'b', 'c'].map(row), means: [], overall, meta },
    systems: ['raw', 'rm3'].map((name) => ({ name, description: 'bm25', expanded: false })),
    ...{ parity: [], failures: [], remarks: [] },
  };
};
const verdictOf = (facts: Partial<SuiteOverall>, meta?: SuiteMeta[]) =>
  suiteVerdicts(dataOf([overallOf(facts)], meta))[0]!;

describe('suiteVerdicts', () => {
  it.each([
    ['gain', {}, 'rm3 helps'],
    ['loss', { delta: -0.02, interval: [-0.03, -0.01] as [number, number] }, 'rm3 hurts'],
    ['none', { randomization: 0.3, interval: [-0.01, 0.05] as [number, number] }, 'rm3 cannot be told apart from raw'],
    ['none', { holm: 0.2 }, 'rm3 cannot be told apart from raw'],
    ['few', { helped: 8, hurt: 2, unchanged: 0 }, 'rm3: too few queries to tell it from raw'],
    ['same', { helped: 0, hurt: 0, delta: 0 }, 'rm3 changes nothing against raw'],
  ])('says in a sentence that it is a %s: %j', (kind, facts, claim) => {
    expect(verdictOf(facts)).toMatchObject({ kind, claim });
  });

  it('gives change, interval, p and counts, and then what holds for other sets', () => {
    expect(verdictOf({}).reasons).toEqual([
      'Over 100 queries of all 3 sets, nDCG@10 changes by +0.0200 on average (95 % interval +0.0100 to +0.0300, p 0.0010); 60 queries are helped, 20 hurt.',
      'Random effects over 3 sets: +0.0200 (+0.0010 to +0.0400, p 0.0300): sets like these are likely to show a gain too.',
    ]);
    expect(verdictOf({ holm: 0.002 }).reasons[0]).toContain('p 0.0010, 0.0020 corrected for 1 system');
  });

  it.each([
    ['three sets that differ', [metaOf({ p: 0.2 })], 'for other sets, no effect is shown'],
    ['two sets', [metaOf({ studies: 2, interval: undefined, p: undefined })], 'that needs at least 3 sets'],
    ['one set', [], 'One set says nothing of other sets.'],
  ])('does not speak for other sets after %s', (_name, meta, words) => {
    const sets = ['a', 'b', 'c'].slice(0, meta[0]?.studies ?? 1);
    expect(verdictOf({ sets }, meta).reasons.at(-1)).toContain(words);
  });

  it('explains why so few queries show nothing', () => {
    expect(verdictOf({ helped: 8, hurt: 2, unchanged: 0 }).reasons[1]).toMatch(/^Fewer than 20 queries show nothing/);
    const some = verdictOf({ helped: 20, hurt: 5, unchanged: 5, randomization: 0.02 });
    expect(some.reasons[1]).toBe('With fewer than 50 queries, a change counts only if p is below 0.01.');
  });

  it('has nothing to say of a system that failed everywhere', () => {
    expect(suiteVerdicts(dataOf([]))).toMatchObject([{ kind: 'failed', claim: 'rm3 cannot be compared with raw' }]);
  });

  it('lists the baseline first, and escapes names', () => {
    const text = verdictList(dataOf([overallOf({})])).text;
    expect(text).toMatch(
      /^<ul class="verdicts"><li class="base"><b>raw: the baseline<\/b>.*<li class="gain"><b>rm3 helps</s,
    );
  });
});
