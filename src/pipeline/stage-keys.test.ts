import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PROMPTS } from '../generate/index.ts';
import { UsageError } from '../system/index.ts';
import { openContext } from './align.ts';
import { parseRecipe } from './recipe/recipe.ts';
import { recipeHash } from './recipe-hash.ts';
import type { AlignmentContext, AlignmentStage } from './run/stages.ts';
import { answersStage, candidatesStage } from './stages/candidate-stages.ts';
import { expansionStages } from './stages/expansion-stages.ts';
import { rewardStage } from './stages/preference-stages.ts';

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-keys-'));
const at = (...names: string[]) => join(folder, ...names);

const RECIPE = `
name: tiny
data: { kind: beir, folder: ${JSON.stringify(at('set'))} }
generator: { model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))} }
encoder: { model: ${JSON.stringify(resolve('src/embed/goldens/tiny-encoder'))} }
`;

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', at('home'));
  mkdirSync(at('set', 'qrels'), { recursive: true });
  writeFileSync(at('set', 'corpus.jsonl'), '{"_id":"d1","text":"a saw"}\n');
  writeFileSync(at('set', 'queries.jsonl'), '{"_id":"q1","text":"saw"}\n');
  for (const split of ['train', 'dev', 'test']) writeFileSync(at('set', 'qrels', `${split}.tsv`), 'q1\td1\t1\n');
  writeFileSync(at('triples.jsonl'), '{"_id":"t1","text":"saw","positive":{"_id":"p1","text":"a saw"}}\n');
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

async function open(...set: string[]): Promise<AlignmentContext> {
  const context = await openContext(parseRecipe(RECIPE, 'tiny.yaml', set), { threads: 1 });
  await context.models.encoder.close();
  return context;
}

async function keyOf(stage: AlignmentStage, ...set: string[]): Promise<string> {
  return JSON.stringify(stage.settings(await open(...set)));
}

describe('the key of what an LLM writes', () => {
  it('knows the context that documents and texts are cut to, unless a server decides', async () => {
    const served = 'generator.servers=[http://127.0.0.1:9]';
    const contexts = {
      default: await open(),
      same: await open('generator.context=1024'),
      smaller: await open('generator.context=300'),
      served: await open(served),
      servedSmaller: await open(served, 'generator.context=300'),
    };
    const key = (stage: AlignmentStage, name: keyof typeof contexts) => JSON.stringify(stage.settings(contexts[name]));
    for (const stage of [candidatesStage, answersStage, ...expansionStages]) {
      expect(key(stage, 'same')).toBe(key(stage, 'default'));
      expect(key(stage, 'smaller')).not.toBe(key(stage, 'default'));
    }
    for (const stage of [candidatesStage, answersStage]) {
      expect(key(stage, 'servedSmaller')).toBe(key(stage, 'served'));
    }
  });
});

describe('the hash of a recipe', () => {
  const hash = async (...set: string[]) => recipeHash(await open(...set));
  let plain: string;
  beforeAll(async () => {
    plain = await hash();
  });

  it('is the same wherever files lie, whatever it is called, and however it is computed', async () => {
    cpSync(at('set'), at('moved'), { recursive: true });
    writeFileSync(at('q2d.txt'), PROMPTS.q2d.text);
    const computed = ['generator.sequences=4', 'generator.concurrency=2', 'dpo.saveSteps=7', 'dpo.memory=2'];
    const named = ['name=other', 'rates={generation: 5}', `prompt=${at('q2d.txt')}`, `data.folder=${at('moved')}`];
    expect(await hash(...computed, ...named)).toBe(plain);
  });

  it('knows a judge by its content too', async () => {
    const judges = [at('judge'), at('other-judge')];
    for (const judge of judges) cpSync('src/embed/goldens/tiny-encoder', judge, { recursive: true });
    const judgedBy = (judge: string) => hash(`evaluation.judges=[bm25, ${JSON.stringify(judge)}]`);
    const first = await judgedBy(judges[0]!);
    expect(first).not.toBe(plain);
    expect(await judgedBy(judges[1]!)).toBe(first);
    writeFileSync(join(judges[1]!, 'config_sentence_transformers.json'), '{"prompts":{"query":"find "}}');
    expect(await judgedBy(judges[1]!)).not.toBe(first);
  });

  it('is another one for another setting, prompt or document', async () => {
    writeFileSync(at('q2d.txt'), `${PROMPTS.q2d.text} Write!`);
    expect(await hash(`prompt=${at('q2d.txt')}`)).not.toBe(plain);
    expect(await hash('dpo.beta=0.2')).not.toBe(plain);
    cpSync(at('set'), at('edited'), { recursive: true });
    writeFileSync(at('edited', 'corpus.jsonl'), '{"_id":"d1","text":"no saw"}\n');
    const edited = await hash(`data.folder=${at('edited')}`);
    expect(edited).not.toBe(plain);
    const elsewhere = `evaluation.dataset={folder: ${JSON.stringify(at('edited'))}}`;
    expect([plain, edited]).not.toContain(await hash(elsewhere));
  });
});

describe('the key of the rewards', () => {
  it('knows an own reward by what its module says, not by where it stands', async () => {
    const source = 'export default ({ candidates }) => candidates.map(() => 1);\n';
    mkdirSync(at('elsewhere'));
    for (const file of [at('mine.mjs'), at('elsewhere', 'mine.mjs')]) writeFileSync(file, source);
    const key = (file: string) => keyOf(rewardStage, `reward.weights={${JSON.stringify(file)}: 1}`);
    const before = await key(at('mine.mjs'));
    expect(await key(at('elsewhere', 'mine.mjs'))).toBe(before);
    writeFileSync(at('mine.mjs'), source.replace('1', '2'));
    expect(await key(at('mine.mjs'))).not.toBe(before);
  });

  it.each([
    ['a module that is not there', 'reward.weights={./none.mjs: 1}', /none\.mjs/],
    ['a reward that nobody knows', 'reward.weights={rank-silver: 1}', /no reward "rank-silver"/],
    ['answers that nobody writes', 'answers.enabled=false', /rank-answer reads answers/],
  ])('is not asked for with %s', async (_name, set, words) => {
    await expect(open(set)).rejects.toThrow(words);
  });

  it('is not asked for with a search of triples, whose queries nobody judged', async () => {
    const data = `data.triples=${at('triples.jsonl')}`;
    const opened = open(data, 'reward.weights={change-nDCG@10: 1}');
    await expect(opened).rejects.toThrow(/searches a corpus with judgements, and triples have none/);
    await expect(opened).rejects.toBeInstanceOf(UsageError);
    await expect(open(data, 'reward.weights={change-nDCG@10: 0, rank-gold: 1}')).resolves.toBeDefined();
  });
});
