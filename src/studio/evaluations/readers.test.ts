import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeEvaluation } from '../../../test/support/small-evaluation.ts';
import { compareQueriesOf } from './comparison.ts';
import { viewQuery } from './query-view.ts';
import { EvaluationShelf } from './shelf.ts';

const OVERLAP = { persistence: 0.9, depth: 10 };
let runs: string;

async function put(name: string, content: unknown): Promise<void> {
  const file = join(runs, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
}

beforeAll(async () => {
  runs = await mkdtemp(join(tmpdir(), 'readers-'));
});
afterAll(() => rm(runs, { recursive: true }));

it('reads the values and texts that an alignment recorded', async () => {
  const arm = (name: string) => ({
    ...{ name, description: `arm ${name}`, tuning: [], measures: {}, bySeed: [], words: 0 },
  });
  const test = {
    ...{ arm: 'dpo', baseline: 'raw', measure: 'nDCG@10', delta: 0, interval: [0, 0], tTest: 1, randomization: 1 },
    ...{ holm: 1, helped: 0, hurt: 0, unchanged: 2 },
  };
  const query = (id: string, raw: number, dpo: number) => ({
    ...{ id, text: `text of ${id}`, relevant: [], texts: { dpo: [`wrote ${id}`] }, values: { raw, dpo } },
  });
  await put('aligned/evaluate-0123456789/evaluation.json', {
    ...{ dataset: { name: 'words', documents: 9, dev: 0, test: 2 }, measure: 'nDCG@10', seeds: [7] },
    main: { judge: 'own', settings: {}, arms: ['raw', 'dpo'].map(arm), tests: [test] },
    ...{ judges: [], queries: [query('q1', 0.25, 0.5), query('q2', 1, 0.5)] },
  });
  await put('aligned/evaluate-0123456789/runs/raw.run', 'q1 Q0 d1 1 2 t\nq1 Q0 d2 2 1 t\n');
  await put('aligned/evaluate-0123456789/runs/dpo-7.run', 'q1 Q0 d2 1 2 t\nq1 Q0 d1 2 1 t\n');
  const opened = await new EvaluationShelf(runs, []).open('aligned/evaluate-0123456789');
  const shown = await compareQueriesOf(opened, {}, OVERLAP);
  expect([shown.a, shown.b, shown.measures]).toEqual(['raw', 'dpo', ['nDCG@10']]);
  expect([shown.before, shown.after]).toEqual([
    [0.25, 1],
    [0.5, 0.5],
  ]);
  expect(shown.effect).toMatchObject({ helped: 1, hurt: 1, unchanged: 0 });
  expect(shown.overlap![1]).toBe(1);
  const view = await viewQuery(opened, { id: 'q1', top: 5 });
  expect(view.arms.map(({ name, expansions, hits }) => [name, expansions, hits.map(({ id }) => id)])).toEqual([
    ['raw', [], ['d1', 'd2']],
    ['dpo', ['wrote q1'], ['d2', 'd1']],
  ]);
});

it("reads a benchmark's set: the last finished search of each system, with the studio's corpus", async () => {
  writeEvaluation(join(runs, 'elsewhere'), 4);
  const search = async (system: string, values: number[]) => {
    const folder = `bench/sets/data/${system}-0123456789`;
    await put(`${folder}/values.json`, { ids: ['q0', 'q1'], values: { 'nDCG@10': values } });
    await put(`${folder}/run.trec`, 'q0 Q0 d0 1 1 t\nq1 Q0 d1 1 1 t\n');
    await put(`${folder}/stage.json`, {
      ...{ stage: system, key: 'k', version: '1', seconds: 1, finished: true, outputs: {}, result: { documents: 4 } },
      settings: { set: { split: 'test' }, retriever: 'bm25' },
    });
  };
  await search('raw', [0.5, 1]);
  await search('expanded', [1, 1]);
  const opened = await new EvaluationShelf(runs, [join(runs, 'elsewhere', 'data')]).open('bench/sets/data');
  const shown = await compareQueriesOf(opened, { a: 'raw', b: 'expanded' }, OVERLAP);
  expect([shown.ids, shown.before, shown.after]).toEqual([
    ['q0', 'q1'],
    [0.5, 1],
    [1, 1],
  ]);
  expect(shown.texts[1]).toBe('a "quoted", query');
  expect(shown.command).toContain('qrels/test.tsv');
});
