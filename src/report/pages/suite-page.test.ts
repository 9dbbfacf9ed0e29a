import { describe, expect, it } from 'vitest';
import type { SuiteCell, SuiteData } from '../suite-data.ts';
import { renderSuiteReport } from './suite-page.ts';

const cell = (value: number, facts: Partial<SuiteCell> = {}): SuiteCell => {
  return {
    measures: { 'nDCG@10': value },
    milliseconds: 2,
    selfHits: 'a document with the id of the query is left out',
    ...facts,
  };
};
const test = {
  ...{ arm: 'expanded', baseline: 'raw', measure: 'nDCG@10', delta: 0.1, interval: [0.05, 0.15] as [number, number] },
  ...{ tTest: 0.001, randomization: 0.002, holm: 0.004, helped: 7, hurt: 2, unchanged: 1 },
};
const query = {
  set: 'one',
  id: 'q',
  text: '<script>alert(1)</script>',
  expansions: ['a <b>text</b>'],
  before: 0.1,
  after: 0.9,
};
const data: SuiteData = {
  ...{ suite: 'three', measure: 'nDCG@10', baseline: 'raw' },
  systems: [
    { name: 'raw', description: 'dense', expanded: false },
    { name: 'expanded', description: 'dense, task q2d', expanded: true },
  ],
  rows: [
    {
      ...{ name: 'one', documents: 1000, queries: 10 },
      cells: {
        raw: cell(0.3),
        expanded: cell(0.4, { test, tokens: { prompt: 50, completion: 50, milliseconds: 400 } }),
      },
    },
    { name: 'half', documents: 10, queries: 2, cells: { raw: cell(0.5) } },
  ],
  means: [{ label: 'mean of 1', rows: ['one'], measures: { raw: { 'nDCG@10': 0.3 }, expanded: { 'nDCG@10': 0.4 } } }],
  overall: [{ ...test, holm: undefined, sets: ['one'] }],
  meta: [],
  parity: [
    {
      set: 'one',
      system: 'raw',
      published: 'BM25',
      source: 's',
      measure: 'nDCG@10',
      expected: 0.4,
      got: 0.3,
      verdict: 'off',
    },
  ],
  comparison: {
    ...{
      system: 'expanded',
      baseline: 'raw',
      queries: 10,
      helped: 7,
      hurt: 2,
      points: [[0.1, 0.9]],
      gains: [query],
      losses: [],
    },
    slices: [{ kind: 'words in the query', name: '1 to 3', queries: 10, before: 0.3, after: 0.4 }],
  },
  failures: ['half, expanded: the server is gone. Start it'],
  remarks: ['a remark'],
};
const page = renderSuiteReport(data);

describe('renderSuiteReport', () => {
  it('says first that a raw baseline is off, and what failed', () => {
    const head = page.slice(0, page.indexOf('<h2'));
    expect(head).toContain('Raw baselines are off<b>one, raw: 0.3000 here, 0.4000 published</b>');
    expect(head).toContain('half, expanded: the server is gone. Start it');
    expect(renderSuiteReport({ ...data, parity: [] })).not.toContain('Raw baselines are off');
  });

  it('shows scores with daggers, the rule for self hits, and what failed', () => {
    expect(page).toContain('<td class="best" data-label="expanded">0.4000‡</td>');
    expect(page).toContain('data-label="self hits">left out</td>');
    expect(page).toContain('data-label="expanded">failed</td>');
  });

  it('tells what a point of nDCG costs: 10 points for 100 tokens and 400 ms', () => {
    expect(page).toContain('data-label="tokens for a point">10 tokens</td>');
    expect(page).toContain('data-label="ms for a point">40 ms</td>');
    const worse = {
      ...data,
      means: [{ ...data.means[0]!, measures: { raw: { 'nDCG@10': 0.5 }, expanded: { 'nDCG@10': 0.4 } } }],
    };
    expect(renderSuiteReport(worse)).toContain('data-label="tokens for a point">no gain</td>');
    // Worse and dearer: beaten. Alone the cheaper one is on the frontier.
    const looks = (text: string) =>
      [...text.matchAll(/<circle class="(\w+)"[^>]*><title>(raw|expanded):/g)].map((one) => `${one[2]} ${one[1]}`);
    expect(looks(renderSuiteReport(worse))).toEqual(Array(4).fill(['raw gain', 'expanded same']).flat());
    expect(looks(page)).toEqual(Array(4).fill(['raw gain', 'expanded gain']).flat());
  });

  it('begins with a verdict on each system', () => {
    const head = page.slice(0, page.indexOf('<h2'));
    expect(head).toContain(
      '<b>expanded: too few queries to tell it from raw</b><span class="number">0.4000 <i class="up">+0.1000</i>',
    );
    expect(head).toContain('(95 % interval +0.0500 to +0.1500, p 0.0020); 7 queries are helped, 2 hurt.');
  });

  it('names the points of quality against cost, on a logarithmic axis', () => {
    const section = page.slice(page.indexOf('>Quality and cost</h2>'));
    for (const name of ['raw', 'expanded']) {
      expect([...section.matchAll(new RegExp(`<text class="axis name"[^>]*>${name}<`, 'g'))]).toHaveLength(4);
    }
    expect(section).toContain('>LLM tokens per query, logarithmic<');
    // Between 2 and 402 ms, where a linear axis would have no tick.
    expect(section).toMatch(/<text class="axis"[^>]*>10<\/text>/);
    const without = {
      ...data,
      rows: data.rows.map((row) => ({
        ...row,
        cells: { ...row.cells, ...(row.cells.expanded && { expanded: cell(0.4, { test }) }) },
      })),
    };
    expect(renderSuiteReport(without)).toContain('No system used an LLM, so quality is not drawn against tokens.');
  });

  it('puts numbers in place of names that have no room', () => {
    const names = Array.from({ length: 60 }, (_, at) => `system-with-a-long-name-${at}`);
    const many = { ...data, systems: names.map((name) => ({ name, description: 'bm25', expanded: false })) };
    const cells = Object.fromEntries(names.map((name) => [name, cell(0.3)]));
    const measures = Object.fromEntries(names.map((name) => [name, { 'nDCG@10': 0.3 }]));
    const crowded = { ...many, rows: [{ ...data.rows[0]!, cells }], means: [{ ...data.means[0]!, measures }] };
    expect(renderSuiteReport(crowded)).toContain('<span>60 system-with-a-long-name-59</span>');
  });

  it('says why there are no kinds of queries, and gives two sets no interval', () => {
    const few = renderSuiteReport({ ...data, comparison: { ...data.comparison!, slices: [] } });
    expect(few).toContain(
      'No kinds are told apart: each would need at least 10 queries, and the 10 queries here do not divide so.',
    );
    const meta = {
      studies: 2,
      effect: 0.02,
      standardError: 0.01,
      interval: undefined,
      p: undefined,
      tauSquared: 0,
      q: 1,
      iSquared: 0.3,
    };
    const two = renderSuiteReport({
      ...data,
      meta: [{ ...meta, system: 'expanded', prediction: undefined, unchanged: [] }],
    });
    expect(two).toContain('<small>expanded, random effects; interval and p need at least 3 sets</small>');
    expect(two).toContain('<td data-label="95 % interval"></td>');
  });

  it('runs nothing and loads nothing, whatever the texts hold', () => {
    expect(page).not.toMatch(/<script|<b>text|https?:\/\/|url\(|@import|<img|<link/);
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).toContain('default-src &#39;none&#39;');
  });
});
