import { describe, expect, it } from 'vitest';
import type { CorrectedComparison, EvaluationData, JudgedArm } from '../../evaluate/index.ts';
import { type AlignmentReport, renderAlignmentReport } from './alignment-page.ts';

const arm = (name: string, value: number, alpha?: number): JudgedArm => ({
  ...{ name, description: `the arm ${name}`, words: 12.5 },
  ...(alpha !== undefined && { alpha }),
  tuning: alpha === undefined ? [] : [0, 0.5].map((point) => ({ alpha: point, value: 0.2 + point / 10 })),
  measures: { 'nDCG@10': value, 'Recall@100': 0.5, 'MRR@10': 0.4, 'MAP@100': 0.3 },
  bySeed: [value - 0.01, value + 0.01],
});

const TEST: CorrectedComparison = {
  ...{ arm: 'aligned', baseline: 'zeroShot', measure: 'nDCG@10', delta: 0.05 },
  ...{ randomization: 0.00002, holm: 0.00008, tTest: 0.0004 },
  ...{ interval: [-0.01, 0.11], helped: 1, hurt: 1, unchanged: 1 },
};

const query = (id: string, zeroShot: number, aligned: number): EvaluationData['queries'][number] => ({
  ...{ id, text: `What is <${id}>?`, relevant: [`gloss of ${id}`] },
  texts: { zeroShot: [`A ${id} & "more"`], aligned: [`The ${id}`] },
  values: { raw: 0, zeroShot, aligned },
});

const MAIN = {
  ...{ judge: 'an encoder', settings: {} },
  arms: [arm('raw', 0.2), arm('zeroShot', 0.25, 0.5), arm('aligned', 0.3, 0.5)],
  tests: [TEST],
};

const REPORT: AlignmentReport = {
  title: 'What alignment did',
  recipe: { name: 'mine', hash: 'abcdef0123456789abcdef' },
  evaluation: {
    dataset: { name: 'toy', documents: 20_000, dev: 300, test: 3 },
    ...{ measure: 'nDCG@10', seeds: [1, 2], main: MAIN, judges: [{ ...MAIN, judge: 'bm25' }], controls: MAIN },
    queries: [query('saw', 0, 1), query('boat', 0.5, 0.5), query('<script>alert(1)</script>', 1, 0.4)],
  },
  audit: undefined,
  training: {
    dpo: [1, 2, 3].map((step) => ({
      ...{ time: 0, step, epoch: step / 3, split: 'train' as const },
      values: { loss: 0.7 - step / 100, rewardChosen: step, rewardRejected: -step, margin: 2 * step, accuracy: null },
    })),
    sft: [],
  },
  passedOver: [
    { stage: 'candidates', leftOut: [{ what: 'candidates <cut>', count: 1200, of: 4800 }], warnings: [] },
    { stage: 'dpo', leftOut: [], warnings: ['the margin falls'] },
  ],
  stages: [{ name: 'candidates', seconds: 600, note: '32 candidates' }],
  settings: [['Recipe', [['dpo.beta', '0.1']]]],
  remarks: ['One seed.'],
};

describe('the report of an alignment', () => {
  const page = renderAlignmentReport(REPORT);

  it('loads and runs nothing', () => {
    expect(page).not.toMatch(/<script|<link|<img|src=|https?:\/\//);
  });

  it('escapes what data and models wrote', () => {
    expect(page).toContain('What is &lt;&lt;script&gt;alert(1)&lt;/script&gt;&gt;?');
    expect(page).toContain('A saw &amp; &quot;more&quot;');
  });

  it('shows the path over the rounds, and which of them was tested', () => {
    expect(page).not.toContain('The rounds');
    const figures = (value: number) => ({ raw: { value: 0.1 }, 'retriever+aligned': { alpha: 0.4, value } });
    const rounds = [0.31, 0.42, 0.37].map((value, at) => ({
      ...{ round: at + 1, measure: 'nDCG@10', chosenBy: 'retriever+aligned', arms: figures(value) },
    }));
    const path = renderAlignmentReport({ ...REPORT, rounds, bestRound: 2 });
    const section = path.slice(path.indexOf('The rounds</h2>'), path.indexOf('Choice of alpha</h2>'));
    expect(section).toContain('Round 2 is best by retriever+aligned');
    expect(section).toMatch(/2 <small>best<\/small>/);
    expect(section).toMatch(/best"[^>]*>0\.4200<small>alpha 0\.4/);
    expect(section.match(/<path class="line/g)!.length).toBeGreaterThanOrEqual(2);
  });

  it('begins with a verdict, how alpha was chosen, and a warning of few queries', () => {
    expect(page).toMatch(
      /class="verdict few">Helped 1 query, hurt 1 of 3: too few queries to tell<b>aligned against zero-shot</,
    );
    expect(page).toContain('is 0.5 for zero-shot, 0.5 for aligned; it was chosen on the development queries');
    expect(page).toContain('Only 3 queries were evaluated');
  });

  it('shows labels instead of names from the code', () => {
    expect(page.slice(page.indexOf('<body>'))).not.toMatch(/zeroShot|: true|: false/);
  });

  it('shows the claim, the corrected p and both signs of change', () => {
    expect(page).toContain('0.2500 \u2192 0.3000');
    expect(page).toContain('+0.0500');
    expect(page).toContain('\u22120.0100 to +0.1100');
    expect(page).toContain('p < 0.0001'.replace('<', '&lt;'));
    expect(page.match(/<rect class="gain"/g)).toHaveLength(2); // for broad screens and for narrow ones
    expect(page.match(/<rect class="loss"/g)).toHaveLength(2);
  });

  it('shows the texts of all arms together, gains before losses', () => {
    const helped = page.slice(page.indexOf('Most helped</h2>'), page.indexOf('Most hurt</h2>'));
    expect(helped).toMatch(/zero-shot <span>0\.0000<\/span>.*A saw.*aligned <span>1\.0000<\/span>.*The saw/s);
    expect(helped).toContain('gloss of saw');
    expect(helped).not.toContain('boat');
  });

  it('plots each metric that was recorded, and says so if there is none', () => {
    const training = page.slice(page.indexOf('Training</h2>'));
    expect(training.match(/<path class="line/g)).toHaveLength(4);
    expect(training).toContain('DPO: fraction of pairs ranked correctly: no data');
    expect(page).not.toContain('NaN');
  });

  it('lists what was skipped, with counts and totals, and the warnings', () => {
    const section = page.slice(page.indexOf('and warnings</h2>'), page.indexOf('Before you quote these results</h2>'));
    expect(section).toMatch(
      /candidates<\/td><td[^>]*>candidates &lt;cut&gt;<\/td><td[^>]*>1,200 of 4,800<\/td><td[^>]*>25\.0 %/,
    );
    expect(section).toMatch(/DPO<\/td>.*warning<\/b> the margin falls\.</);
    expect(renderAlignmentReport({ ...REPORT, passedOver: [] })).toContain('and warnings</h2><p>Nothing.</p>');
  });

  it('omits sections without content', () => {
    const { controls: _none, ...evaluation } = REPORT.evaluation;
    const bare = renderAlignmentReport({
      ...REPORT,
      evaluation: { ...evaluation, judges: [], queries: [], dataset: { ...evaluation.dataset, dev: 0 } },
      training: { dpo: [], sft: [] },
    });
    for (const title of ['Controls', 'searched with', 'Choice of alpha', 'Training</h2>'])
      expect(bare).not.toContain(title);
  });
});
