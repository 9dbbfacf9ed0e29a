import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { SILENT } from '../system/index.ts';
import { type AlignOptions, align } from './align.ts';
import { ALIGNMENT_STAGES, parseRecipe } from './alignment-stages.ts';
import { planAlignment } from './plan/plan.ts';
import { encoderOf } from './run/encoders.ts';
import { check } from './run/recipe-checks.ts';
import { type AlignmentStage, hashOf, outputOf, sectionOf } from './run/stage.ts';

/** What a newcomer writes to add a stage: one object. It counts the words of the candidates. */
const sectionSchema = z.strictObject({ least: z.number().int().min(1).default(1) }).prefault({});
const countWords: AlignmentStage = {
  name: 'count-words',
  version: 1,
  sections: { countWords: sectionSchema },
  wanted: () => true,
  settings: ({ recipe }) => sectionOf(recipe, 'countWords', sectionSchema),
  inputs: (context) => ({ candidates: hashOf(context, 'candidates', 'candidates') }),
  checks: (recipe) => [check('countWords', () => `at least ${sectionOf(recipe, 'countWords', sectionSchema).least}`)],
  estimate: (_recipe, { counts }) => ({ work: `${counts.train} queries`, tokens: 0, bytes: 10, seconds: 1 }),
  async run(context, folder) {
    const { least } = sectionOf(context.recipe, 'countWords', sectionSchema);
    const text = await readFile(outputOf(context, 'candidates', 'candidates')!, 'utf8');
    const words = text.split(/\s+/).filter((word) => word.length >= least).length;
    await writeFile(join(folder, 'words.txt'), `${words}`);
    return { outputs: { words: join(folder, 'words.txt') }, result: { words } };
  },
};

/** A stage that trains the encoder: here it writes another query prefix with the same weights. */
const trainRetriever: AlignmentStage = {
  name: 'train-retriever',
  version: 1,
  wanted: () => true,
  settings: () => ({ prefix: 'find ' }),
  inputs: (context) => ({ from: encoderOf(context).key }),
  estimate: () => ({ work: 'none', tokens: 0, bytes: 0, seconds: 0 }),
  async run(context, folder) {
    const { retrieval } = encoderOf(context);
    cpSync(retrieval.encoder, join(folder, 'retriever'), { recursive: true });
    writeFileSync(join(folder, 'retriever', 'config_sentence_transformers.json'), '{"prompts":{"query":"find "}}');
    return { outputs: { encoder: join(folder, 'retriever', 'model.safetensors') }, result: {} };
  },
};

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-new-stage-'));
const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const RECIPE = `
name: tiny
data: { kind: beir, folder: ${JSON.stringify(join(folder, 'set'))} }
generator: { model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))}, context: 64, sequences: 4 }
encoder: { model: ${JSON.stringify(ENCODER)} }
prompt: "{query}"
candidates: { samples: 2, temperatures: [1], maxTokens: 4 }
answers: { enabled: false }
reward: { weights: { similarity-gold: 1 } }
evaluation: { alphas: [0.5] }
`;
const named = (...names: string[]) => ALIGNMENT_STAGES.filter(({ name }) => names.includes(name));

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  mkdirSync(join(folder, 'set', 'qrels'), { recursive: true });
  writeFileSync(join(folder, 'set', 'corpus.jsonl'), '{"_id":"d1","text":"a saw"}\n{"_id":"d2","text":"a cat"}\n');
  writeFileSync(join(folder, 'set', 'queries.jsonl'), '{"_id":"q1","text":"saw"}\n{"_id":"q2","text":"cat"}\n');
  for (const split of ['train', 'test']) {
    writeFileSync(join(folder, 'set', 'qrels', `${split}.tsv`), 'q1\td1\t1\nq2\td2\t1\n');
  }
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function run(
  stages: readonly AlignmentStage[],
  { set = [], ...options }: Partial<AlignOptions> & { set?: string[] } = {},
) {
  const recipe = parseRecipe(RECIPE, 'tiny.yaml', set, stages);
  return align(recipe, { folder: join(folder, 'run'), threads: 1, stages, ...options });
}

describe('a new stage', () => {
  const stages = [...named('candidates'), countWords];

  it('is one object: recipe, checks, plan, run and manifest know it', async () => {
    const recipe = parseRecipe(RECIPE, 'tiny.yaml', ['countWords.least=2'], stages);
    const plan = await planAlignment(recipe, {
      folder: join(folder, 'run'),
      engine: 'local',
      progress: SILENT,
      stages,
    });
    expect(plan.stages.map(({ stage, work }) => [stage, work])[1]).toEqual(['count-words', '2 queries']);
    expect(plan.inputs).toContainEqual({ input: 'countWords', state: 'ready', detail: 'at least 2' });
    const { stages: done, manifestFile } = await run(stages, { set: ['countWords.least=2'] });
    expect([...done.keys()]).toEqual(['candidates', 'count-words']);
    expect(done.get('count-words')!.record.result.words).toBeGreaterThan(0);
    const manifest = JSON.parse(readFileSync(manifestFile!, 'utf8'));
    expect(manifest.recipe.countWords).toEqual({ least: 2 });
    expect(manifest.stages[1]).toMatchObject({ stage: 'count-words', outputs: { words: { file: 'words.txt' } } });
  });

  it('has its own keys in its recipe, and in no other', () => {
    expect(() => parseRecipe(RECIPE, 'tiny.yaml', ['countWords.most=2'], stages)).toThrow(
      /countWords\.most: there is no/,
    );
    expect(() => parseRecipe(RECIPE, 'tiny.yaml', ['countWords.least=2'])).toThrow(/countWords: there is no such key/);
    const thief = { ...countWords, sections: { dpo: sectionSchema } };
    expect(() => parseRecipe(RECIPE, 'tiny.yaml', [], [thief])).toThrow(/adds the section dpo, which already exists/);
  });

  it('runs once, and again if its settings, inputs or code change, which it reports', async () => {
    const changes: string[][] = [];
    const again = async (stage: AlignmentStage, set: string[]) => {
      const onStage: AlignOptions['onStage'] = (name, one) => name === stage.name && changes.push(one.changes);
      const { stages: done } = await run([...named('candidates'), stage], { set, onStage });
      return done.get('count-words')!.reused;
    };
    expect(await again(countWords, ['countWords.least=2'])).toBe(true);
    expect(await again({ ...countWords, version: 2 }, ['countWords.least=2'])).toBe(false);
    expect(await again({ ...countWords, version: 2 }, ['countWords.least=2'])).toBe(true);
    expect(await again(countWords, ['countWords.least=2'])).toBe(true);
    expect(await again(countWords, ['countWords.least=3'])).toBe(false);
    expect(await again(countWords, ['countWords.least=2', 'candidates.seed=5'])).toBe(false);
    expect(changes).toEqual([[], ['version: 1, now 2'], [], [], ['least: 2, now 3'], ['candidates: other content']]);
  });

  it('cannot use one name for a setting and an input', async () => {
    const careless = { ...countWords, inputs: () => ({ least: 'hash' }) };
    await expect(run([...named('candidates'), careless])).rejects.toThrow(/names least twice/);
  });
});

describe('a stage that makes an encoder', () => {
  it('passes it to all later stages, and no encoder is opened before it is used', async () => {
    const [candidates, reward] = named('candidates', 'reward');
    const opened: string[] = [];
    const spy = (stage: AlignmentStage): AlignmentStage => ({
      ...stage,
      async run(context, place) {
        const outcome = await stage.run(context, place);
        opened.push(`${stage.name} ${(await encoderOf(context).open()).settings.queryPrefix}`);
        return outcome;
      },
    });
    const plain = await run([candidates!, spy(reward!)]);
    const trained = await run([candidates!, trainRetriever, spy(reward!)]);
    expect(opened).toEqual(['reward what is the ', 'reward find ']);
    const keyOf = ({ stages }: typeof plain) => stages.get('reward')!.record.settings.encoder;
    expect(keyOf(plain)).toMatchObject({ model: expect.stringMatching(/^[0-9a-f]+$/) });
    expect(keyOf(trained)).toMatchObject({ trained: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it('leaves an encoder that cannot be opened to the stages that need it', async () => {
    const broken = join(folder, 'broken');
    cpSync(ENCODER, broken, { recursive: true });
    writeFileSync(join(broken, 'tokenizer.json'), '{}');
    const set = [`encoder.model=${JSON.stringify(broken)}`];
    const [candidates, reward] = named('candidates', 'reward');
    await expect(run([candidates!], { set })).resolves.toBeDefined();
    await expect(run([candidates!, reward!], { set })).rejects.toThrow(/tokenizer\.json/);
  });
});
