import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ChatServer } from '../../test/support/chat-server.ts';
import { SILENT, UsageError } from '../system/index.ts';
import { type AlignOptions, align, openContext } from './align.ts';
import { ALIGNMENT_STAGES, parseRecipe } from './alignment-stages.ts';
import { planAlignment } from './plan/plan.ts';
import { type AlignmentStage, keyedSettings } from './run/stage.ts';

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-early-'));
const set = join(folder, 'set');
const GENERATOR = resolve('src/generate/goldens/tiny-llama.gguf');
const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const RECIPE = `
name: tiny
data: { kind: beir, folder: ${JSON.stringify(set)} }
generator: { model: ${JSON.stringify(GENERATOR)}, context: 64, sequences: 4 }
encoder: { model: ${JSON.stringify(ENCODER)} }
prompt: "{query}"
candidates: { samples: 2, temperatures: [1], maxTokens: 4 }
expansion: { maxTokens: 4 }
sft: { maxLength: 64, enabled: false }
dpo: { maxLength: 64 }
evaluation: { alphas: [0.5] }
`;
const recipeOf = (...overrides: string[]) => parseRecipe(RECIPE, 'tiny.yaml', overrides);

function writeSet(place: string, documents: string[], queries: string[]) {
  mkdirSync(join(place, 'qrels'), { recursive: true });
  const lines = (ids: string[], text: string) => ids.map((_id) => `${JSON.stringify({ _id, text })}\n`).join('');
  writeFileSync(join(place, 'corpus.jsonl'), lines(documents, 'a saw'));
  writeFileSync(join(place, 'queries.jsonl'), lines(queries, 'saw'));
  const judged = queries.map((query, at) => `${query}\t${documents[at]}\t1\n`).join('');
  for (const split of ['train', 'dev', 'test']) writeFileSync(join(place, 'qrels', `${split}.tsv`), judged);
}

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  writeSet(set, ['d1', 'd2', 'd3'], ['q1', 'q2']);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function run(overrides: string[], options: Partial<AlignOptions> = {}) {
  const onStage = vi.fn();
  const result = align(recipeOf(...overrides), { folder: join(folder, 'run'), threads: 1, onStage, ...options });
  return { result, onStage };
}

describe('faults of the data that would stop a run hours later', () => {
  it.each([
    ['a document with a space in its id', ['d1', 'd 2', 'd3'], ['q1']],
    ['a document with a tab in its id, that nobody judged', ['d1', 'd2', 'd\t3'], ['q1', 'q2']],
    ['a query with a space in its id', ['d1'], ['q 1']],
    ['a document that is there twice', ['d1', 'd2', 'd2'], ['q1']],
  ])('stops before the first stage: %s', async (_what, documents, queries) => {
    const place = join(folder, 'broken');
    rmSync(place, { recursive: true, force: true });
    writeSet(place, documents, queries);
    const judged = `evaluation.dataset={folder: ${JSON.stringify(place)}}`;
    const { result, onStage } = run([judged]);
    await expect(result).rejects.toThrow(/corpus\.jsonl:|queries\.jsonl:|qrels/);
    expect(onStage).not.toHaveBeenCalled();
    const plan = await planAlignment(recipeOf(judged), {
      ...{ folder: join(folder, 'run'), engine: 'local', progress: SILENT },
    });
    expect(plan.inputs.filter(({ state }) => state !== 'ready')).toHaveLength(1);
  });

  it('are not checked for a stage on another machine', async () => {
    const place = join(folder, 'elsewhere');
    writeSet(place, ['d 1'], ['q1']);
    const { result, onStage } = run([`evaluation.dataset={folder: ${JSON.stringify(place)}}`], { only: 'candidates' });
    await expect(result).resolves.toBeDefined();
    expect(onStage).toHaveBeenCalledTimes(1);
  });
});

describe('a plan', () => {
  const inputsOf = async (recipe: ReturnType<typeof recipeOf>) => {
    const plan = await planAlignment(recipe, { folder: join(folder, 'none'), engine: 'local', progress: SILENT });
    return plan.inputs.filter(({ state }) => state !== 'ready');
  };

  it('lists everything that is missing at once: folders, splits, triples, models', async () => {
    const missing = await inputsOf(
      recipeOf(
        'data.folder=nowhere',
        'data.triples=no-triples.jsonl',
        `evaluation.dataset={folder: ${JSON.stringify(set)}, testSplit: hidden}`,
        'generator.model=./no-llm.gguf',
        'encoder.model=./no-encoder',
      ),
    );
    expect(missing.map(({ input }) => input)).toEqual([
      ...['data set (beir)', 'data.triples', 'evaluation.dataset'],
      ...['generator ./no-llm.gguf', 'encoder ./no-encoder'],
    ]);
    expect(missing[2]!.detail).toContain('no split "hidden"');
  });

  it('reports a disk that is too small', async () => {
    expect(await inputsOf(recipeOf())).toEqual([]);
    const [disk, ...others] = await inputsOf(recipeOf('evaluation.depth=9000000000000000'));
    expect(others).toEqual([]);
    expect(disk).toMatchObject({
      input: 'disk',
      state: 'missing',
      detail: expect.stringContaining('not enough disk space'),
    });
    expect(disk!.detail).toContain(join(folder, 'none'));
  });
});

describe('on demand', () => {
  it('every model is loaded and every server contacted, and all faults are reported at once', async () => {
    const broken = join(folder, 'broken-encoder');
    cpSync(ENCODER, broken, { recursive: true });
    writeFileSync(join(broken, 'tokenizer.json'), '{}');
    const server = await ChatServer.start(undefined, ['toy']);
    const overrides = [
      `encoder.model=${JSON.stringify(broken)}`,
      `generator.servers=[${server.baseUrl}]`,
      'generator.serverModel=other',
      'candidates.seed=77',
    ];
    try {
      const { result, onStage } = run(overrides, { checkAll: true });
      const error = await result.catch((thrown: unknown) => thrown as UsageError);
      expect(error).toBeInstanceOf(UsageError);
      expect((error as UsageError).message).toMatch(
        /^3 faults stop the run: generator: .*"other".*encoder: .*tokenizer/,
      );
      expect((error as UsageError).fix).toContain('toy');
      expect(onStage).not.toHaveBeenCalled();
    } finally {
      await server.stop();
    }
  });
});

describe('arms that servers write', () => {
  const SERVED = ['expansion.servers=[http://127.0.0.1:9]', 'expansion.serverModels={zeroShot: base, aligned: mine}'];

  it('each need a model name', async () => {
    const { result } = run([SERVED[0]!, 'expansion.serverModels={zeroShot: base}']);
    await expect(result).rejects.toThrow(/expand-aligned: servers write the arms, but aligned has no model name there/);
  });

  it('are identified by their names and the adapter to load', async () => {
    const keys = async (...overrides: string[]) => {
      const context = await openContext(recipeOf(...overrides), { threads: 1 });
      const keyOf = (stage: AlignmentStage) => JSON.stringify(keyedSettings(stage, context));
      return ALIGNMENT_STAGES.filter(({ name }) => /expand-(zero|al)/.test(name)).map(keyOf);
    };
    const served = await keys(...SERVED);
    expect(served).not.toEqual(await keys());
    expect(await keys('expansion.servers=[http://127.0.0.1:10]', SERVED[1]!)).toEqual(served);
    expect(await keys(...SERVED, 'generator.context=99')).toEqual(served);
    const renamed = await keys(SERVED[0]!, 'expansion.serverModels={zeroShot: base, aligned: other}');
    expect([renamed[0] === served[0], renamed[1] === served[1]]).toEqual([true, false]);
  });

  it('are written by the servers once these list the names', async () => {
    const names = ['base'];
    const server = await ChatServer.start(undefined, names);
    const stages = ALIGNMENT_STAGES.filter(({ name }) => name === 'expand-zeroShot');
    const served = [`expansion.servers=[${server.baseUrl}]`];
    try {
      const missing = run([...served, 'expansion.serverModels={zeroShot: later, aligned: mine}'], { stages });
      await expect(missing.result).rejects.toThrow(/serves no model "later"/);
      await expect(missing.result).rejects.toMatchObject({ fix: expect.stringContaining('--lora-modules later=') });
      const { result } = run([...served, SERVED[1]!], { stages });
      const { record, folder: place } = (await result).stages.get('expand-zeroShot')!;
      expect(record.result['test-42']).toMatchObject({ generator: 'base' });
      expect(new Set(server.calls.map(({ model }) => model))).toEqual(new Set(['base']));
      expect(readdirSync(place)).toContain('stage.json');
    } finally {
      await server.stop();
    }
  });
});
