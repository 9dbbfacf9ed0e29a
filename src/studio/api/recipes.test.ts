import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { standard } from '../../../test/support/browser.ts';
import { HOSTILE } from '../../../test/support/small-run.ts';
import { writeTinyDataset } from '../../../test/support/tiny-dataset.ts';
import { formatIdentity, identityOf, isAbort, type Progress } from '../../system/index.ts';
import { answerFailure } from '../http/failures.ts';
import { draftOf, recipeFormSchema } from '../recipes/draft.ts';
import { MAIN_FIELDS } from '../recipes/main-fields.ts';
import { PlannedRuns } from '../recipes/plan-run.ts';
import type { CheckedRecipe, PlannedRun, RecipeChoices, RecipeSource } from '../shapes/recipes.ts';
import type { RunPage } from '../shapes/runs.ts';
import type { Failure } from '../shapes/studio.ts';
import { Studio, type StudioOptions } from '../studio.ts';
import { studioApi } from './index.ts';

let folder: string;
let app: Hono;
const stop = new AbortController();

/** Whatever is started here says so and ends. */
const PROGRAM = [process.execPath, '-e', 'console.log("manifest: none")'];

function openStudio(more: Partial<StudioOptions> = {}): Hono {
  const options = { ...standard(join(folder, 'runs'), stop.signal), folder, program: PROGRAM, ...more };
  const opened = new Hono();
  opened.onError((error, context) => answerFailure(context, error, (fault) => console.error(fault)));
  opened.route('/api', studioApi(new Studio(options)));
  return opened;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'studio-recipes-'));
  await mkdir(join(folder, 'runs'));
  await mkdir(join(folder, 'recipes'));
  writeTinyDataset(join(folder, 'set'));
  const data = `data: { kind: beir, folder: ${JSON.stringify(join(folder, 'set'))} }`;
  const models = `generator: { model: ./src/generate/goldens/tiny-llama.gguf }\nencoder: { model: ./src/embed/goldens/tiny-encoder }`;
  const common = `${data}\n${models}\ndpo: { maxLength: 64 }\nsft: { enabled: false }\nevaluation: { alphas: [0.5] }`;
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  await write('plain.yaml', `name: plain\ndescription: ${JSON.stringify(HOSTILE)}\n${common}\n`);
  await write('code.yml', `name: code\n${common}\nreward: { weights: { ${join(folder, 'mine.mjs')}: 1 } }\n`);
  await write('mine.mjs', 'export default { name: "mine", score: () => { throw new Error("it ran") } };\n');
  await write(
    'keys.yaml',
    `name: keys\n${data}\ngenerator: { servers: ["http://me:sesame-open@h:1/v1", "http://h:2/v1?api_key=abcdef"] }\n`,
  );
  await write('recipes/large.yaml', `name: large\n#${'x'.repeat(70_000)}`);
  await write('.hidden.yaml', 'name: hidden\n');
  await symlink('/etc/hostname', join(folder, 'link.yaml'));
  app = openStudio();
});
beforeEach(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.stubEnv('OPENAI_API_KEY', '');
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  stop.abort();
  await rm(folder, { recursive: true });
});

async function ask<T>(path: string, body?: object): Promise<{ status: number; body: T & Failure; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const answer = await app.request(`/api${path}`, body && { method: 'POST', body: JSON.stringify(body), headers });
  const text = await answer.text();
  return { status: answer.status, text, body: (text.startsWith('{') ? JSON.parse(text) : undefined) as T & Failure };
}

const formOf = (source: string, edits: object[] = [], more: object = {}) => ({
  ...{ source, edits, run: '', engine: 'local', offline: false, ...more },
});
const check = async (source: string, edits: object[] = [], more: object = {}) =>
  (await ask<CheckedRecipe>('/recipes/check', formOf(source, edits, more))).body;

async function plan(source: string, edits: object[] = []): Promise<PlannedRun> {
  const { text } = await ask('/recipes/plan', formOf(source, edits));
  expect(text).toMatch(/^event: plan\n/);
  return JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as PlannedRun;
}

describe('the form', () => {
  it('has every setting of the schema once, with its type, default, bounds and choices', async () => {
    const { sections, recipes } = (await ask<RecipeChoices>('/recipes')).body;
    const fields = new Map(sections.flatMap((section) => section.fields).map((field) => [field.key, field]));
    expect(fields.get('dpo.beta')).toMatchObject({ kind: 'number', byDefault: '0.1', bounds: 'more than 0' });
    expect(fields.get('dpo.lrScheduler')).toMatchObject({ kind: 'choice', choices: ['linear', 'cosine', 'constant'] });
    expect(fields.get('sft.enabled')).toMatchObject({ kind: 'switch', byDefault: 'true', isMain: true });
    expect(fields.get('candidates.temperatures')).toMatchObject({ kind: 'yaml', byDefault: '[ 0.8, 0.9, 1, 1.1 ]' });
    expect(fields.get('data.folder')).toMatchObject({ isRequired: true, when: { key: 'data.kind', value: 'beir' } });
    expect(fields.get('expansion.serverModels.sft')).toMatchObject({ kind: 'text', isRequired: false });
    expect(fields.get('evaluation.dataset.folder')).toMatchObject({ isRequired: false });
    expect([...MAIN_FIELDS].filter((key) => !fields.has(key))).toEqual([]);
    expect(recipes.map(({ source }) => source)).toEqual(
      expect.arrayContaining(['demo', 'paper', 'smoke', './plain.yaml', './code.yml', './recipes/large.yaml']),
    );
    expect(recipes.filter(({ source }) => /hidden|link/.test(source))).toEqual([]);
  });

  it('is filled with what the recipe sets, and with nothing else', async () => {
    const { values } = (await ask<RecipeSource>('/recipes/source?source=demo')).body;
    expect(values).toMatchObject({ name: 'demo', 'dpo.beta': '0.1', 'data.kind': 'wordnet' });
    expect(values).not.toHaveProperty('dpo.loraR');
  });

  it.each([
    '../x.yaml',
    './../x.yaml',
    '/etc/hostname',
    './link.yaml',
    './.hidden.yaml',
    './set/corpus.jsonl',
    'nothing',
    './no.yaml',
  ])('finds no recipe %s', async (source) => {
    expect((await ask(`/recipes/source?source=${encodeURIComponent(source)}`)).status).toBe(404);
    expect((await ask('/recipes/check', formOf(source))).status).toBe(404);
  });

  it('reads no file that is larger than a recipe', async () => {
    expect((await ask('/recipes/source?source=./recipes/large.yaml')).status).toBe(422);
  });

  it('names the field of every fault, and the name of the run among them', async () => {
    const { faults, command } = await check('demo', [{ key: 'dpo.beta', yaml: '-1' }], { run: '../x' });
    expect(faults.map(({ key }) => key)).toEqual(['dpo.beta', 'run']);
    expect(command).toBe('');
    for (const run of ['judging', 'Judging', '.x', 'a/b', 'a\\b', 'x'.repeat(101)]) {
      expect((await check('demo', [], { run })).faults).toHaveLength(1);
    }
    expect((await check('demo', [{ key: 'reward.weights', yaml: '{ no-reward: 1 }' }])).faults).toMatchObject([
      { key: 'reward.weights', message: 'there is no reward "no-reward"' },
    ]);
  });

  it('gives the command that does the same', async () => {
    const out = join(folder, 'runs', 'demo');
    expect((await check('demo')).command).toBe(`llm-qe align demo --out ${out}`);
    const edits = [
      { key: 'dpo.beta', yaml: '0.2' },
      { key: 'evaluation.measure', yaml: '"MRR@10"' },
    ];
    expect((await check('demo', edits, { threads: 2, offline: true })).command).toBe(
      `llm-qe align demo --set dpo.beta=0.2 --set 'evaluation.measure="MRR@10"' --out ${out} --threads 2 --offline`,
    );
    // A removed key cannot be said as an option, unless its default says the same.
    const removed = await check('demo', [{ key: 'pairs.similarityQuantile', yaml: null }]);
    expect(removed.recipeFile).toBe(join(out, 'studio', 'recipe.yaml'));
    expect((await check('./code.yml')).command).toContain(' --allow-code');
  });
});

describe('what leaves the machine or runs code', () => {
  it('is named with its server, what it receives, and the variable of the key, never the key', async () => {
    vi.stubEnv('OPENAI_API_KEY', 'sk-a-key-that-nobody-sees');
    app = openStudio();
    const edits = [{ key: 'generator.servers', yaml: '[http://gpu-1:8000]' }];
    const { consents } = await check('./plain.yaml', edits);
    expect(consents).toMatchObject([{ kind: 'server', name: 'http://gpu-1:8000/v1' }]);
    expect(consents[0]!.text).toBe('receives training queries and their documents, with the key in OPENAI_API_KEY.');
    const echoed = await check('./plain.yaml', [{ key: 'description', yaml: 'sk-a-key-that-nobody-sees' }]);
    expect(echoed.faults).toMatchObject([{ key: 'description' }]);
    expect(JSON.stringify(echoed)).not.toContain('nobody-sees');
    vi.stubEnv('OPENAI_API_KEY', '');
    expect((await check('./plain.yaml', edits)).consents[0]!.text).toContain('without a key');
  });

  it('shows and stores no password or key of an address', async () => {
    const answers = [
      await ask<Partial<CheckedRecipe>>('/recipes/source?source=./keys.yaml'),
      await ask<Partial<CheckedRecipe>>('/recipes/check', formOf('./keys.yaml')),
      await ask<Partial<CheckedRecipe>>('/recipes/plan', formOf('./keys.yaml')),
    ];
    for (const { text } of answers) expect(text).not.toMatch(/sesame|abcdef/);
    expect(answers[0]!.text).toContain('http://***@h:1/v1');
    expect(answers[1]!.body.faults![0]).toMatchObject({ key: 'generator.servers' });
    expect(answers[2]!.text).toMatch(/^event: checked\n/);
  });

  it('is refused without its consent, and when the code has changed since', async () => {
    const planned = await plan('./code.yml');
    expect(planned.consents).toMatchObject([{ kind: 'code', name: join(folder, 'mine.mjs') }]);
    const confirmed = planned.consents.map(({ id }) => id);
    const refused = await ask('/recipes/start', { id: planned.id, confirmed: [] });
    expect([refused.status, refused.body.error.message]).toEqual([403, `not confirmed: ${join(folder, 'mine.mjs')}`]);
    await writeFile(join(folder, 'mine.mjs'), 'export default 1;\n');
    expect((await ask('/recipes/start', { id: planned.id, confirmed })).status).toBe(409);
    expect(await readdir(join(folder, 'runs'))).toEqual([]);
  });
});

describe('a plan', () => {
  it('is given up in the middle of its work, and cannot be started then', async () => {
    const draft = await draftOf(recipeFormSchema.parse(formOf('smoke')), { folder, runs: join(folder, 'runs') });
    const cancel = new AbortController();
    const task = { advance() {}, skip() {}, note() {}, done() {} };
    const progress: Progress = {
      task() {
        cancel.abort();
        return task;
      },
    };
    const planned = new PlannedRuns();
    const work = { runs: join(folder, 'runs'), signal: cancel.signal, progress };
    await expect(planned.plan(draft, work)).rejects.toSatisfy(isAbort);
    expect(() => planned.find(draft.id)).toThrow('this was not planned');
  });
});

describe('a start', () => {
  it('is that of what was planned, and only if nothing is missing', async () => {
    const missing = await plan('./plain.yaml', [{ key: 'data.folder', yaml: '"nowhere"' }]);
    expect(missing.obstacles).toEqual(['data set (beir)']);
    expect((await ask('/recipes/start', { id: missing.id, confirmed: [] })).status).toBe(409);
    const planned = await plan('./plain.yaml');
    await writeFile(join(folder, 'plain.yaml'), 'name: plain\n# changed since\n');
    expect((await ask('/recipes/start', { id: planned.id, confirmed: [] })).status).toBe(200);
    const kept = await readFile(join(folder, 'runs', 'plain', 'studio', 'recipe.yaml'), 'utf8');
    expect(kept).toBe(planned.yaml);
    expect(kept).toContain('tiny-encoder');
  });

  it('says how it ended by its last words, unless a later run has written the report', async () => {
    const run = join(folder, 'runs', 'plain');
    const log = join(run, 'studio', 'log.txt');
    // The mark is removed when the process has ended.
    while (existsSync(join(run, '.process'))) await new Promise((wait) => setTimeout(wait, 10));
    expect((await ask<RunPage>('/runs/plain')).body.process!.state).toBe('ended');
    const endWith = async (words: string) => {
      await writeFile(log, `=== started once\nstopped\n\n=== started again\n${words}`);
      const { state, process: known } = (await ask<RunPage>('/runs/plain')).body;
      return { state, ...known!.end };
    };
    expect(await endWith('error: no disk\n  Buy one.\n')).toMatchObject({
      kind: 'failed',
      message: 'no disk Buy one.',
    });
    expect(await endWith('stopped\n  Run it again.\n')).toMatchObject({ state: 'stopped', kind: 'stopped' });
    expect(await endWith('candidates: 1 s\n')).toMatchObject({ state: 'stopped', kind: 'killed' });
    await writeFile(join(run, 'report.html'), 'a report');
    const later = new Date(Date.now() + 60_000);
    await utimes(join(run, 'report.html'), later, later);
    expect((await ask<RunPage>('/runs/plain')).body).toMatchObject({
      state: 'finished',
      process: { end: { kind: 'finished' } },
    });
    await rm(join(run, 'report.html'));
  });

  it('writes through no link, and stops no process that a folder only names', async () => {
    const run = join(folder, 'runs', 'linked');
    await mkdir(run);
    await mkdir(join(folder, 'elsewhere'));
    await symlink(join(folder, 'elsewhere'), join(run, 'studio'));
    const own = identityOf(process.ppid);
    await writeFile(join(run, '.process'), formatIdentity({ ...own, start: undefined }));
    const page = (await ask<RunPage>('/runs/linked')).body;
    expect(page.process).toMatchObject({ canStop: false, whyNot: expect.stringContaining('not certain') });
    expect((await ask('/runs/linked/stop', {})).status).toBe(409);
    await writeFile(join(run, '.process'), formatIdentity({ ...own, pid: 0 }));
    expect((await ask('/runs/linked/stop', {})).status).toBe(409);
    await writeFile(join(run, '.process'), formatIdentity({ ...own, start: '1' }));
    expect((await ask<RunPage>('/runs/linked')).body.process).toMatchObject({ state: 'ended', canResume: false });
    expect((await ask('/runs/linked/resume')).status).toBe(409);
    // With the start of process and machine there is no doubt.
    await writeFile(join(run, '.process'), formatIdentity(own));
    expect((await ask<RunPage>('/runs/linked')).body).toMatchObject({
      state: 'running',
      process: { state: 'starting', pid: process.ppid, canStop: process.platform === 'linux' },
    });
    await rm(join(run, '.process'));
    await writeFile(join(run, '.lock'), formatIdentity({ ...own, host: 'elsewhere', machine: 'other' }));
    expect((await ask<RunPage>('/runs/linked')).body).toMatchObject({
      state: 'unknown',
      process: { state: 'running', canStop: false, whyNot: 'It runs on elsewhere, or in another container.' },
    });
    expect((await ask('/runs/linked/stop', {})).status).toBe(409);
    await rm(join(run, '.lock'));
    await writeFile(join(folder, 'plain.yaml'), await readFile(join(folder, 'runs', 'plain', 'studio', 'recipe.yaml')));
    const planned = await plan('./plain.yaml', [{ key: 'name', yaml: 'linked' }]);
    expect((await ask('/recipes/start', { id: planned.id, confirmed: [] })).status).toBe(409);
    expect(await readdir(join(folder, 'elsewhere'))).toEqual([]);
  });

  it('is refused by a studio that only looks, as are resuming, stopping and judging', async () => {
    app = openStudio({ readOnly: true });
    expect((await ask<RecipeChoices>('/recipes')).body.why).toContain('--read-only');
    const planned = await plan('./plain.yaml');
    for (const [path, body] of [
      ['/recipes/start', { id: planned.id, confirmed: [] }],
      ['/runs/plain/resume', { id: 'x', confirmed: [] }],
      ['/runs/plain/stop', {}],
      ['/judge/sessions', {}],
    ] as const) {
      expect([path, (await ask(path, body)).status]).toEqual([path, 403]);
    }
    expect((await ask('/judge')).status).toBe(200);
    app = openStudio();
  });

  it('happens by no GET', async () => {
    for (const path of ['/recipes/start', '/recipes/plan', '/runs/plain/stop']) {
      expect([path, (await ask(path)).status]).toEqual([path, 404]);
    }
  });
});
