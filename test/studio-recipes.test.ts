import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { studioApi } from '../src/studio/api/index.ts';
import { answerFailure } from '../src/studio/http/failures.ts';
import { Studio } from '../src/studio/index.ts';
import type { PlannedRun, Resumable } from '../src/studio/shapes/recipes.ts';
import type { RunList, RunPage } from '../src/studio/shapes/runs.ts';
import type { Failure } from '../src/studio/shapes/studio.ts';
import { standard } from './support/browser.ts';
import { RecipePlace, SECRET_KEY } from './support/recipe-place.ts';

/** Runs are real processes of the built program, on tiny models; a server holds back its answers while they are looked at. */
let place: RecipePlace;
let app: Hono;
const stop = new AbortController();

/** A studio over the folder; another one is what a studio that is started again is. */
function openStudio(more: object = {}): Hono {
  const program = [process.execPath, resolve('dist/cli/main.js')];
  const options = { ...standard(place.runs, stop.signal), folder: place.folder, program, ...more };
  const opened = new Hono();
  opened.onError((error, context) => answerFailure(context, error, (fault) => console.error(fault)));
  opened.route('/api', studioApi(new Studio(options)));
  return opened;
}

beforeAll(async () => {
  place = await RecipePlace.open();
  app = openStudio();
});
afterAll(async () => {
  stop.abort();
  await place.close();
});

/** A studio in a process of its own. */
async function startStudio() {
  const words = ['studio', '--port', '0', '--no-open', '--runs', place.runs, '--threads', '1'];
  const child = spawn(process.execPath, [resolve('dist/cli/main.js'), ...words], {
    ...{ cwd: place.folder, stdio: ['ignore', 'ignore', 'pipe'] },
  });
  const [address] = await new Promise<RegExpExecArray>((found) => {
    let log = '';
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      log += text;
      const match = /http:\S+(?=\n)/.exec(log);
      if (match !== null) found(match);
    });
  });
  const { origin, searchParams } = new URL(address!);
  const headers = { authorization: `Bearer ${searchParams.get('token')}`, 'content-type': 'application/json' };
  const send = (path: string, body: object) =>
    fetch(`${origin}/api${path}`, { method: 'POST', body: JSON.stringify(body), headers });
  const kill = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { send, kill };
}

async function ask<T>(path: string, body?: object): Promise<{ status: number; body: T & Failure }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await app.request(`/api${path}`, body && { method: 'POST', body: JSON.stringify(body), headers });
  return { status: answer.status, body: (await answer.json()) as T & Failure };
}

/** Looks again and again until the run is so. */
async function until(isSo: (page: RunPage) => boolean): Promise<RunPage> {
  for (;;) {
    const { body } = await ask<RunPage>('/runs/tiny');
    if (isSo(body)) return body;
    await new Promise((wait) => setTimeout(wait, 20));
  }
}

const form = (edits: object[] = []) => ({
  source: './tiny.yaml',
  edits,
  run: '',
  engine: 'local',
  threads: 1,
  offline: false,
});

function planIn(text: string): PlannedRun {
  expect(text).toContain('event: plan\n');
  return JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as PlannedRun;
}

const groupOf = (pid: number) => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[2]);

const idsOf = ({ consents }: { consents: { id: string }[] }) => consents.map(({ id }) => id);

describe('a run that is started from a recipe', () => {
  let planned: PlannedRun;
  let studio: Awaited<ReturnType<typeof startStudio>>;

  it('is planned first, with its cost and what must be confirmed', async () => {
    studio = await startStudio();
    planned = planIn(await (await studio.send('/recipes/plan', form())).text());
    expect(planned.obstacles).toEqual([]);
    expect(planned.stages.map(({ stage }) => stage)).toContain('dpo');
    expect(planned.total.seconds).toBeGreaterThan(0);
    const server = `${place.chat.baseUrl}/v1`;
    expect(planned.consents).toEqual([expect.objectContaining({ kind: 'server', name: server })]);
    expect(planned.consents[0]!.text).toContain('with the key in OPENAI_API_KEY');
    expect(JSON.stringify(planned)).not.toContain(SECRET_KEY);
    expect(planned.command).toBe(`llm-qe align ./tiny.yaml --out ${join(place.runs, 'tiny')} --threads 1`);
  });

  it('is refused if it was not planned, or not confirmed', async () => {
    expect((await studio.send('/recipes/start', { id: 'other', confirmed: idsOf(planned) })).status).toBe(409);
    const refused = await studio.send('/recipes/start', { id: planned.id, confirmed: [] });
    expect(refused.status).toBe(403);
    const { error } = (await refused.json()) as Failure;
    expect(error.message).toBe(`not confirmed: ${place.chat.baseUrl}/v1`);
    expect(await readdir(place.runs)).toEqual([]);
  });

  it('starts once, whoever starts it', async () => {
    const start = () => studio.send('/recipes/start', { id: planned.id, confirmed: idsOf(planned) });
    const statuses = (await Promise.all([start(), start()])).map(({ status }) => status);
    expect(statuses.sort()).toEqual([200, 409]);
    const { process: found } = await until(({ process: now }) => now?.state === 'running');
    expect(found).toMatchObject({ pid: await place.pid('tiny'), canStop: true });
    // It leads its own group: Ctrl-C in the terminal of the studio does not reach it.
    if (process.platform === 'linux') expect(groupOf(found!.pid!)).toBe(found!.pid);
    const { error } = (await (await start()).json()) as Failure;
    const lock = join(place.runs, 'tiny', '.lock');
    const host = (await readFile(lock, 'utf8')).split(' ')[1];
    expect(error.message).toBe(`process ${found!.pid} on ${host} works in the same folder (lock: ${lock})`);
  });

  it('outlives a studio that is killed, and is found and stopped by the next, which says where it resumes', async () => {
    await studio.kill();
    await until(({ stages }) => stages.some(({ name }) => name === 'candidates'));
    expect((await ask('/runs/tiny/stop', {})).status).toBe(200);
    const stopped = await until(({ process: now }) => now?.state !== 'running' && now?.state !== 'stopping');
    expect(stopped.state).toBe('stopped');
    expect(stopped.process).toMatchObject({ state: 'ended', canResume: true, end: { kind: 'stopped' } });
    expect(stopped.process!.resumesAt).toMatch(/^stage candidates/);
    expect((await ask('/runs/tiny/stop', {})).status).toBe(409);
  });

  it('is resumed with its consents, and told to be killed when it was', async () => {
    const { body: resumable } = await ask<Resumable>('/runs/tiny/resume');
    expect(idsOf(resumable)).toEqual(idsOf(planned));
    expect((await ask('/runs/tiny/resume', { id: resumable.id, confirmed: [] })).status).toBe(403);
    expect((await ask('/runs/tiny/resume', { id: 'other', confirmed: idsOf(resumable) })).status).toBe(409);
    expect((await ask('/runs/tiny/resume', { id: resumable.id, confirmed: idsOf(resumable) })).status).toBe(200);
    await until(({ process: now }) => now?.state === 'running');
    process.kill(await place.pid('tiny'), 'SIGKILL');
    const killed = await until(({ process: now }) => now?.state === 'ended');
    expect(killed.process!.end).toMatchObject({ kind: 'killed' });
    expect(killed.state).toBe('stopped');
  });

  it('waits for nobody: while the command line works in the folder, no second process is started', async () => {
    const recipe = join(place.runs, 'tiny', 'studio', 'recipe.yaml');
    const words = ['dist/cli/main.js', 'align', recipe, '--out', join(place.runs, 'tiny'), '--threads', '1'];
    const child = spawn(process.execPath, words, { stdio: 'ignore' });
    const { process: found } = await until(({ process: now }) => now?.state === 'running');
    expect(found!.pid).toBe(child.pid);
    const { body: resumable } = await ask<Resumable>('/runs/tiny/resume');
    const refused = await ask('/runs/tiny/resume', { id: resumable.id, confirmed: idsOf(resumable) });
    expect(refused).toMatchObject({ status: 409 });
    expect(refused.body.error.message).toContain(`process ${child.pid} on`);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  it('resumes after a kill and ends', async () => {
    place.answer(true);
    const { body: resumable } = await ask<Resumable>('/runs/tiny/resume');
    await ask('/runs/tiny/resume', { id: resumable.id, confirmed: idsOf(resumable) });
    const ended = await until(({ process: now }) => now?.state === 'ended');
    expect(ended.process!.end).toEqual({ kind: 'finished', message: '' });
    expect(ended).toMatchObject({ state: 'finished', hasReport: true });
    const { body: list } = await ask<RunList>('/runs');
    expect(list.runs.map(({ name, state }) => [name, state])).toEqual([['tiny', 'finished']]);
  });

  it('leaves the key in no file', async () => {
    const files = await readdir(place.runs, { recursive: true, withFileTypes: true });
    for (const file of files.filter((one) => one.isFile())) {
      expect(await readFile(join(file.parentPath, file.name), 'latin1')).not.toContain(SECRET_KEY);
    }
  });
});
