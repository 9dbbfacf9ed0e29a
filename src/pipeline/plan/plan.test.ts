import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { summarizeModel } from '../../models/index.ts';
import { SILENT } from '../../system/index.ts';
import { readRecipe } from '../recipe/recipe.ts';
import type { FinishedStage } from '../run/run-folder.ts';
import { type AlignmentPlan, type PlanOptions, planAlignment } from './plan.ts';
import { ratesOf } from './planned-rates.ts';

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-plan-'));
const set = join(folder, 'set');

/** 3 documents, one query per split; none of the models is available. */
beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.stubEnv('HF_HOME', join(folder, 'hub'));
  mkdirSync(join(set, 'qrels'), { recursive: true });
  const ids = [1, 2, 3];
  writeFileSync(join(set, 'corpus.jsonl'), ids.map((id) => `{"_id":"d${id}","text":"a saw"}\n`).join(''));
  writeFileSync(join(set, 'queries.jsonl'), ids.map((id) => `{"_id":"q${id}","text":"saw"}\n`).join(''));
  for (const [row, split] of ['train', 'dev', 'test'].entries()) {
    writeFileSync(join(set, 'qrels', `${split}.tsv`), `q${row + 1}\td${row + 1}\t1\n`);
  }
  const triple = (id: number) => `{"id":"t${id}","query":"saw ${id}","positive":"a saw","negative":"a cat"}\n`;
  writeFileSync(join(folder, 'triples.jsonl'), triple(1) + triple(2));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const DATA = [
  `data.folder=${set}`,
  `retriever.rows=${join(folder, 'triples.jsonl')}`,
  `data.triples=${join(folder, 'triples.jsonl')}`,
  'candidates.queries=2',
];
const SMALL = `data={kind: beir, folder: ${JSON.stringify(set)}}`;
const SERVER = 'generator.servers=[http://127.0.0.1:9]';
const LLAMA = 8_030_261_248;

async function planOf(name: string, overrides: string[] = [], options: Partial<PlanOptions> = {}) {
  const recipe = await readRecipe(name, overrides);
  return planAlignment(recipe, { folder: join(folder, 'run'), engine: 'local', progress: SILENT, ...options });
}

const stageOf = ({ stages }: AlignmentPlan, wanted: string) => stages.find(({ stage }) => stage === wanted)!;
const fileOf = ({ files }: AlignmentPlan, words: RegExp) => files.find(({ file }) => words.test(file));

describe('the plan of the published settings', () => {
  it('counts the models, and the copies that are made of them', async () => {
    const plan = await planOf('paper', DATA);
    const states = plan.inputs.map(({ input, state }) => `${state} ${input}`);
    expect(states).toContain('to download generator llama-3-8b-instruct');
    expect(states).toContain('to download encoder contriever');
    expect(fileOf(plan, /^llama-3-8b-instruct$/)).toMatchObject({ state: 'to download', bytes: 16_069_800_000 });
    expect(fileOf(plan, /GGUF in F16/)).toMatchObject({ state: 'to make', bytes: 2 * LLAMA });
    expect(fileOf(plan, /training engine/)).toMatchObject({ state: 'at most', bytes: 4 * LLAMA });
    expect(plan.total.bytes).toBeGreaterThan(16e9 + 6 * LLAMA);
    expect(plan.total.unknown).toEqual([]);
  });

  it('knows the size of the vectors, and of the adapters', async () => {
    const plan = await planOf('paper', DATA);
    expect(stageOf(plan, 'evaluate').bytes).toBe(2 * 3 * 768 * 4 + 6 * 1 * 1000 * 40);
    // Rank 8 on two projections of 32 layers, the adapter once and with AdamW's means twice.
    expect(stageOf(plan, 'dpo').bytes).toBe(28 * 32 * 8 * 2 * 2 * 4096);
  });

  it('counts steps and tokens of the retriever: expansions at their limit, documents at their mean length', async () => {
    const plan = await planOf('paper', DATA);
    expect(stageOf(plan, 'retriever-data')).toMatchObject({
      work: '2 rows',
      tokens: 2 * 512,
      seconds: (2 * 512) / 600,
    });
    // Three epochs of two rows: a query, an expansion of 512 tokens, and two documents of 5 characters.
    const tokens = 3 * 2 * (20 + 512 + 2 * 2);
    expect(stageOf(plan, 'retriever')).toMatchObject({ work: '2 rows, 3 steps', tokens, seconds: tokens / 20_000 });
    expect(plan.inputs).toContainEqual(expect.objectContaining({ input: 'retriever', state: 'ready' }));
    const gone = await planOf('paper', [...DATA, 'retriever.rows=no-rows.jsonl', 'data.triples=no-triples.jsonl']);
    const missing = gone.inputs.filter(({ input, state }) => state === 'missing' && input !== 'disk');
    const files = missing.map(({ detail }) => detail.split(':')[0]);
    expect(files.sort()).toEqual(['no-rows.jsonl', 'no-triples.jsonl']);
    expect(stageOf(gone, 'retriever').work).toBe('637,866 rows, 1,869 steps');
  });

  it('knows the memory that the training of an available encoder needs, and lists the stages of each round', async () => {
    const tiny = `encoder.model=${resolve('src/embed/goldens/tiny-encoder')}`;
    const plan = await planOf('demo', [SMALL, tiny, 'retriever.enabled=true', 'mine.enabled=true', 'rounds=2']);
    expect(stageOf(plan, 'retriever').memory).toBeGreaterThan(1e5);
    expect(stageOf(plan, 'dpo').memory).toBeUndefined();
    const names = (wanted?: number) => plan.stages.filter(({ round }) => round === wanted).map(({ stage }) => stage);
    expect(names(1)).toContain('answers');
    const again = [
      'merge',
      'candidates',
      'reward',
      'pairs',
      'sft',
      'dpo',
      'retriever-data',
      'mine',
      'retriever',
      'dev',
    ];
    expect(names(2)).toEqual(again);
    expect(names()).toEqual(['expand-zeroShot', 'expand-sft', 'expand-aligned', 'evaluate']);
    expect(plan.inputs).toContainEqual({ input: 'rounds', state: 'ready', detail: '2, generator-first' });
  });

  it('counts each text at the rate of its writer', async () => {
    const alone = await planOf('paper', DATA);
    expect(stageOf(alone, 'candidates')).toMatchObject({ tokens: 2 * 32 * 512, seconds: (2 * 32 * 512) / 600 });
    const served = await planOf('paper', [...DATA, SERVER]);
    expect(stageOf(served, 'candidates').seconds).toBe((2 * 32 * 512) / 2500);
    expect(stageOf(served, 'answers').seconds).toBe((2 * 512) / 2500);
    expect(stageOf(served, 'expand-aligned').seconds).toBe(512 / 600);
    const larger = await planOf('demo', [SMALL, 'answerGenerator.model=llama-3-8b-instruct-gguf']);
    const [answers, candidates] = [stageOf(larger, 'answers'), stageOf(larger, 'candidates')];
    const slower = candidates.tokens! / candidates.seconds! / (answers.tokens! / answers.seconds!);
    expect(slower).toBeCloseTo(LLAMA / 134_515_008, 6);
  });

  it('reports what is unknown', async () => {
    const plan = await planOf('paper', ['data.folder=nowhere', 'generator.model=hf:some/model', SERVER]);
    expect(stageOf(plan, 'candidates').tokens).toBe(100_000 * 32 * 512);
    expect(stageOf(plan, 'expand-aligned')).toMatchObject({ tokens: null, seconds: null });
    expect(stageOf(plan, 'evaluate').bytes).toBeNull();
    expect(fileOf(plan, /^hf:some\/model$/)).toMatchObject({ state: 'to download', bytes: null });
    expect(plan.total.unknown).toContain('evaluate');
    expect(plan.total.unknown).toContain('hf:some/model');
    const { rates } = await planOf('demo', [SMALL, SERVER]);
    expect(rates.generation).toEqual({ tokensPerSecond: null, source: 'not stated' });
  });

  it('counts what TRL reads: the base as a folder if it is GGUF', async () => {
    const tiny = resolve('src/generate/goldens/tiny-llama.gguf');
    const gguf = `generator.model=${tiny}`;
    const small = ['sft.maxLength=64', 'dpo.maxLength=64'];
    const bytes = async (engine: 'local' | 'trl') =>
      stageOf(await planOf('paper', [...DATA, gguf, ...small], { engine }), 'sft').bytes!;
    const { parameters } = await summarizeModel(tiny);
    expect((await bytes('trl')) - (await bytes('local'))).toBeGreaterThan(4 * parameters);
  });

  it('counts complete models if all weights are trained', async () => {
    const plan = await planOf('paper', [...DATA, 'dpo.full=true', 'sft.enabled=false']);
    expect(stageOf(plan, 'dpo').bytes).toBe((2 * 12 + 4 + 2) * LLAMA);
    expect(fileOf(plan, /training engine/)).toBeUndefined();
  });
});

describe('data that cannot be read', () => {
  it('is in the plan with its line', async () => {
    writeFileSync(join(folder, 'broken.jsonl'), '{"id":"t1"}\n');
    const plan = await planOf('paper', [...DATA, `data.triples=${join(folder, 'broken.jsonl')}`]);
    expect(plan.inputs[0]).toMatchObject({ state: 'missing' });
    expect(plan.inputs[0]!.detail).toContain('broken.jsonl:1');
  });
});

describe('the default model', () => {
  it('is run from a faster copy, but not on a GPU', async () => {
    expect(fileOf(await planOf('demo', [SMALL]), /Q8_0/)?.bytes).toBe((134_515_008 * 34) / 32);
    expect(fileOf(await planOf('demo', [SMALL, 'generator.gpu=true']), /Q8_0/)).toBeUndefined();
  });
});

describe('rates', () => {
  it('are those measured in the folder, per runtime', async () => {
    const finished = (result: Record<string, unknown>) => ({ record: { result } }) as unknown as FinishedStage;
    const stages = new Map([
      ['candidates', finished({ tokensPerSecond: 900 })],
      ['expand-zeroShot', finished({ 'test-42': { tokensPerSecond: 0 }, 'test-43': { tokensPerSecond: 70 } })],
    ] as [string, FinishedStage][]);
    const encoder = { layers: 6, dimensions: 384 };
    const facts = { generator: { parameters: LLAMA }, encoder } as unknown as Parameters<typeof ratesOf>[3];
    const [served, own] = [await readRecipe('paper', [SERVER]), await readRecipe('paper')];
    expect(ratesOf(served, stages, 'runs/x', facts)).toMatchObject({
      generation: { tokensPerSecond: 900, source: 'measured in runs/x' },
      embedded: { tokensPerSecond: 70, source: 'measured in runs/x' },
      training: { tokensPerSecond: 3000, source: 'stated by the recipe' },
    });
    expect(ratesOf(own, new Map([...stages].slice(0, 1)), 'x', facts).embedded.tokensPerSecond).toBe(900);
  });
});
