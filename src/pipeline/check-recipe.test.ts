import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DataError, ResourceError, SILENT, UsageError } from '../system/index.ts';
import { align } from './align.ts';
import { ALIGNMENT_STAGES, parseRecipe } from './alignment-stages.ts';
import { checkRecipe as checkBy, machineChecks } from './check-recipe.ts';
import { planAlignment } from './plan/plan.ts';
import type { Recipe } from './recipe/recipe-schema.ts';
import { passChecks } from './run/recipe-checks.ts';
import type { CheckOptions } from './run/stage.ts';

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-check-'));
const MODEL = resolve('src/generate/goldens/tiny-llama.gguf');
const RECIPE = `
name: tiny
data: { kind: beir, folder: nowhere }
generator: { model: ${JSON.stringify(MODEL)} }
encoder: { model: ${JSON.stringify(resolve('src/embed/goldens/tiny-encoder'))} }
dpo: { maxLength: 64 }
sft: { maxLength: 64 }
`;
const base = { name: 'tiny', path: MODEL, format: 'gguf' as const, fingerprint: 'tiny', source: 'goldens' };
const checkRecipe = (one: Recipe, options: CheckOptions = {}) =>
  checkBy(one, ALIGNMENT_STAGES, { loadsCode: true, ...options });
const recipe = (...set: string[]) => parseRecipe(RECIPE, 'tiny.yaml', set);

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.stubEnv('LLM_QE_PYTHON', '');
  vi.stubEnv('PATH', folder);
  writeFileSync(join(folder, 'no-reward.mjs'), 'export const answer = 42;\n');
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe('the settings of a recipe', () => {
  it('are valid by default', async () => {
    await expect(checkRecipe(recipe())).resolves.toBeUndefined();
    await expect(checkRecipe(recipe(), { engine: 'trl' })).resolves.toBeUndefined();
  });

  it.each([
    ['evaluation.measure=nDGC@10', /^evaluation\.measure: there is no measure "nDGC@10"/],
    ['evaluation.measure=num_ret', /^evaluation\.measure: num_ret cannot be used to compare searches/],
    ['reward.weights.rank-gld=1', /^reward\.weights: there is no reward "rank-gld"/],
    ['reward.weights={change-nDGC@10: 1}', /^reward\.weights: there is no measure/],
    ['reward.weights={rank-gold: 0, rank-answer: 0}', /^reward\.weights: no reward has a weight other than 0/],
    ['answers.enabled=false', /^reward\.weights: reward rank-answer reads answers/],
    ['dpo.lossWeights=[1, 2]', /^dpo: lossWeights: 2 weights for 1 loss types/],
    ['answers.prompt=q2d', /^answers\.prompt: prompt q2d does not read the document/],
    ['encoder.model=http://127.0.0.1:9', /^encoder: an embedding server needs the name of its model/],
    ['evaluation.judges=[bm25, http://127.0.0.1:9]', /^evaluation\.judges: .* is a server/],
    ['prompt=q2a', /^prompt: prompt q2a reads a gold document/],
  ])('are refused before the run: %s', async (set, message) => {
    const fault = checkRecipe(recipe(set));
    await expect(fault).rejects.toBeInstanceOf(UsageError);
    await expect(fault).rejects.toThrow(message);
  });

  it.each([
    ['dpo.earlyStoppingPatience=2', /^dpo: earlyStoppingPatience: TRL's command line cannot stop early/],
    ['sft.full=true', /^sft: full: TRL is used to train adapters only/],
    ['trl.perDeviceTrainBatchSize=3', /^sft: batchSize: 16 examples per step cannot be divided/],
    ['dpo.metricForBestModel=logProbabilityEnd', /^dpo: metricForBestModel: TRL does not report/],
  ])('are refused if TRL trains: %s', async (set, message) => {
    await expect(checkRecipe(recipe(set), { engine: 'trl' })).rejects.toThrow(message);
    await expect(checkRecipe(recipe(set))).resolves.toBeUndefined();
  });

  it('report files that do not exist', async () => {
    const fileFault = (key: string, name: string) => checkRecipe(recipe(`${key}=${JSON.stringify(name)}`));
    await expect(fileFault('answers.prompt', '/nope.txt')).rejects.toBeInstanceOf(DataError);
    const module = (name: string) => checkRecipe(recipe(`reward.weights={${JSON.stringify(join(folder, name))}: 1}`));
    await expect(module('none.mjs')).rejects.toBeInstanceOf(DataError);
    await expect(module('no-reward.mjs')).rejects.toThrow(/exports no reward function/);
  });

  it('may name servers, unless offline', async () => {
    const served = recipe('generator.servers=[http://127.0.0.1:9]');
    await expect(checkRecipe(served)).resolves.toBeUndefined();
    await expect(checkRecipe(served, { offline: true })).rejects.toBeInstanceOf(UsageError);
  });

  it.each([
    ['generator.servers=[http://127.0.0.1:9]'],
    ['answerGenerator.servers=[http://127.0.0.1:9]'],
    ['expansion.servers=[http://127.0.0.1:9]', 'expansion.serverModels={zeroShot: a, sft: b, aligned: c}'],
    ['encoder.model=http://127.0.0.1:9', 'encoder.encoderModel=e'],
  ])('refuse servers if connections are switched off, by option and by environment: %s', async (...set) => {
    await expect(checkRecipe(recipe(...set))).resolves.toBeUndefined();
    await expect(checkRecipe(recipe(...set), { offline: true })).rejects.toThrow(
      /^servers: http:\/\/127\.0\.0\.1:9.* is a server, and connections are switched off by --offline/,
    );
    vi.stubEnv('LLM_QE_OFFLINE', '1');
    try {
      await expect(checkRecipe(recipe(...set))).rejects.toThrow(/switched off by LLM_QE_OFFLINE/);
      await expect(checkRecipe(recipe(...set), { offline: false })).resolves.toBeUndefined();
    } finally {
      vi.stubEnv('LLM_QE_OFFLINE', undefined);
    }
  });

  const [served, armsServed] = [
    'generator.servers=[http://127.0.0.1:9]',
    'expansion={servers: ["http://127.0.0.1:9"], serverModels: {zeroShot: a, sft: b, aligned: c}}',
  ];
  const answersServed = 'answerGenerator.servers=[http://127.0.0.1:9]';
  const embedderServed = 'encoder={model: "http://127.0.0.1:9", encoderModel: e}';
  it.each<[set: string[], message: RegExp]>([
    [
      [answersServed, 'answerGenerator.gpu=true'],
      /^answerGenerator: gpu has no effect, because the writer is a server/,
    ],
    [[answersServed, 'answerGenerator.context=1024'], /^answerGenerator: context has no effect/],
    [
      [answersServed, 'answerGenerator.sequences=4', 'answerGenerator.context=9'],
      /^answerGenerator: sequences and context have no effect/,
    ],
    [[served, armsServed, 'generator.gpu=true'], /^generator: gpu has no effect/],
    [[served, armsServed, 'generator.sequences=4'], /^generator: sequences has no effect/],
    [['generator.serverModel=x'], /^generator: serverModel has no effect, because the writer is no/],
    [['generator.concurrency=4'], /^generator: concurrency has no effect/],
    [['answerGenerator={model: x, concurrency: 4}'], /^answerGenerator: concurrency has no effect/],
    [['expansion.serverModels.sft=x'], /^expansion: serverModels\.sft has no effect/],
    [[embedderServed, 'encoder.precision=int8'], /^encoder: precision has no effect/],
    [[embedderServed, 'encoder.maxLength=64'], /^encoder: maxLength has no effect/],
    [['encoder.encoderModel=x'], /^encoder: encoderModel has no effect/],
  ])('refuse settings without effect: %j', async (set, message) => {
    await expect(checkRecipe(recipe(...set))).rejects.toThrow(message);
  });

  it.each<[set: string[]]>([
    // The arms are expanded by the embedded runtime.
    [[served, 'generator.gpu=true', 'generator.context=1024', 'generator.sequences=4']],
    [[served, 'generator.serverModel=x', 'generator.concurrency=4']],
    // Candidates are sampled by the embedded runtime, and the arms' servers are called with this concurrency.
    [[armsServed, 'generator.gpu=true', 'generator.concurrency=4']],
    [[answersServed, 'answerGenerator.serverModel=x', 'answerGenerator.concurrency=4']],
    [['answerGenerator={model: x, gpu: true, context: 1024}']],
    [[embedderServed, 'encoder.batchSize=8']],
  ])('accept settings that have an effect: %j', async (set) => {
    await expect(checkRecipe(recipe(...set))).resolves.toBeUndefined();
  });
});

describe('the trainings of a recipe', () => {
  const check = (set: string[], options: CheckOptions & { only?: string } = {}) =>
    passChecks(
      machineChecks({ recipe: recipe(...set), stages: ALIGNMENT_STAGES, done: new Map() }, { base, ...options }),
    );

  it('are checked against the model', async () => {
    await expect(check([])).resolves.toBeUndefined();
    await expect(check(['dpo.loraTargetModules=[nope]'])).rejects.toThrow(/no linear layer "nope"/);
    await expect(check(['sft.maxLength=100000'])).rejects.toThrow(/maxLength: 100000 tokens exceed/);
  });

  it('by TRL need TRL on the machine that trains', async () => {
    await expect(check([], { engine: 'trl' })).rejects.toBeInstanceOf(ResourceError);
    await expect(check([], { engine: 'trl', only: 'candidates' })).resolves.toBeUndefined();
  });
});

describe('a fault', () => {
  it('is in the plan, with its fix', async () => {
    const set = ['evaluation.measure=nDGC@10', 'answers.prompt=/nope.txt', 'encoder.model=smollm2-135m-instruct'];
    const plan = await planAlignment(recipe(...set, 'dpo.loraTargetModules=[nope]'), {
      ...{ folder: join(folder, 'run'), engine: 'trl' as const, progress: SILENT },
    });
    const found = Object.fromEntries(plan.inputs.map(({ input, state, detail }) => [input, `${state}: ${detail}`]));
    expect(found['data set (beir)']).toMatch(/^missing: .*no such folder/);
    expect(found[`generator ${MODEL}`]).toBe(`ready: ${MODEL}`);
    expect(found['encoder smollm2-135m-instruct']).toMatch(/^missing: .*is a generator.*one of/);
    expect(found['evaluation.measure']).toMatch(/^bad: there is no measure.*Use one of/);
    expect(found['answers.prompt']).toMatch(/^missing: \/nope.txt/);
    expect(found['reward.weights']).toBe('ready: rank-gold=1, rank-answer=1');
    const training = Object.keys(found).find((input) => input.startsWith('dpo of '))!;
    expect(found[training]).toMatch(/^bad: .*"nope".*q_proj/);
    expect(found.TRL).toMatch(/^missing: TRL is not installed.*pip install/);
  });

  it('ends a run before anything is downloaded or read', async () => {
    const run = align(recipe('evaluation.measure=nDGC@10'), { folder: join(folder, 'run') });
    await expect(run).rejects.toThrow(/there is no measure/);
  });
});
