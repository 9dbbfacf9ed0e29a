import { appendFile, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standard } from '../../../test/support/browser.ts';
import { beginStage, HOSTILE, makeSmallRun, metricsAt } from '../../../test/support/small-run.ts';
import { withFileLock } from '../../system/index.ts';
import { answerFailure } from '../http/failures.ts';
import { policies } from '../http/headers.ts';
import { RunProcesses } from '../recipes/run-process.ts';
import type {
  CandidateRow,
  PairAudit,
  PairRow,
  Rows,
  RunDifference,
  RunList,
  RunPage,
  Scores,
  TextRow,
  TrainingCurves,
} from '../shapes/runs.ts';
import type { Failure } from '../shapes/studio.ts';
import { Studio } from '../studio.ts';
import { runsApi } from './runs.ts';

let runs: string;
let app: Hono;
const stop = new AbortController();
const faults: unknown[] = [];

beforeAll(async () => {
  runs = await mkdtemp(join(tmpdir(), 'studio-runs-'));
  await makeSmallRun(join(runs, 'small'));
  app = new Hono();
  app.use(policies());
  app.onError((error, context) => answerFailure(context, error, (fault) => faults.push(fault)));
  app.route('/api/runs', runsApi(new Studio(standard(runs, stop.signal)), new RunProcesses(runs, undefined)));
});
afterAll(async () => {
  stop.abort();
  await rm(runs, { recursive: true });
  expect(faults).toEqual([]);
});

async function ask<T>(path: string): Promise<T> {
  const answer = await app.request(`/api/runs${path}`);
  expect([path, answer.status]).toEqual([path, 200]);
  return (await answer.json()) as T;
}

async function refusal(path: string): Promise<string> {
  const answer = await app.request(`/api/runs${path}`);
  expect([path, answer.status]).toEqual([path, expect.toBeOneOf([400, 404, 422])]);
  return ((await answer.json()) as Failure).error.message;
}

describe('the page of a run', () => {
  it('tells its stages with files, results, settings and time, and the recipe', async () => {
    const page = await ask<RunPage>('/small');
    expect(page).toMatchObject({ name: 'small', state: 'finished', hasReport: true, faults: [] });
    expect(page.stages.map(({ name }) => name)).toEqual(['candidates', 'reward', 'pairs', 'dpo', 'evaluate']);
    const dpo = page.stages[3]!;
    expect(dpo).toMatchObject({ finished: true, hasCurves: true, progress: [], result: [['steps', '20']] });
    expect(dpo.settings[0]).toEqual(['beta', '0.1']);
    expect(dpo.outputs).toEqual([{ name: 'metrics', file: 'metrics.jsonl', bytes: expect.any(Number) }]);
    expect(page.manifest).toMatchObject({ command: 'align', version: '0.1.0' });
    expect(page.manifest!.settings).toContainEqual(['dpo.learningRate', '0.00002']);
    expect(page.manifest!.settings).toContainEqual(['description', HOSTILE]);
  });

  it('tells how far a stopped stage is, from the whole lines of its journals', async () => {
    const run = join(runs, 'cut');
    await makeSmallRun(run);
    const folder = await beginStage(run, 'answers', { 'answers.jsonl.journal': '{}\n{}\n{"half' });
    const page = await ask<RunPage>('/cut');
    expect(page.state).toBe('stopped');
    const answers = page.stages.find(({ name }) => name === 'answers')!;
    expect(answers.finished).toBe(false);
    expect(answers.progress).toMatchObject([{ file: 'answers.jsonl.journal', done: 2, total: 6, unit: 'queries' }]);
    await appendFile(join(folder, 'answers.jsonl.journal'), '"}\n{}\n');
    const later = await ask<RunPage>('/cut');
    expect(later.stages.find(({ name }) => name === 'answers')!.progress[0]!.done).toBe(4);
  });

  it('names a damaged stage and a manifest that is none, and shows the rest', async () => {
    const run = join(runs, 'damaged');
    await makeSmallRun(run);
    await mkdir(join(run, 'sft-0123456789'));
    await writeFile(join(run, 'sft-0123456789', 'stage.json'), '{"stage"');
    await writeFile(join(run, 'manifest.json'), '[]');
    const page = await ask<RunPage>('/damaged');
    expect(page.stages).toHaveLength(5);
    expect(page.faults.join('\n')).toMatch(
      /stage\.json: is not the record of a stage[\s\S]*manifest\.json: is not a manifest/,
    );
  });

  it.each([
    '/nowhere',
    '/..',
    '/%2e%2e',
    '/..%2f..%2fetc',
    '/small%2fdpo',
    '/%00',
    '/small%5c..',
    '/link',
    '/notes.txt',
  ])('has no run at %s', async (path) => {
    await symlink('/etc', join(runs, 'link')).catch(() => {});
    await writeFile(join(runs, 'notes.txt'), 'no run');
    expect((await app.request(`/api/runs${path}`)).status).toBe(404);
    expect((await app.request(`/api/runs${path}/report`)).status).toBe(404);
  });
});

describe('a run that was cut off', () => {
  it('says where it resumes: at the last checkpoint of a training, or with the texts that are kept', async () => {
    const run = join(runs, 'cut');
    await makeSmallRun(run);
    const ledger = { version: 1, identity: {}, last: 1200, best: 20 };
    await beginStage(run, 'sft', { 'training.json': JSON.stringify(ledger), 'metrics.jsonl': '{}\n' });
    expect((await ask<RunPage>('/cut')).process).toMatchObject({ state: 'ended', resumesAt: 'stage sft, step 1,200' });
    const texts = await beginStage(run, 'expand-sft', { 'texts.journal': '1\n2\n3\n' });
    const later = new Date(Date.now() + 1000);
    await utimes(texts, later, later);
    expect((await ask<RunPage>('/cut')).process!.resumesAt).toBe('stage expand-sft, with 3 texts kept');
    await rm(run, { recursive: true });
  });
});

describe('a run without stages', () => {
  const comparison = {
    ...{ arm: 'dense + expansion', baseline: 'dense', measure: 'nDCG@10', delta: 0.1, interval: [0.05, 0.15] },
    ...{ tTest: 0.001, randomization: 0.0002, helped: 60, hurt: 10, unchanged: 30 },
  };
  const report = {
    ...{ format: 'llm-qe report 2', title: 'a demo', queries: [], made: [], settings: [], remarks: [] },
    dataset: { name: HOSTILE, split: 'test', documents: 2000, queries: 100 },
    arms: ['dense', 'dense + expansion'].map((name, at) => ({
      ...{ name, description: '', measures: { 'nDCG@10': 0.4 + at / 10, 'MRR@10': 0.3 } },
    })),
    comparisons: [comparison],
  };

  it('has the scores of its report', async () => {
    await mkdir(join(runs, 'reported'));
    await writeFile(join(runs, 'reported', 'report.json'), JSON.stringify(report));
    expect(await ask<RunPage>('/reported')).toMatchObject({ stages: [], hasScores: true });
    const scores = await ask<Scores>('/reported/evaluation');
    expect(scores).toMatchObject({ dataset: HOSTILE, documents: 2000, queries: 100, measure: 'nDCG@10' });
    const [{ judge, measures, arms, tests }] = scores.judgements as [Scores['judgements'][number]];
    expect([judge, measures]).toEqual([undefined, ['nDCG@10', 'MRR@10']]);
    expect(arms.map((arm) => arm.measures['nDCG@10'])).toEqual([0.4, 0.5]);
    expect(tests).toMatchObject([{ delta: 0.1, p: 0.0002, helped: 60, hurt: 10, verdict: { kind: 'gain' } }]);
    expect(tests[0]).not.toHaveProperty('holm');
  });

  it('says so without a report, and names one that is none', async () => {
    await mkdir(join(runs, 'begun'));
    expect((await ask<RunPage>('/begun')).hasScores).toBe(false);
    expect(await refusal('/begun/evaluation')).toContain('report.json');
    await writeFile(join(runs, 'begun', 'report.json'), JSON.stringify({ ...report, arms: 'none' }));
    expect(await refusal('/begun/evaluation')).toContain('is not the data of a report');
  });

  it('leads out of its folder by no link', async () => {
    await mkdir(join(runs, 'linked-data'));
    await symlink(join(runs, 'reported', 'report.json'), join(runs, 'linked-data', 'report.json'));
    expect(await refusal('/linked-data/evaluation')).toContain('has no file');
  });
});

describe('a run that goes on elsewhere', () => {
  it('is followed: each change is an event', async () => {
    const run = join(runs, 'live');
    await makeSmallRun(run);
    const folder = await beginStage(run, 'sft', { 'metrics.jsonl': `${JSON.stringify(metricsAt(1)[0])}\n` });
    const pages: RunPage[] = [];
    const gone = new AbortController();
    await withFileLock(join(run, '.lock'), async () => {
      const answer = await app.request('/api/runs/live/live', { signal: gone.signal });
      const texts = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let read = ''; pages.length < 2; ) {
        read += (await texts.read()).value;
        const blocks = read.split('\n\n');
        read = blocks.pop()!;
        for (const block of blocks) {
          expect(block).toMatch(/^event: run\n/);
          pages.push(JSON.parse(block.slice(block.indexOf('data: ') + 6)) as RunPage);
          await appendFile(join(folder, 'metrics.jsonl'), `${JSON.stringify(metricsAt(2)[0])}\n`);
        }
      }
      await texts.cancel();
    });
    const doneOf = ({ stages }: RunPage) => stages.find(({ name }) => name === 'sft')!.progress[0]!.done;
    expect(pages.map(({ state }) => state)).toEqual(['running', 'running']);
    expect(pages.map(doneOf)).toEqual([1, 2]);
  });
});

describe('the list of runs', () => {
  it('tells trials and demos that were cut off from those that ended', async () => {
    const states = async () => {
      const { runs: listed } = await ask<RunList>('');
      return Object.fromEntries(listed.map(({ name, state }) => [name, state]));
    };
    await mkdir(join(runs, 'demo'));
    const journal = join(runs, 'demo', 'expansions.jsonl.journal');
    await writeFile(journal, '');
    expect(await states()).toMatchObject({ demo: 'stopped', small: 'finished' });
    await withFileLock(`${journal}.lock`, async () => expect(await states()).toMatchObject({ demo: 'running' }));
    await writeFile(join(runs, 'demo', 'report.html'), '');
    expect(await states()).toMatchObject({ demo: 'finished' });
  });
});

describe('the report of a run', () => {
  it('is sent under a policy of its own: no origin, no script, nothing loaded', async () => {
    const answer = await app.request('/api/runs/small/report');
    expect(await answer.text()).toContain('<h1>Report of');
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = answer.headers.get('content-security-policy')!;
    expect(policy).toMatch(/^sandbox; default-src 'none'; /);
    expect(policy).not.toMatch(/script-src|allow-|https?:/);
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('is not one that a link leads to', async () => {
    await mkdir(join(runs, 'linked'));
    await symlink('/etc/passwd', join(runs, 'linked', 'report.html'));
    expect(await refusal('/linked/report')).toMatch(/has no file "report.html"/);
  });
});

describe('what the stages made', () => {
  const big = 'big';
  beforeAll(() => makeSmallRun(join(runs, big), { queries: 150 }));

  it('is shown in parts: candidates with their rewards, by id', async () => {
    const first = await ask<Rows<CandidateRow>>(`/${big}/candidates`);
    expect(first).toMatchObject({ total: 450, from: 0, isCut: false });
    expect(first.rows).toHaveLength(100);
    expect(first.rows[4]).toEqual({
      ...{ id: 'q1#1', queryId: 'q1', query: 'what is thing 1?' },
      ...{ text: 'thing 1 in words of kind 1', temperature: 0.7, finish: 'stop' },
      ...{ isDuplicate: false, reward: { total: 2, rewards: { 'rank-gold': 2 }, ranks: { gold: 2 } } },
    });
    const last = await ask<Rows<CandidateRow>>(`/${big}/candidates?first=440`);
    expect(last.rows.map(({ id }) => id)).toEqual(
      Array.from({ length: 10 }, (_, at) => `q${146 + Math.floor((at + 2) / 3)}#${(at + 2) % 3}`),
    );
    expect((await ask<Rows<CandidateRow>>(`/${big}/candidates?first=99999`)).rows).toHaveLength(1);
  });

  it('is found by a text, whatever its case and its signs', async () => {
    const found = await ask<Rows<CandidateRow>>(`/${big}/candidates?filter=${encodeURIComponent('THING 14 ')}`);
    expect(found.rows.map(({ id }) => id)).toEqual(['q14#0', 'q14#1', 'q14#2']);
    const hostile = await ask<Rows<CandidateRow>>(`/${big}/candidates?filter=${encodeURIComponent(HOSTILE)}`);
    expect(hostile.rows.map(({ text }) => text)).toEqual([0, 1, 2].map((kind) => `${HOSTILE} ${kind}`));
    expect((await ask<Rows<CandidateRow>>(`/${big}/candidates?filter=nowhere`)).total).toBe(0);
  });

  it('pairs: prompt, both sides and their rewards, with the audit', async () => {
    const { total, rows } = await ask<Rows<PairRow>>(`/${big}/pairs`);
    expect(total).toBe(148);
    const hostile = rows.find(({ queryId }) => queryId === 'q0')!;
    expect(hostile.prompt).toContain(`what is ${HOSTILE}?`);
    expect(hostile.query).toBe(`what is ${HOSTILE}?`);
    expect(hostile).toMatchObject({ chosen: `${HOSTILE} 2`, chosenReward: 2 });
    expect((await ask<Rows<PairRow>>(`/${big}/pairs?part=dev`)).total).toBe(1);
    const { facts } = await ask<PairAudit>(`/${big}/audit`);
    expect(facts).toContainEqual(['pairs.train', '148']);
    expect(JSON.stringify(facts)).not.toContain('onerror');
  });

  it('curves of each metric; a value that is no number is a gap, half a line is left out', async () => {
    const { stages } = await ask<RunPage>(`/${big}`);
    const { folder } = stages.find(({ name }) => name === 'dpo')!;
    const { steps, curves, isThinned } = await ask<TrainingCurves>(`/${big}/curves?stage=${folder}`);
    expect([steps, isThinned]).toEqual([20, false]);
    expect(curves.find(({ name, split }) => name === 'loss' && split === 'dev')!.points).toEqual([
      [10, expect.closeTo(0.61, 9)],
      [20, expect.closeTo(0.51, 9)],
    ]);
    expect(curves.find(({ name }) => name === 'gradientNorm')!.points[2]).toEqual([3, null]);
    const begun = await beginStage(join(runs, big), 'sft', {
      'metrics.jsonl': `${Array.from({ length: 5000 }, (_, at) => JSON.stringify(metricsAt(at + 1)[0])).join('\n')}\n{"time":1`,
    });
    const long = await ask<TrainingCurves>(`/${big}/curves?stage=${basename(begun)}`);
    expect([long.steps, long.isThinned]).toEqual([5000, true]);
    for (const { points } of long.curves) expect(points.length).toBeLessThan(2000);
  });

  it('scores of each arm, and the tests with their verdict', async () => {
    const { judgements, measure, queries } = await ask<Scores>(`/${big}/evaluation`);
    expect([measure, queries]).toEqual(['nDCG@10', 150]);
    const [{ arms, tests, measures }] = judgements as [Scores['judgements'][number]];
    expect(arms.map(({ name }) => name)).toEqual(['raw', 'zeroShot', 'aligned']);
    expect(measures).toHaveLength(26);
    expect(measures.slice(0, 2)).toEqual(['nDCG@10', 'Recall@100']);
    const test = tests.find(({ arm, baseline }) => arm === 'aligned' && baseline === 'zeroShot')!;
    expect(test).toMatchObject({ helped: 100, hurt: 50, verdict: { kind: 'gain', name: 'a real gain' } });
    expect(test.delta).toBeCloseTo(0.2 / 3, 9);
  });

  it('texts before and after, and a search in them', async () => {
    const { total, rows } = await ask<Rows<TextRow>>(`/${big}/texts?filter=${encodeURIComponent('before: 7')}`);
    expect(total).toBe(11);
    expect(rows[0]).toMatchObject({ id: 't7', texts: { zeroShot: ['before: 7'], aligned: ['after: 7'] } });
  });

  it.each([
    '/candidates?stage=..',
    '/candidates?stage=dpo-0000000000',
    '/candidates?first=-1',
    '/candidates?first=x',
    '/curves?stage=..',
    '/curves?stage=%2fetc',
    '/curves?stage=..%2f..%2fetc',
    '/pairs?part=secret',
    '/against?other=..',
  ])('refuses %s', async (path) => {
    expect(await refusal(`/${big}${path}`)).not.toBe('');
  });

  it('never leaves the run, whatever a record says', async () => {
    const run = join(runs, 'foreign');
    const { stages } = await makeSmallRun(run);
    const record = stages.candidates!;
    const folder = join(run, `candidates-${record.key.slice(0, 10)}`);
    const lie = (file: string) => {
      const outputs = { candidates: { ...record.outputs.candidates!, file } };
      return writeFile(join(folder, 'stage.json'), JSON.stringify({ ...record, outputs }));
    };
    await writeFile(join(runs, 'secret.jsonl'), '{}\n');
    await symlink(join(runs, 'secret.jsonl'), join(folder, 'inside.jsonl'));
    for (const file of ['../../secret.jsonl', join(runs, 'secret.jsonl'), 'inside.jsonl']) {
      await lie(file);
      expect(await refusal('/foreign/candidates')).toMatch(/^the run has no file/);
    }
  });
});

describe('two runs', () => {
  it('differ in settings and scores, by a paired test of each arm', async () => {
    await makeSmallRun(join(runs, 'one'), { queries: 60, gain: 0.02, beta: 0.2 });
    await makeSmallRun(join(runs, 'two'), { queries: 60, gain: 0.2 });
    const found = await ask<RunDifference>('/one/against?other=two');
    expect(found).toMatchObject({ a: 'one', b: 'two', measure: 'nDCG@10', queries: 60, alone: 0 });
    expect(found.settings).toEqual([{ name: 'dpo.beta', a: '0.2', b: '0.1' }]);
    expect(found.same).toBe(4);
    const aligned = found.arms.find(({ arm }) => arm === 'aligned')!;
    expect(aligned.delta).toBeCloseTo(0.18 / 3, 9);
    expect(aligned.meanB - aligned.meanA).toBeCloseTo(aligned.delta, 9);
    expect(aligned).toMatchObject({ helped: 40, hurt: 20, verdict: { kind: 'gain' } });
    expect(found.arms.find(({ arm }) => arm === 'raw')).toMatchObject({
      delta: 0,
      unchanged: 60,
      verdict: { kind: 'none' },
    });
  });

  it('are not compared without an evaluation of both', async () => {
    await mkdir(join(runs, 'bare'));
    const found = await ask<RunDifference>('/one/against?other=bare');
    expect(found).toMatchObject({
      why: 'bare has no finished evaluation of an alignment, which holds a value for each query.',
      arms: [],
      queries: 0,
    });
  });
});
