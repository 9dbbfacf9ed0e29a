import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { escapeHtml, html } from '../markup.ts';
import type { ReportData, ReportQuery } from '../report-data.ts';
import { renderReport } from './page.ts';

function query(id: string, before: number, after: number): ReportQuery {
  return {
    id,
    text: `What is <${id}>?`,
    expansions: [`A ${id} & "more"`],
    before,
    after,
    relevant: [{ id: `d-${id}`, text: `gloss of ${id}`, grade: 1, rankBefore: null, rankAfter: 3 }],
  };
}

const DATA: ReportData = {
  title: 'A run',
  dataset: { name: 'toy', split: 'test', documents: 20000, queries: 3 },
  arms: [
    { name: 'raw', description: 'MiniLM', measures: { 'nDCG@10': 0.5 }, milliseconds: 1.2 },
    { name: 'expanded', description: 'MiniLM, alpha 0.5', measures: { 'nDCG@10': 0.6 }, milliseconds: 1.5 },
  ],
  comparisons: [
    {
      baseline: 'raw',
      arm: 'expanded',
      measure: 'nDCG@10',
      delta: 0.1,
      interval: [-0.01, 0.21],
      tTest: 0.04,
      randomization: 0.00001,
      helped: 1,
      hurt: 1,
      unchanged: 1,
    },
  ],
  queries: [query('hacksaw', 0, 1), query('abacus', 0.5, 0.5), query('<script>alert(1)</script>', 1, 0.4)],
  made: ['Expansions by smollm2, seed 42.'],
  cost: {
    promptTokens: 30,
    completionTokens: 64,
    cutAtLimit: 0.25,
    generationMilliseconds: 900,
  },
  settings: [['Encoder', [['weights', 'abc123']]]],
  remarks: ['One sample a query: the score itself is noisy.'],
};

describe('report page', () => {
  const page = renderReport(DATA);

  it('loads and runs nothing', () => {
    expect(page).not.toMatch(/<script|<link|<img|src=|https?:\/\//);
  });

  it('escapes what data and models wrote', () => {
    expect(page).toContain('What is &lt;&lt;script&gt;alert(1)&lt;/script&gt;&gt;?');
    expect(page).toContain('A hacksaw &amp; &quot;more&quot;');
  });

  it('shows scores, the comparison and both signs of change', () => {
    expect(page).toContain('0.5000 \u2192 0.6000');
    expect(page).toContain('+0.1000');
    expect(page).toContain('\u22120.0100 to +0.2100');
    expect(page).toContain('p &lt; 0.0001');
    expect(page).toContain('rank none \u2192 3');
    const twice = 2; // a plot for broad screens and one for narrow ones
    for (const kind of ['gain', 'loss', 'same'])
      expect(page.match(new RegExp(`<rect class="${kind}"`, 'g'))).toHaveLength(twice);
  });

  it('shows losses as well as gains', () => {
    expect(page.indexOf('Most helped</h2>')).toBeLessThan(page.indexOf('What is &lt;hacksaw&gt;?</h3>'));
    expect(page).toMatch(/Most hurt<\/h2><div class="columns"><article class="loss">/);
  });

  it('renders without any comparison or query', () => {
    const bare = renderReport({ ...DATA, comparisons: [], queries: [], cost: undefined, remarks: [] });
    expect(bare).toContain('<table>');
    expect(bare).not.toContain('<svg');
    expect(bare).toContain('there is no comparison');
  });

  it('begins with the verdict, then the card, then the tables', () => {
    const places = ['class="verdict few"', 'too few queries to tell', 'class="card"', 'seed 42', '<table>'];
    const found = places.map((place) => page.indexOf(place));
    expect(found).toEqual([...found].sort((a, b) => a - b));
    expect(found[0]).toBeGreaterThan(0);
  });

  it('explains the measure and p', () => {
    expect(page).toContain('nDCG@10 is how high the relevant documents are ranked');
    expect(page).toContain('p is the probability of');
  });

  it('has a table of contents whose links lead to its headings', () => {
    const links = [...page.matchAll(/<a href="#(s\d+)">([^<]+)</g)].map(([, id, title]) => `<h2 id="${id}">${title}<`);
    expect(links.length).toBeGreaterThan(5);
    for (const heading of links) expect(page).toContain(heading);
  });

  it('allows its own style sheet and nothing else', () => {
    const [, style] = /<style>([\s\S]*)<\/style>/.exec(page)!;
    const hash = createHash('sha256').update(style!).digest('base64');
    expect(page).toContain(
      `content="default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;"`,
    );
    expect(page).not.toMatch(/ style="| on[a-z]+="|javascript:/);
  });

  it('labels each cell for narrow screens', () => {
    expect(page).toMatch(/<td class="up" data-label="helped">1<\/td>/);
    expect(page.match(/<td/g)!.length).toBe(page.match(/data-label=/g)!.length);
  });

  it('makes hostile texts harmless in every field', () => {
    const hostile = `</title></style><script>alert(1)</script><img src=x onerror="a()">\u202e'"&`;
    const turned = (value: unknown): unknown => {
      if (typeof value === 'string') return hostile;
      if (Array.isArray(value)) return value.map(turned);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, turned(inner)]));
    };
    const data = turned(DATA) as ReportData;
    data.arms[0]!.measures = { [hostile]: 0.5 };
    const attacked = renderReport(data);
    expect(attacked).not.toMatch(/<script|<img|\u202e/);
    expect(attacked.match(/<\/style>/g)).toHaveLength(1);
    expect(attacked.match(/<\/title>/g)!.length).toBe(1 + attacked.match(/<title>/g)!.length - 1);
  });

  it('works for any number of queries: a bar stands for several, and the table shows both ends', () => {
    const many = Array.from({ length: 130_000 }, (_, at) => query(`q${at}`, 0.5, 0.5 + Math.sin(at) / 2));
    const large = renderReport({ ...DATA, queries: many });
    expect(large.match(/<rect/g)!.length).toBeLessThan(1000);
    expect(large.length).toBeLessThan(1e6);
    expect(large).toContain('All 130,000 queries');
    expect(large).toContain('the other 129,000 are in the JSON');
  });
});

describe('markup', () => {
  it('escapes values, keeps markup, joins lists', () => {
    const items = ['<a>', 'b'].map((text) => html`<li>${text}</li>`);
    expect(html`<ul>${items}${undefined}</ul>`.text).toBe('<ul><li>&lt;a&gt;</li><li>b</li></ul>');
  });

  it('replaces control characters that HTML forbids', () => {
    expect(escapeHtml('a\u0000b\tc')).toBe('a\ufffdb\tc');
  });
});
