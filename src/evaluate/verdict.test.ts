import { describe, expect, it } from 'vitest';
import { type Judgeable, measureInWords, verdictOn } from './verdict.ts';

const compared = (changes: Partial<Judgeable>): Judgeable => ({
  ...{ measure: 'nDCG@10', delta: 0.04, interval: [0.01, 0.07], randomization: 0.006 },
  ...{ helped: 62, hurt: 38, unchanged: 100, ...changes },
});
const loss = { delta: -0.04, interval: [-0.07, -0.01] as [number, number] };

describe('a verdict', () => {
  it.each([
    ['a clear gain', {}, 'gain', 'helped 62 queries, hurt 38 of 200: a real gain'],
    ['a clear loss', { ...loss, helped: 38, hurt: 62 }, 'loss', 'helped 38 queries, hurt 62 of 200: a real loss'],
    ['a p that is too large', { randomization: 0.05 }, 'none', 'of 200: no difference shown'],
    ['a p just below', { randomization: 0.0499 }, 'gain', 'a real gain'],
    ['an interval that holds 0, against p', { interval: [-0.001, 0.08] }, 'none', 'no difference shown'],
    ['a p that Holm makes too large', { holm: 0.06 }, 'none', 'no difference shown'],
    ['a Holm-corrected p that is small enough', { holm: 0.03 }, 'gain', 'a real gain'],
    [
      'few queries',
      { ...loss, randomization: 0.03, helped: 5, hurt: 14, unchanged: 21 },
      'few',
      'of 40: too few queries to tell',
    ],
    [
      'few queries, and all changed',
      { helped: 40, hurt: 3, unchanged: 0, randomization: 0.0001 },
      'gain',
      'of 43: a real gain',
    ],
    [
      'so few that nothing counts',
      { helped: 19, hurt: 0, unchanged: 0, randomization: 0 },
      'few',
      'too few queries to tell',
    ],
    ['an interval that begins at 0', { interval: [0, 0.08] }, 'none', 'no difference shown'],
    ['an interval that ends at 0', { ...loss, interval: [-0.08, 0] }, 'none', 'no difference shown'],
    [
      'as few as count at all',
      { helped: 20, hurt: 0, unchanged: 0, randomization: 0.0099 },
      'gain',
      'of 20: a real gain',
    ],
    [
      'few queries, and a p that is not strict',
      { helped: 20, hurt: 0, unchanged: 0, randomization: 0.01 },
      'few',
      'of 20',
    ],
    ['50 queries', { helped: 20, hurt: 10, unchanged: 20, randomization: 0.3 }, 'none', 'of 50: no difference shown'],
    [
      'one query',
      { helped: 1, hurt: 0, unchanged: 0, randomization: 1 },
      'few',
      'helped 1 query, hurt 0 of 1: too few',
    ],
    [
      'nothing changed',
      { delta: 0, interval: [0, 0], randomization: 1, helped: 0, hurt: 0, unchanged: 1200 },
      'none',
      'helped 0 queries, hurt 0 of 1,200: no difference',
    ],
  ] as [string, Partial<Judgeable>, string, string][])('on %s', (_what, changes, kind, words) => {
    const verdict = verdictOn(compared(changes));
    expect(verdict.kind).toBe(kind);
    expect(verdict.words).toContain(words);
  });

  it('states what it is based on, and claims no more', () => {
    expect(verdictOn(compared({})).reason).toBe(
      'On average nDCG@10 changed by +0.0400; the true mean change probably lies between +0.0100 and +0.0700. If there were no difference, chance would give one this large in 6 of 1,000 cases (p 0.0060).',
    );
    expect(verdictOn(compared({ randomization: 0.4 })).reason).toMatch(/40 of 100 cases .*does not rule out chance/);
    expect(verdictOn(compared({ randomization: 0.00001 })).reason).toContain(
      'fewer than 1 of 1,000 cases (p < 0.0001)',
    );
    const few = verdictOn(compared({ helped: 4, hurt: 9, unchanged: 27, randomization: 0.2 })).reason;
    expect(few).toMatch(/Over 40 queries .* shows nothing: use at least 50/);
    expect(few).not.toContain('(p');
    const one = verdictOn(compared({ helped: 1, hurt: 0, unchanged: 0, randomization: 1 })).reason;
    expect(one).toContain('Over 1 query chance alone');
  });

  it.each([
    [0.00009, 'in fewer than 1 of 1,000 cases (p < 0.0001)'],
    [0.0001, 'in fewer than 1 of 1,000 cases (p 0.0001)'],
    [0.0009, 'in fewer than 1 of 1,000 cases (p 0.0009)'],
    [0.001, 'in 1 of 1,000 cases (p 0.0010)'],
    [0.0994, 'in 99 of 1,000 cases (p 0.0994)'],
    [0.1, 'in 10 of 100 cases (p 0.1000)'],
  ])('states the odds of p %d', (randomization, odds) => {
    expect(verdictOn(compared({ randomization })).reason).toContain(odds);
  });

  it.each([
    [0.00004, '0.0000'],
    [-0.00004, '0.0000'],
    [0.00006, '+0.0001'],
    [-0.00006, '\u22120.0001'],
  ])('writes a change of %d with its sign, unless it is shown as 0', (delta, words) => {
    expect(verdictOn(compared({ delta })).reason).toContain(`changed by ${words};`);
  });
});

it('explains the measures of the tables', () => {
  for (const name of ['nDCG@10', 'Recall@100', 'MRR@10', 'MAP@100', 'P@5'])
    expect(measureInWords(name)).toContain(`${name} is`);
  expect(measureInWords('Hole@10')).toBeUndefined();
});
