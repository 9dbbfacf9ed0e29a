import { appendFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standard } from '../../../test/support/browser.ts';
import { beginStage, HOSTILE, makeSmallRun, metricsAt } from '../../../test/support/small-run.ts';
import { withFileLock } from '../../system/index.ts';
import { answerFailure } from '../http/failures.ts';
import { policies } from '../http/headers.ts';
import type { RunList, RunPage } from '../shapes/runs.ts';
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
  app.route('/api/runs', runsApi(new Studio(standard(runs, stop.signal))));
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
