import { describe, expect, it } from 'vitest';
import { type Distribution, defaultPairSettings, type RewardAudit } from '../../reward/index.ts';
import { histogram } from '../plots/histogram.ts';
import { renderAuditPage } from './audit-page.ts';

function distribution(counts: number[], from = 0, to = 1): Distribution {
  return {
    count: 3,
    mean: 0.5,
    deviation: 0.1,
    min: from,
    p10: 0.1,
    median: 0.5,
    p90: 0.9,
    max: to,
    histogram: { from, to, counts },
  };
}

const AUDIT: RewardAudit = {
  rewarding: {
    rewards: [
      { name: 'rank-gold', weight: 1 },
      { name: 'margin-answer', weight: 0.5 },
    ],
    similarity: 'cosine',
    encoder: { id: 'MiniLM', fingerprint: 'x' },
    expansionRole: 'query',
    queries: 9,
    candidates: 72,
    empty: 0,
    duplicates: 0,
    dropped: { 'no answer': 1, 'only empty candidates': 0 },
  },
  settings: defaultPairSettings(),
  threshold: 0.6,
  queries: { all: 10, kept: 7, dropped: { 'no answer': 1, 'similarity below the threshold': 2 } },
  pairs: { built: 7, repeated: 1, train: 5, dev: 1, left: 1 },
  candidates: {
    count: 72,
    duplicates: 0.25,
    quoting: 0.125,
    queriesQuoting: 3,
    overlap: 0.04,
    byTemperature: [{ temperature: 0.8, candidates: 72, meanReward: 0.7, chosen: 6, rejected: 6 }],
  },
  rewards: { spread: { total: distribution([1, 2]) }, bestSimilarity: distribution([3, 4]) },
  agreement: distribution([1, 1], -1, 1),
  answers: { count: 9, copied: 0.5, overlap: 0.6 },
  sides: {
    margin: distribution([2, 1]),
    chosenWords: distribution([1, 3], 0, 40),
    rejectedWords: distribution([2, 1], 0, 40),
    chosenLonger: 0.7,
    chosenShorter: 0.3,
    chosenQuotes: 0.2,
    rejectedQuotes: 0,
  },
  examples: [
    {
      queryId: 'q1',
      query: 'What is <b>?',
      gold: 'a saw & a frame',
      answer: undefined,
      chosen: { text: 'good <script>', reward: 2, quotes: true },
      rejected: { text: 'bad', reward: 0.0625, quotes: false },
      part: 'dev',
    },
  ],
  quotes: [{ queryId: 'q2', query: 'Which?', gold: 'the gold', text: 'it says the gold' }],
};

describe('the page of the audit', () => {
  const page = renderAuditPage(AUDIT);

  it('names every reason why queries were dropped, with its fraction', () => {
    expect(page).toMatch(/>similarity below the threshold<\/td><td[^>]*>2<\/td><td[^>]*>20\.0 %<\/td>/);
    expect(page).toMatch(/>no answer<\/td><td[^>]*>1<\/td><td[^>]*>10\.0 %<\/td>/);
    expect(page).toContain('7 pairs were built; 1 of them was not drawn. 1 duplicate was dropped');
  });

  it('begins with a summary, then the card and the tables', () => {
    const places = [
      'Check before you train: only 5 training pairs; 12.5 % of the candidates quote the gold document<',
      'class="card"',
      '<table>',
    ].map((place) => page.indexOf(place));
    expect(places.every((place) => place > 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    const sound = renderAuditPage({
      ...{ ...AUDIT, pairs: { ...AUDIT.pairs, train: 100 } },
      candidates: { ...AUDIT.candidates, quoting: 0.1 },
    });
    expect(sound).toContain('No warning signs in these pairs');
    const few = renderAuditPage({ ...AUDIT, queries: { ...AUDIT.queries, kept: 4 } });
    expect(few).toContain('fewer than half of the queries give a pair');
  });

  it('shows leaks, copied answers, lengths and both sides of examples', () => {
    expect(page).toContain('12.5 % of the candidates (from 3 queries) quote a gold document');
    expect(page).toContain('Of 9 answers, 50.0 % are copied from it.');
    expect(page).toContain('longer in 70.0 % of the pairs and shorter in 30.0 %');
    expect(page).toContain('chosen, 2.000, quotes the gold document');
    expect(page).toContain('rank-gold + 0.5 \u00d7 margin-answer');
  });

  it('escapes texts of models and data, and loads nothing', () => {
    expect(page).toContain('good &lt;script&gt;');
    expect(page).toContain('What is &lt;b&gt;?');
    expect(page).not.toMatch(/<script|<link|https?:\/\/| style="/);
    expect(page).toContain('http-equiv="Content-Security-Policy"');
  });

  it('works without answers and without a summary of the rewards', () => {
    const bare = renderAuditPage({
      ...AUDIT,
      rewarding: undefined,
      agreement: undefined,
      answers: { count: 0, copied: 0, overlap: 0 },
      examples: [],
      quotes: [],
    });
    expect(bare).toContain('72 candidates of 10 queries.');
    expect(bare).not.toContain('Kendall');
  });
});

describe('a histogram', () => {
  it('draws a bar for each bin, and the mark at its value', () => {
    const { text } = histogram([{ distribution: distribution([0, 4, 2], 0, 3), kind: 'gain' }], {
      ...{ label: 'size', counted: 'queries' },
      mark: { value: 1.5, name: 'half' },
    });
    const bars = [
      ...text.matchAll(/<rect class="gain" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)">/g),
    ];
    const [none, four, two] = bars.map((bar) => Number(bar[4]));
    expect([none, two]).toEqual([0, four! / 2]);
    expect(four).toBeGreaterThan(100);
    expect(text).toContain('1 to 2: 4');
    const middle = Number(bars[1]![1]) + Number(bars[1]![3]) / 2;
    const [, mark] = text.match(/<line class="mark" x1="([\d.]+)"/)!;
    expect(Number(mark)).toBeCloseTo(middle, 0);
    expect(text).toContain('>half</text>');
  });

  it('omits a mark outside the range, and draws a single value', () => {
    const { text } = histogram([{ distribution: distribution([3], 2, 2), kind: 'same' }], {
      ...{ label: 'size', counted: 'queries' },
      mark: { value: 9, name: 'far' },
    });
    expect(text).not.toContain('far');
    expect(text.match(/<rect/g)).toHaveLength(1);
    expect(text).toContain('<title>2: 3</title>');
    expect(text).not.toContain('NaN');
  });
});
