import { describe, expect, it } from 'vitest';
import { figuresOf, type Judged, qrelsOf } from './figures.ts';
import { Ledger } from './ledger.ts';

interface Made {
  /** Queries that expansion helps, hurts and leaves alone. */
  helped: number;
  hurt: number;
  same: number;
}

/** Ten documents are ranked `good, bad` by one arm and `bad, good` by the other, or equally; the judge grades both. */
function made({ helped, hurt, same }: Made, milliseconds = (row: number) => row + 1): Judged {
  const kinds = [...Array(helped).fill('helped'), ...Array(hurt).fill('hurt'), ...Array(same).fill('same')];
  const ledger = new Ledger();
  const [good, bad] = [
    { id: 'good', score: 0 },
    { id: 'bad', score: 0 },
  ];
  for (const row of kinds.keys()) {
    for (const [document, grade] of [
      ['good', 3],
      ['bad', 0],
    ] as const) {
      ledger.add({ kind: 'grade', at: '', judge: 'ann', row, document, grade });
    }
  }
  const orders: Record<string, [raw: object[], expanded: object[]]> = {
    helped: [
      [bad, good],
      [good, bad],
    ],
    hurt: [
      [good, bad],
      [bad, good],
    ],
    same: [
      [good, bad],
      [good, bad],
    ],
  };
  return {
    ledger,
    readyRows: [...kinds.keys()],
    settings: {
      ...{ format: 1, corpus: 'x', retrievers: ['dense'], expand: true, depth: 10, seed: 1 },
      queries: kinds.map((_kind, row) => ({ id: `q${row}`, text: 'x' })),
    },
    prepared: (row) => ({
      arms: orders[kinds[row]]!.map((hits, at) => ({
        retriever: 'dense',
        isExpanded: at === 1,
        hits: hits as (typeof good)[],
      })),
      expansion: { state: 'generated', milliseconds: milliseconds(row) },
      documents: ['good', 'bad'],
    }),
  };
}

const pairOf = (counts: Made) => figuresOf(made(counts), 'ann').pairs[0]!;

describe('the sentence for a manager', () => {
  it('recommends a clear gain that hurts few, with its size in percent and its time', () => {
    const { pairs, latency, arms } = figuresOf(made({ helped: 31, hurt: 12, same: 57 }), 'ann');
    // Below the best place, a document is worth 1 / log2(3) = 0.6309: raw = 1 - 0.31 * 0.3691, expanded = 1 - 0.12 * 0.3691.
    const lost = 1 - 1 / Math.log2(3);
    expect(arms.map(({ mean }) => mean)).toEqual([
      expect.closeTo(1 - 0.31 * lost, 9),
      expect.closeTo(1 - 0.12 * lost, 9),
    ]);
    expect(pairs[0]).toMatchObject({ helped: 31, hurt: 12, unchanged: 57, decision: 'recommended' });
    expect(pairs[0]!.interval[0]).toBeGreaterThan(0);
    const percent = ((100 * 0.19 * lost) / (1 - 0.31 * lost)).toFixed(1);
    expect(pairs[0]!.sentence.replaceAll('\u00a0', ' ')).toMatch(
      new RegExp(
        `^Expansion of dense search helps 31 and hurts 12 of 100 queries: nDCG@10 \\+${percent} % \\[\\+[\\d.]+ %, \\+[\\d.]+ %\\], \\+95 ms at p95: recommended\\.$`,
      ),
    );
    // Times 1 to 100: the 95th and the 50th in order.
    expect(latency).toEqual({ median: 50, p95: 95, queries: 100 });
  });

  it('tells a long time in seconds', () => {
    const slow = figuresOf(
      made({ helped: 31, hurt: 12, same: 57 }, () => 33_797),
      'ann',
    ).pairs[0]!;
    expect(slow.sentence).toContain('+33.8\u00a0s at p95');
  });

  it.each([
    ['a third hurt', { helped: 66, hurt: 34, same: 0 }, 'not recommended', 'it hurts a third of the queries or more'],
    ['no difference', { helped: 20, hurt: 20, same: 20 }, 'not recommended', 'the interval includes 0'],
    ['a loss', { helped: 2, hurt: 40, same: 20 }, 'not recommended', 'it makes results worse'],
    ['19 queries', { helped: 19, hurt: 0, same: 0 }, 'too few queries', 'at least 20, better 50'],
    ['30 queries with a small gain', { helped: 6, hurt: 2, same: 22 }, 'too few queries', 'judge 50 or more'],
  ] as const)('does not recommend %s', (_what, counts, decision, reason) => {
    const pair = pairOf(counts);
    expect(pair.decision).toBe(decision);
    expect(pair.sentence).toContain(reason);
  });

  it('recommends over few queries only what is very clear', () => {
    expect(pairOf({ helped: 20, hurt: 0, same: 5 }).decision).toBe('recommended');
  });
});

describe('the judgements of several judges', () => {
  it('are the mean where they differ, rounded half up', () => {
    const judged = made({ helped: 1, hurt: 0, same: 0 });
    judged.ledger.add({ kind: 'grade', at: '', judge: 'bob', row: 0, document: 'good', grade: 2 });
    judged.ledger.add({ kind: 'grade', at: '', judge: 'bob', row: 0, document: 'bad', grade: 1 });
    judged.ledger.add({ kind: 'grade', at: '', judge: 'cy', row: 0, document: 'bad', grade: 0 });
    const grades = (judge?: string) => Object.fromEntries(qrelsOf(judged, judge).get('q0')!);
    // good: 3 and 2; bad: 0, 1 and 0.
    expect(grades()).toEqual({ good: 3, bad: 0 });
    expect(grades('bob')).toEqual({ good: 2, bad: 1 });
  });
});
