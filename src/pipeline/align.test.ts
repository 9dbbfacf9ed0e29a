import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeTinyDataset } from '../../test/support/tiny-dataset.ts';
import { AbortedError, SILENT, UsageError } from '../system/index.ts';
import { type AlignOptions, type AlignResult, align } from './align.ts';
import { ALIGNMENT_STAGES, parseRecipe } from './alignment-stages.ts';
import { planAlignment } from './plan/plan.ts';
import { stagesOf } from './run/stage.ts';

/** All real stages, on models with a few thousand weights: their texts are noise, but storage and resuming are real. */
const folder = mkdtempSync(join(tmpdir(), 'llm-qe-align-'));

const RECIPE = `
name: tiny
data: { kind: beir, folder: ${JSON.stringify(join(folder, 'set'))} }
generator: { model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))}, context: 64, sequences: 4 }
encoder: { model: ${JSON.stringify(resolve('src/embed/goldens/tiny-encoder'))} }
prompt: ${JSON.stringify(join(folder, 'prompt.txt'))}
candidates: { samples: 2, temperatures: [1, 1.5], maxTokens: 6 }
answers: { prompt: ${JSON.stringify(join(folder, 'answer.txt'))}, maxTokens: 6 }
reward: { weights: { similarity-gold: 1, similarity-answer: 0.5 } }
pairs: { minSimilarity: -2, dev: 0 }
dpo: { epochs: 1, batchSize: 2, maxLength: 64, learningRate: 0.001 }
sft: { epochs: 1, batchSize: 2, maxLength: 64 }
expansion: { maxTokens: 6, seeds: [1, 2] }
evaluation: { alphas: [0, 0.5], controls: true, judges: [bm25], depth: 5 }
`;

/** The names of the stages that the recipe includes. */
const STAGES = stagesOf({ stages: ALIGNMENT_STAGES, recipe: parseRecipe(RECIPE, 'tiny.yaml') }).map(({ name }) => name);

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  writeTinyDataset(join(folder, 'set'));
  writeFileSync(join(folder, 'prompt.txt'), '{query}\n');
  writeFileSync(join(folder, 'answer.txt'), '{query} {document}\n');
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function run(options: Partial<AlignOptions> & { set?: string[] } = {}): Promise<AlignResult> {
  const { set = [], ...rest } = options;
  return align(parseRecipe(RECIPE, 'tiny.yaml', set), { folder: join(folder, 'run'), threads: 1, ...rest });
}

const reusedIn = ({ stages }: AlignResult) => [...stages].filter(([, { reused }]) => reused).map(([name]) => name);

describe('an alignment', () => {
  it('can be stopped between stages', async () => {
    const stop = new AbortController();
    const onStage = (name: string) => {
      if (name === 'pairs') stop.abort();
    };
    await expect(run({ signal: stop.signal, onStage })).rejects.toBeInstanceOf(AbortedError);
  });

  it('resumes where it stopped, and ends with all arms and their tests', async () => {
    const result = await run();
    expect(reusedIn(result)).toEqual(['candidates', 'answers', 'reward', 'pairs']);
    expect([...result.stages.keys()]).toEqual([...STAGES]);
    const { main, controls, judges, queries, seeds } = result.evaluation!;
    expect(main.arms.map(({ name }) => name)).toEqual(['raw', 'zeroShot', 'sft', 'aligned']);
    expect(main.tests.map(({ arm, baseline }) => `${arm}-${baseline}`)).toEqual([
      'aligned-zeroShot',
      'aligned-raw',
      'aligned-sft',
      'sft-zeroShot',
    ]);
    expect(seeds).toEqual([1, 2]);
    for (const { name, tuning, alpha, bySeed, measures } of main.arms) {
      expect(tuning.map((point) => point.alpha)).toEqual(name === 'raw' ? [] : [0, 0.5]);
      if (name !== 'raw') expect([0, 0.5]).toContain(alpha);
      expect(bySeed).toHaveLength(name === 'raw' ? 1 : 2);
      expect(measures['nDCG@10']).toBeCloseTo(bySeed.reduce((sum, one) => sum + one, 0) / bySeed.length, 12);
    }
    expect(controls!.arms).toHaveLength(6);
    expect(judges.map(({ judge }) => judge)).toEqual(['bm25']);
    expect(queries.map(({ id }) => id)).toEqual(['q6', 'q7']);
    expect(Object.keys(queries[0]!.texts)).toEqual(['zeroShot', 'sft', 'aligned']);
    const page = readFileSync(result.reportFile!, 'utf8');
    for (const title of [
      'Paired tests',
      'Controls',
      'searched with BM25',
      'Choice of alpha',
      'Training',
      'Leaks',
      'Stages',
    ]) {
      expect(page).toContain(title);
    }
    expect(page).not.toMatch(/<script|<link|https?:\/\//);
    expect(page).toMatch(/candidates cut at the token limit<\/td><td[^>]*>\d+ of 16</);
  });

  it('records its inputs in the manifest', async () => {
    const { manifestFile } = await run();
    const manifest = JSON.parse(readFileSync(manifestFile!, 'utf8'));
    expect(manifest.recipe.name).toBe('tiny');
    expect(manifest.recipeHash).toMatch(/^[0-9a-f]{64}$/);
    expect(manifest.stages.map(({ stage }: { stage: string }) => stage)).toEqual([...STAGES]);
    for (const { outputs } of manifest.stages) {
      for (const { sha256 } of Object.values<{ sha256: string }>(outputs)) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  it('repeats no finished stage, and plans none', async () => {
    expect(reusedIn(await run())).toEqual([...STAGES]);
    const recipe = parseRecipe(RECIPE, 'tiny.yaml');
    const plan = await planAlignment(recipe, { folder: join(folder, 'run'), engine: 'local', progress: SILENT });
    expect(plan.stages.map(({ state }) => state)).toEqual(STAGES.map(() => 'finished'));
    expect(plan.total).toEqual({ tokens: 0, bytes: 0, seconds: 0, unknown: [] });
    expect(plan.inputs.map(({ state }) => state)).toEqual(plan.inputs.map(() => 'ready'));
  });

  it('repeats what a changed setting affects, and nothing else', async () => {
    const changes = new Map<string, string[]>();
    const result = await run({ set: ['dpo.beta=0.3'], onStage: (name, stage) => changes.set(name, stage.changes) });
    const touched = ['dpo', 'expand-aligned', 'evaluate'];
    expect(reusedIn(result)).toEqual(STAGES.filter((name) => !touched.includes(name)));
    expect(changes.get('dpo')).toEqual(['beta: 0.1, now 0.3']);
    const before = await run();
    expect(reusedIn(before)).toEqual([...STAGES]);
    const betaIn = (place: string) => JSON.parse(readFileSync(join(place, 'manifest.json'), 'utf8')).recipe.dpo.beta;
    const kept = [result, before].map(({ stages }) => stages.get('evaluate')!.folder);
    expect(kept.map(betaIn)).toEqual([0.3, 0.1]);
    expect(betaIn(before.folder)).toBe(0.1);
    expect(readdirSync(kept[0]!)).toContain('report.html');
  });

  it('writes only the texts of a further generation seed', async () => {
    const records = () =>
      readdirSync(join(folder, 'run', 'expansions')).map((part) => [
        part,
        readFileSync(join(folder, 'run', 'expansions', part, 'stage.json'), 'utf8'),
      ]);
    const before = records();
    const result = await run({ set: ['expansion.seeds=[1, 2, 3]'] });
    expect(result.evaluation!.seeds).toEqual([1, 2, 3]);
    const after = new Map(records() as [string, string][]);
    for (const [part, record] of before) expect(after.get(part!)).toBe(record);
    const added = [...after.keys()].filter((part) => !before.some(([name]) => name === part));
    expect(added.map((part) => part.replace(/-[0-9a-f]+$/, '')).sort()).toEqual([
      'aligned-test',
      'sft-test',
      'zeroShot-test',
    ]);
  });

  it('judges the same adapters on another data set, with alphas that were tuned before', async () => {
    const other = `evaluation.dataset={folder: ${JSON.stringify(join(folder, 'set'))}, testSplit: train}`;
    const alphas = 'evaluation.armAlphas={zeroShot: 0.25, sft: 0.25, aligned: 0.75}';
    const result = await run({ set: [other, alphas] });
    const trained = ['candidates', 'answers', 'reward', 'pairs', 'sft', 'dpo'];
    expect(reusedIn(result)).toEqual(trained);
    const { main, dataset } = result.evaluation!;
    expect(dataset).toMatchObject({ name: 'set', dev: 0, test: 4 });
    expect(main.arms.map(({ alpha }) => alpha)).toEqual([undefined, 0.25, 0.25, 0.75]);
    expect(main.arms.flatMap(({ tuning }) => tuning)).toEqual([]);
  });

  it('judges by another encoder with the settings of its folder, and again if they change', async () => {
    const judge = join(folder, 'judge');
    cpSync('src/embed/goldens/tiny-encoder', judge, { recursive: true });
    const set = [`evaluation.judges=[${JSON.stringify(judge)}]`];
    const settings = async () => (await run({ set })).evaluation!.judges[0]!.settings;
    expect(await settings()).toMatchObject({ encoder: judge, pooling: 'cls', queryPrefix: 'what is the ' });
    writeFileSync(join(judge, 'config_sentence_transformers.json'), '{"prompts":{"query":"find "}}');
    expect(await settings()).toMatchObject({ queryPrefix: 'find ' });
    expect(reusedIn(await run({ set }))).toEqual([...STAGES]);
  });

  it('reports a missing judge before the work, not after', async () => {
    const set = ['candidates.seed=9', 'evaluation.judges=[./no-judge]'];
    const onStage = vi.fn();
    await expect(run({ set, onStage })).rejects.toThrow(/no-judge/);
    expect(onStage).not.toHaveBeenCalled();
  });

  it('runs a single stage if those before it are finished', async () => {
    const set = ['candidates.seed=7'];
    await expect(run({ set, only: 'reward' })).rejects.toThrow(/stage reward needs stage candidates/);
    const papers = () =>
      ['manifest.json', 'report.html'].map((name) => readFileSync(join(folder, 'run', name), 'utf8'));
    const before = papers();
    const result = await run({ set, only: 'candidates' });
    expect(papers()).toEqual(before);
    expect(result.manifestFile).toBeUndefined();
    expect([...result.stages.keys()]).toEqual(['candidates']);
    expect(result.evaluation).toBeUndefined();
    const without = run({ set: ['sft.enabled=false'], only: 'sft' });
    await expect(without).rejects.toBeInstanceOf(UsageError);
  });

  it('gives the same adapter from the same pairs in any folder', async () => {
    const first = await run();
    const pairs = first.stages.get('pairs')!.record.outputs.pairs!.sha256;
    const second = await run({ folder: join(folder, 'elsewhere') });
    expect(second.stages.get('pairs')!.record.outputs.pairs!.sha256).toBe(pairs);
    const adapter = ({ stages }: AlignResult) => stages.get('dpo')!.record.outputs.adapter!.sha256;
    expect(adapter(second)).toBe(adapter(first));
  });
});

describe('a plan', () => {
  it('reports the state of each input and the cost of each stage', async () => {
    const recipe = parseRecipe(RECIPE, 'tiny.yaml', ['data.folder=nowhere', 'encoder.model=./no-encoder']);
    const plan = await planAlignment(recipe, { folder: join(folder, 'none'), engine: 'local', progress: SILENT });
    const missing = plan.inputs.filter(({ state }) => state !== 'ready').map(({ input }) => input);
    expect(missing).toEqual(['data set (beir)', 'encoder ./no-encoder']);
    expect(plan.inputs[0]!.detail).toContain('no such folder');
    const stages = await planAlignment(parseRecipe(RECIPE, 'tiny.yaml'), {
      ...{ folder: join(folder, 'none'), engine: 'local' as const, progress: SILENT },
    });
    const tokens = Object.fromEntries(stages.stages.map((one) => [one.stage, one.tokens]));
    expect(tokens).toMatchObject({ candidates: 4 * 4 * 6, answers: 4 * 6, 'expand-sft': (2 + 2 * 2) * 6 });
  });
});
