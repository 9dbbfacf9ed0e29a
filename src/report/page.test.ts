import { describe, expect, it } from 'vitest';
import { escapeHtml, html } from './markup.ts';
import { renderReport } from './page.ts';
import type { ReportData, ReportQuery } from './report-data.ts';

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
    { name: 'raw', description: 'MiniLM', measures: { 'nDCG@10': 0.5 }, searchMilliseconds: 1.2 },
    { name: 'expanded', description: 'MiniLM, alpha 0.5', measures: { 'nDCG@10': 0.6 }, searchMilliseconds: 1.5 },
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
  cost: {
    promptTokens: 30,
    completionTokens: 64,
    cutAtLimit: 0.25,
    generationMilliseconds: 900,
    addedSearchMilliseconds: 0.3,
  },
  settings: [['Encoder', [['weights', 'abc123']]]],
  remarks: ['One sample a query: the score itself is noisy.'],
};

describe('report page', () => {
  const page = renderReport(DATA);

  it('needs nothing from elsewhere and runs nothing', () => {
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
    expect(page.match(/<rect class="gain"/g)).toHaveLength(1);
    expect(page.match(/<rect class="loss"/g)).toHaveLength(1);
    expect(page.match(/<rect class="same"/g)).toHaveLength(1);
  });

  it('puts losses beside gains', () => {
    expect(page.indexOf('Most helped')).toBeLessThan(page.indexOf('What is &lt;hacksaw&gt;?</h3>'));
    expect(page).toMatch(/Most hurt<\/h2>\s*<article class="loss">/);
  });

  it('renders without any comparison or query', () => {
    const bare = renderReport({ ...DATA, comparisons: [], queries: [], cost: undefined, remarks: [] });
    expect(bare).toContain('<table>');
    expect(bare).not.toContain('<svg');
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
