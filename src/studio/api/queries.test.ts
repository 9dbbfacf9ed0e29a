import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standard } from '../../../test/support/browser.ts';
import { writeEvaluation } from '../../../test/support/small-evaluation.ts';
import { readQrels, readRun } from '../../data/index.ts';
import { compareRuns } from '../../measures/index.ts';
import { answerFailure } from '../http/failures.ts';
import type { EvaluationList, QueryComparison, QueryView } from '../shapes/queries.ts';
import { Studio } from '../studio.ts';
import { queriesApi } from './queries.ts';

let root: string;
let runs: string;
let app: Hono;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'queries-'));
  runs = join(root, 'runs');
  writeEvaluation(join(runs, 'first'));
  await mkdir(join(runs, 'empty'), { recursive: true });
  const studio = new Studio(standard(runs, new AbortController().signal));
  app = new Hono();
  app.onError((error, context) => answerFailure(context, error, () => {}));
  app.route('/', queriesApi(studio));
});

afterAll(() => rm(root, { recursive: true }));

async function ask<T>(path: string, params: Record<string, string> = {}): Promise<T> {
  const answer = await app.request(`${path}?${new URLSearchParams(params)}`);
  expect([answer.status, answer.status === 200 ? '' : await answer.clone().text()]).toEqual([200, '']);
  return (await answer.json()) as T;
}

const first = { evaluation: 'first' };

describe('evaluations', () => {
  it('are the folders of runs that hold one', async () => {
    const { evaluations, folder } = await ask<EvaluationList>('/');
    expect(evaluations.map(({ id, kind }) => [id, kind])).toEqual([['first', 'runs']]);
    expect(folder).toBe(runs);
  });

  it('are only found by their exact id, so that no id leads out of the folder of the runs', async () => {
    writeEvaluation(join(root, 'outside'));
    await symlink(join(root, 'outside'), join(runs, 'link'));
    for (const evaluation of ['../outside', join(root, 'outside'), 'first/', 'first/../first', 'link', 'empty', '.']) {
      const answer = await app.request(`/comparison?${new URLSearchParams({ evaluation })}`);
      expect([evaluation, answer.status]).toEqual([evaluation, 404]);
    }
    await rm(join(runs, 'link'));
  });
});

describe('a comparison', () => {
  it('is that of compareRuns, for raw against expanded if nothing is chosen', async () => {
    const shown = await ask<QueryComparison>('/comparison', first);
    expect([shown.a, shown.b, shown.measure]).toEqual(['run-raw', 'run', 'nDCG@10']);
    const [a, b] = await Promise.all(['run-raw', 'run'].map((name) => readRun(join(runs, 'first', `${name}.trec`))));
    const qrels = await readQrels(join(runs, 'first', 'data', 'qrels', 'test.tsv'));
    const expected = compareRuns(qrels, a!, b!, { measure: 'nDCG@10', missing: 'zero', seed: 42 });
    const byId = new Map(expected.changes.map((change) => [change.query, change]));
    shown.ids.forEach((id, row) => {
      expect([shown.before![row], shown.after![row]]).toEqual([byId.get(id)!.a, byId.get(id)!.b]);
    });
    expect(shown.ids).toHaveLength(expected.queries);
    const { delta, helped, hurt, unchanged, interval } = expected;
    expect(shown.effect).toMatchObject({ helped, hurt, unchanged, meanA: expected.meanA, meanB: expected.meanB });
    expect(shown.effect!.delta).toBeCloseTo(delta, 12);
    expect(shown.effect!.interval).toEqual([interval.low, interval.high]);
    expect(shown.effect!.randomization).toBe(expected.randomization.p);
    expect(shown.notes).toEqual([]);
  });

  it('orders rankings by how much they have in common', async () => {
    const { ids, overlap } = await ask<QueryComparison>('/comparison', { ...first, depth: '10' });
    const of = (id: string) => overlap![ids.indexOf(id)]!;
    expect(of('q2')).toBeCloseTo(1, 12);
    expect(of('q0')).toBeLessThan(of('q2'));
  });

  it('counts each query once in every kind of slice', async () => {
    const { ids, slices, before } = await ask<QueryComparison>('/comparison', first);
    const kinds = new Set(slices.map(({ kind }) => kind));
    expect(kinds.size).toBeGreaterThan(0);
    for (const kind of kinds) {
      const rows = slices.filter((one) => one.kind === kind).flatMap((one) => one.rows);
      expect(rows.sort((a, b) => a - b)).toEqual(ids.map((_, row) => row));
    }
    const { rows, before: mean } = slices[0]!;
    expect(mean).toBeCloseTo(rows.reduce((sum, row) => sum + before![row]!, 0) / rows.length, 12);
  });

  it('says how to get the same on the command line and in a program', async () => {
    const { command, code } = await ask<QueryComparison>('/comparison', first);
    const folder = join(runs, 'first');
    expect(command).toBe(
      `llm-qe compare ${folder}/run-raw.trec ${folder}/run.trec --qrels ${folder}/data/qrels/test.tsv --measure nDCG@10 --missing zero --seed 42`,
    );
    expect(code).toContain(`readRun(${JSON.stringify(`${folder}/run.trec`)})`);
  });

  it('needs no judgements to order by rankings', async () => {
    await mkdir(join(runs, 'bare'));
    for (const name of ['run.trec', 'run-raw.trec']) {
      await writeFile(join(runs, 'bare', name), await readFile(join(runs, 'first', name)));
    }
    const shown = await ask<QueryComparison>('/comparison', { evaluation: 'bare' });
    expect([shown.effect, shown.before, shown.command]).toEqual([null, null, null]);
    expect(shown.overlap).toHaveLength(shown.ids.length);
    expect(shown.notes.join(' ')).toContain('--corpus');
    await rm(join(runs, 'bare'), { recursive: true });
  });

  it('refuses what is not there, and what does not fit', async () => {
    for (const [params, status] of [
      [{ ...first, a: 'nobody' }, 404],
      [{ ...first, depth: '1000000' }, 400],
      [{}, 400],
    ] as const) {
      const answer = await app.request(`/comparison?${new URLSearchParams(params as Record<string, string>)}`);
      expect(answer.status).toBe(status);
    }
  });
});

describe('a query', () => {
  it('is shown in all arms, with ranks, relevance, texts and expansions', async () => {
    const view = await ask<QueryView>('/query', { ...first, id: 'q0', top: '3' });
    expect(view.text).toBe('<img src=x onerror=alert(1)> saw');
    expect(view.arms.map(({ name }) => name)).toEqual(['run-raw', 'run', 'other']);
    const [raw, expanded] = view.arms as [QueryView['arms'][number], QueryView['arms'][number]];
    expect(raw.hits.map(({ id }) => id)).toEqual(['d1', 'd2', 'd0']);
    expect(raw.hits.map(({ grade }) => grade)).toEqual([null, null, 2]);
    expect(raw.hits.map(({ otherRank }) => otherRank)).toEqual([null, 2, 1]);
    expect([raw.expansions, expanded.expansions]).toEqual([[], ['a tool <b>that</b> cuts']]);
    expect(view.documents.d0).toEqual({ title: '', text: 'a saw <script>alert(1)</script> is a saw' });
    expect(view.relevant).toEqual([{ id: 'd0', grade: 2, ranks: [3, 1, null] }]);
  });

  it('is refused if no arm knows it', async () => {
    const answer = await app.request(`/query?${new URLSearchParams({ ...first, id: '../../etc/passwd' })}`);
    expect(answer.status).toBe(404);
  });
});

describe('exports', () => {
  const exported = async (name: string) => {
    const answer = await app.request(`/export/${name}?evaluation=first`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment; filename="[\w.-]+"$/);
    return answer.text();
  };

  it('are read back: run and qrels', async () => {
    const folder = join(runs, 'first');
    for (const [name, file, read] of [
      ['run-b', join(folder, 'run.trec'), readRun],
      ['qrels', join(folder, 'data/qrels/test.tsv'), readQrels],
    ] as const) {
      const copy = join(root, name);
      await writeFile(copy, await exported(name));
      const entries = async (path: string) => [...(await read(path))].map(([id, rows]) => [id, [...rows]]);
      expect(await entries(copy)).toEqual(await entries(file));
    }
  });

  it('have the columns of Quepid, and quote what CSV needs quoted', async () => {
    const ratings = (await exported('quepid-ratings')).split('\r\n');
    expect(ratings.slice(0, 2)).toEqual(['query,docid,rating', '<img src=x onerror=alert(1)> saw,d0,2']);
    expect(ratings).toContain('"a ""quoted"", query",d1,1');
    const snapshot = (await exported('quepid-snapshot')).split('\r\n');
    expect(snapshot[0]).toBe('Snapshot Name,Snapshot Time,Case ID,Query Text,Doc ID,Doc Position');
    expect(snapshot[1]).toMatch(/^run,\d{4}-\d\d-\d\dT[\d:]+Z,1,<img src=x onerror=alert\(1\)> saw,d0,1$/);
  });

  it('hold the values of the screen, as a table and as a page that runs nothing', async () => {
    const shown = await ask<QueryComparison>('/comparison', first);
    const lines = (await exported('queries')).trim().split('\r\n');
    expect(lines).toHaveLength(shown.ids.length + 1);
    const page = await exported('report');
    expect(page).toContain('&lt;img src=x onerror');
    expect(page).not.toContain('<img');
    expect(page).not.toContain('<script');
    expect(page).toContain(shown.effect!.verdict.words.slice(1));
    expect(page).toContain('24 queries over 24 documents');
  });

  it('are none under another name', async () => {
    expect((await app.request('/export/..%2f..%2fsecret?evaluation=first')).status).toBe(404);
  });
});
