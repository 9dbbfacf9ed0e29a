import { describe, expect, it } from 'vitest';
import { TABLE_MEASURES } from '../evaluate/index.ts';
import { defaultRetrievalSettings } from '../retrieve/index.ts';
import { parityBySet, parityOf } from './parity.ts';
import type { SuiteRun } from './run-suite.ts';
import type { Suite, SuiteSet } from './suite-schema.ts';
import { summarize } from './summary.ts';
import type { SystemRun } from './system-run.ts';
import { parseSystems } from './system-spec.ts';
import { csvTable, latexTable, markdownTable, metaLines, terminalTable } from './table-formats.ts';

const systems = parseSystems(['raw=bm25', 'more=bm25,expansions=e.jsonl'], undefined, {
  ...{ retrieval: defaultRetrievalSettings(), writer: {}, writerShape: {} },
});

/** A run whose queries have these values under every measure. */
function runOf(values: readonly number[], facts: Partial<SystemRun> = {}): SystemRun {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const column = new Map(values.map((value, at) => [`q${at}`, value]));
  return {
    ...{
      measures: Object.fromEntries(TABLE_MEASURES.map((name) => [name, mean])),
      queries: values.length,
      documents: 100,
    },
    ...{ selfRetrieval: { dropped: true, kept: 0, queries: values.length }, notes: [], milliseconds: 2, reused: false },
    settings: { k1: 0.9, b: 0.4, analyzer: 'english', fields: 'flat' },
    ...{ cost: undefined, emptyTexts: undefined, files: { run: 'run.trec', expansions: undefined } },
    values: new Map(TABLE_MEASURES.map((name) => [name, column])),
    ...facts,
  };
}

const setOf = (name: string, group?: string): SuiteSet => {
  return { name, group, split: 'test', source: { kind: 'folder', folder: name } };
};
const runsOf = (raw: SystemRun, more?: SystemRun) =>
  new Map([['raw', raw], ...(more === undefined ? [] : [['more', more] as const])]);

const cost = { promptTokens: 30, completionTokens: 8, milliseconds: 100 };
/** Three rows: a group of a set with two queries and one with four; MS MARCO; and one in which a system failed. */
const run: SuiteRun = {
  sets: [
    { set: setOf('g/a', 'g'), runs: runsOf(runOf([0, 0.2]), runOf([0.4, 0.2], { cost })) },
    { set: setOf('g/b', 'g'), runs: runsOf(runOf([0.5, 0.5, 0.5, 0.5]), runOf([0.6, 0.5, 0.5, 0.4], { cost })) },
    { set: setOf('msmarco'), runs: runsOf(runOf([0.3, 0.1]), runOf([0.3, 0.3], { cost })) },
    { set: setOf('half'), runs: runsOf(runOf([0.9, 0.9])) },
  ],
  failures: [{ set: 'half', system: 'more', message: 'the server is gone', fix: 'Start it' }],
};
const suite: Suite = { name: 'three', sets: run.sets.map(({ set }) => set), without: 'msmarco' };
const summary = summarize(run, { suite, systems, baseline: 'raw', measure: 'nDCG@10', seed: 42 });
const row = (name: string) => summary.rows.find((one) => one.name === name)!;

describe('summarize', () => {
  it('gives a group the mean of the means of its sets, however many queries they have', () => {
    const { parts, queries, documents, cells } = row('g');
    expect({ parts, queries, documents }).toEqual({ parts: ['g/a', 'g/b'], queries: 6, documents: 200 });
    // (0.1 + 0.5) / 2, and (0.3 + 0.5) / 2
    expect(cells.raw!.measures['nDCG@10']).toBeCloseTo(0.3, 12);
    expect(cells.more!.measures['nDCG@10']).toBeCloseTo(0.4, 12);
    expect(cells.more!.test!.delta).toBeCloseTo(0.1, 12);
    expect(cells.more!.test).toMatchObject({ helped: 2, hurt: 1, unchanged: 3, baseline: 'raw' });
    expect(cells.more!.tokens).toEqual({ prompt: 30, completion: 8, milliseconds: 100 });
    expect(cells.raw!.test).toBeUndefined();
  });

  it('corrects p over the sets that were tested', () => {
    const [g, m] = ['g', 'msmarco'].map((name) => row(name).cells.more!.test!);
    expect(g!.holm).toBeCloseTo(
      Math.min(1, Math.max(2 * Math.min(g!.randomization, m!.randomization), g!.randomization)),
      12,
    );
    expect(m!.holm).toBeGreaterThanOrEqual(m!.randomization);
  });

  it('takes means over the rows that every system finished, with and without MS MARCO, and says which', () => {
    expect(summary.means.map(({ label, rows }) => [label, rows])).toEqual([
      ['mean of 2', ['g', 'msmarco']],
      ['mean of 1, without msmarco', ['g']],
    ]);
    // (0.3 + 0.2) / 2, and (0.4 + 0.3) / 2
    expect(summary.means[0]!.measures.raw!['nDCG@10']).toBeCloseTo(0.25, 12);
    expect(summary.means[0]!.measures.more!['nDCG@10']).toBeCloseTo(0.35, 12);
    expect(summary.remarks).toEqual(['Incomplete, and not in the means: half (1 failure).']);
    expect(summary.failures).toEqual(['half, more: the server is gone. Start it']);
  });

  it('compares over the queries of all sets that both finished, each set counting equally', () => {
    const [overall] = summary.overall;
    expect(overall).toMatchObject({ arm: 'more', sets: ['g', 'msmarco'], helped: 3, hurt: 1, unchanged: 4 });
    // 0.1 and 0.1, although g has three times the queries of msmarco.
    expect(overall!.delta).toBeCloseTo(0.1, 12);
    expect(overall!.holm).toBeUndefined();
  });

  it('corrects the comparison over all sets for the number of systems', () => {
    const three = parseSystems(['raw=bm25', 'more=bm25', 'other=bm25'], undefined, {
      ...{ retrieval: defaultRetrievalSettings(), writer: {}, writerShape: {} },
    });
    const values = Array.from({ length: 8 }, (_, at) => at / 20);
    const runs = new Map([
      ['raw', runOf(values)],
      ['more', runOf(values.map((value) => value + 0.1))],
      ['other', runOf(values.map((value, at) => value + (at % 2 === 0 ? 0.1 : -0.1)))],
    ]);
    const options = { suite, systems: three, baseline: 'raw', measure: 'nDCG@10', seed: 42 };
    const { overall } = summarize({ sets: [{ set: setOf('one'), runs }], failures: [] }, options);
    // All 256 signs of eight equal changes: two are as large.
    expect(overall.map(({ randomization }) => randomization)).toEqual([2 / 256, 1]);
    expect(overall.map(({ holm }) => holm)).toEqual([4 / 256, 1]);
  });

  it('says how many expansions of a system are empty, over all sets', () => {
    const empty = (expansions: number, none: number, plainQueries: number) =>
      runsOf(runOf([0, 0]), runOf([0, 1], { emptyTexts: { expansions, empty: none, plainQueries } }));
    const remarksOf = (...runs: ReturnType<typeof runsOf>[]) => {
      const sets = runs.map((of, at) => ({ set: setOf(`s${at}`), runs: of }));
      const options = { suite, systems, baseline: 'raw', measure: 'nDCG@10', seed: 42 };
      return summarize({ sets, failures: [] }, options).remarks;
    };
    expect(remarksOf(empty(4, 3, 1), empty(4, 2, 0))).toEqual([
      'more: 5 of 8 expansions are empty; 1 query has no other, and was searched without expansion.',
    ]);
    expect(remarksOf(empty(4, 1, 0))).toEqual(['more: 1 of 4 expansions is empty.']);
    expect(remarksOf(empty(4, 0, 0))).toEqual([]);
  });

  it('combines the changes of the rows by their precision', () => {
    const [meta] = summary.meta;
    // g: changes of 0.2 (variance 0.08 / 2) and 0 (variance 0.02 / 3 / 4), so 0.1 with (0.04 + 0.02 / 12) / 4; msmarco: 0.1 with 0.02 / 2.
    expect(meta).toMatchObject({ system: 'more', studies: 2, unchanged: [], tauSquared: 0 });
    expect(meta!.effect).toBeCloseTo(0.1, 12);
  });

  it('weighs a group by the variance of the mean of its means', () => {
    const other = { set: setOf('other'), runs: runsOf(runOf([0.3, 0.1]), runOf([0.3, 0.5])) };
    const sets = [...run.sets.filter(({ set }) => set.group === 'g'), other];
    const options = { suite, systems, baseline: 'raw', measure: 'nDCG@10', seed: 42 };
    const [meta] = summarize({ sets, failures: [] }, options).meta;
    // g: 0.1 with (0.04 + 0.02 / 12) / 4, a weight of 96; other: 0.2 with 0.04, a weight of 25.
    expect(meta!.effect).toBeCloseTo((96 * 0.1 + 25 * 0.2) / 121, 12);
  });

  it('leaves a set in which no query changed out of the meta-analysis', () => {
    const same = { set: setOf('same'), runs: runsOf(runOf([0.5, 0.5]), runOf([0.5, 0.5])) };
    const found = summarize(
      { ...run, sets: [...run.sets, same] },
      { suite, systems, baseline: 'raw', measure: 'nDCG@10', seed: 42 },
    );
    expect(found.meta[0]).toMatchObject({ studies: 2, unchanged: ['same'] });
  });
});

describe('tables', () => {
  const data = { ...summary, parity: [] };

  it('show scores, means and the rule for self hits in a terminal', () => {
    expect(terminalTable(data)).toEqual({
      head: ['nDCG@10', 'raw', 'more', 'self hits'],
      rows: [
        ['g (mean of 2)', '0.3000 ', '0.4000 ', 'left out'],
        ['msmarco', '0.2000 ', '0.3000 ', 'left out'],
        ['half', '0.9000 ', 'failed', 'left out'],
        ['mean of 2', '0.2500 ', '0.3500 ', ''],
        ['mean of 1, without msmarco', '0.3000 ', '0.4000 ', ''],
      ],
    });
  });

  it('say below which sets were combined, and write a small p as the tables do', () => {
    const [meta] = data.meta;
    const four = [...data.rows, row('half')];
    const line = (facts: Partial<typeof data>) => metaLines({ ...data, ...facts })[0];
    const three = { ...meta!, studies: 3, p: 1e-6, interval: { low: 0.01, high: 0.2 }, unchanged: ['same'] };
    expect(line({ rows: four, meta: [three] })).toMatch(
      /^more against raw over 3 of 4 sets \(random effects; no query changed in same\): \+0\.1000, 95 % interval \+0\.0100 to \+0\.2000, p < \.0001; /,
    );
    expect(line({ rows: four.slice(1), meta: [three] })).toMatch(/ over all 3 sets \(random effects; .*, p < \.0001; /);
  });

  it('give two sets no interval, which would say nothing', () => {
    expect(data.meta[0]).toMatchObject({ studies: 2, interval: undefined, p: undefined, prediction: undefined });
    expect(metaLines(data)).toEqual([
      'more against raw over 2 of 3 sets (random effects): +0.1000; an interval needs at least 3 sets',
    ]);
    expect(markdownTable(data)).toContain('(random effects) | more | +0.1000 | needs at least 3 sets |');
  });

  it('mark the best score in Markdown, and list every change', () => {
    const text = markdownTable(data);
    expect(text).toContain('| g (mean of 2) | 0.3000 | **0.4000** | left out |');
    expect(text).toContain('| half | **0.9000** | failed | left out |');
    expect(text).toContain('| msmarco | more | +0.1000 | ');
    expect(text).toMatch(/^- more: too few queries to tell it from raw\. Over 8 queries of 2 of 3 sets, /);
  });

  it('are LaTeX for booktabs, with daggers for p and escaped names', () => {
    const test = { ...row('g').cells.more!.test!, holm: 0.004 };
    const cells = { ...row('g').cells, more: { ...row('g').cells.more!, test } };
    const text = latexTable({
      ...data,
      rows: [{ ...row('g'), name: '50%_a', cells }, row('half')],
      systems: [...data.systems].map((one) => ({ ...one, name: one.name })),
    });
    expect(text).toContain('\\begin{tabular}{lrrl}\n\\toprule\nnDCG@10 & raw & more & self hits \\\\\n\\midrule\n');
    expect(text).toContain('50\\%\\_a (mean of 2) & .3000 & \\textbf{.4000}$^{\\ddagger}$ & left out \\\\');
    expect(text).toContain('half & \\textbf{.9000} & -- & left out \\\\\n\\midrule\nmean of 2 & ');
    expect(text).toContain('\\bottomrule\n\\end{tabular}');
  });

  it('explain daggers and self hits in what LaTeX prints, not in a comment', () => {
    const printed = latexTable(data)
      .split('\n')
      .filter((line) => !line.startsWith('%'));
    const note = printed.slice(printed.indexOf('\\end{tabular}') + 1).join('\n');
    expect(note).toContain('$^{\\dagger}$ $p<.05$, $^{\\ddagger}$ $p<.01$ against raw: paired randomisation test');
    expect(note).toContain('Self hits: what happens to a document with the id of the query.');
    expect(note).toContain('bold: the best score of a row');
    // What LaTeX would stop at: braces that do not match, rows of another width, characters that are commands.
    const body = printed.join('\n').replace(/\\[&%$#_{}]/g, '');
    let depth = 0;
    for (const one of body) {
      depth += one === '{' ? 1 : one === '}' ? -1 : 0;
      expect(depth).toBeGreaterThanOrEqual(0);
    }
    expect(depth).toBe(0);
    const rows = printed.filter((line) => line.endsWith('\\\\'));
    expect(new Set(rows.map((line) => line.replace(/\\&/g, '').split('&').length))).toEqual(new Set([4]));
    expect(body.match(/\$/g)!.length % 2).toBe(0);
    expect(body).not.toMatch(/[†‡#]/);
  });

  it('name the systems whose rules for self hits differ', () => {
    const { cells } = row('msmarco');
    const kept = { ...cells.more!, selfHits: 'a document with the id of the query is kept' };
    const rows = [{ ...row('msmarco'), cells: { ...cells, more: kept } }];
    const rule = 'left out (raw); kept (more)';
    expect(terminalTable({ ...data, rows }).rows[0]!.at(-1)).toBe(rule);
    expect(latexTable({ ...data, rows })).toContain(`& ${rule} \\\\`);
  });

  it('are CSV with one value per line', () => {
    const lines = csvTable({ ...data, rows: [{ ...row('msmarco'), name: '=1,"x"' }] }).split('\n');
    const fields = lines[0]!.split(',').length;
    expect(lines[1]).toMatch(/^"'=1,""x""",raw,nDCG@10,0\.2,2,100,,/);
    expect(
      lines
        .at(-2)!
        .replace(/"[^"]*"/, '')
        .split(','),
    ).toHaveLength(fields);
    expect(lines.at(-2)).toMatch(/^"mean of 1, without msmarco",more,MAP@100,0\.4,/);
  });
});

describe('parity', () => {
  const score = (value: number, facts: Partial<SystemRun> = {}) => runOf([value], { documents: 5183, ...facts });
  const parity = (name: string, value: SystemRun, specs = ['raw=bm25']) => {
    const sets = [{ set: setOf(name), runs: new Map([['raw', value]]) }];
    const options = { retrieval: defaultRetrievalSettings(), writer: {}, writerShape: {} };
    return parityOf({ sets, failures: [] }, parseSystems(specs, undefined, options)).map(({ verdict }) => verdict);
  };

  it.each([
    [0.6789, ['equal']],
    [0.6789 + 0.0004, ['equal']],
    [0.6789 - 0.006, ['near']],
    [0.6789 + 0.02, ['off']],
  ])('judges a BM25 of %f on SciFact', (value, verdicts) => {
    expect(parity('scifact', score(value))).toEqual(verdicts);
  });

  it('does not judge other settings, other sets, or queries with expansions', () => {
    expect(parity('scifact', score(0.6, { settings: { k1: 1.2, b: 0.4, analyzer: 'english' } }))).toEqual([]);
    expect(parity('mine', score(0.6))).toEqual([]);
    expect(parity('scifact', score(0.6789), ['raw=bm25,expansions=e'])).toEqual([]);
  });

  it('holds flat and multifield BM25 against their own scores', () => {
    const sets = [
      {
        set: setOf('scifact'),
        runs: new Map([
          ['flat', score(0.6789)],
          ['multi', score(0.6647, { settings: { ...score(0).settings, fields: 'multifield' } })],
        ]),
      },
    ];
    const both = parseSystems(['flat=bm25', 'multi=bm25,fields=multifield'], undefined, {
      ...{ retrieval: defaultRetrievalSettings(), writer: {}, writerShape: {} },
    });
    expect(parityOf({ sets, failures: [] }, both)).toMatchObject([
      { system: 'flat', published: 'BM25, flat', expected: 0.6789, verdict: 'equal' },
      { system: 'multi', published: 'BM25, multifield', expected: 0.6647, verdict: 'equal' },
    ]);
  });

  it.each([
    'raw=bm25,feedback=rm3',
    'raw=bm25,keep-self',
    'raw=dense,feedback=vector',
    'raw=dense,vectors=int8',
    'raw=dense,index=hnsw',
  ])('does not judge %s, which is no raw baseline', (spec) => {
    expect(parity('scifact', score(spec.includes('dense') ? 0.6451 : 0.6789), [spec])).toEqual([]);
  });

  it('does not take a part of a collection for the whole, however it is named', () => {
    expect(parity('scifact', score(0.6789, { documents: 5182 }))).toEqual([]);
    expect(parity('trec-dl-2019', score(0.5058, { documents: 10_818 }))).toEqual([]);
  });

  it('knows an encoder by its last name', () => {
    const dense = (encoder: string) => parity('scifact', score(0.6451), [`raw=dense,encoder=${encoder}`]);
    expect(dense('all-minilm-l6-v2')).toEqual(['equal']);
    expect(dense('hf:sentence-transformers/all-MiniLM-L6-v2')).toEqual(['equal']);
    expect(dense('./mine')).toEqual([]);
  });

  it('gives each set the verdict of the baseline, and lists the others', () => {
    const one = { published: 'p', source: 's', measure: 'nDCG@10', set: 'x' };
    const all = [
      { ...one, system: 'bm25', expected: 0.5, got: 0.5, verdict: 'equal' as const },
      { ...one, system: 'raw', expected: 0.4, got: 0.1, verdict: 'off' as const },
    ];
    expect(parityBySet(all, 'raw').x).toMatchObject({ expected: 0.4, got: 0.1, verdict: 'off', system: 'raw' });
    expect(Object.keys(parityBySet(all, 'raw').x!.systems)).toEqual(['bm25', 'raw']);
    expect(parityBySet(all, 'other').x).toMatchObject({ system: 'bm25', verdict: 'equal' });
  });
});
