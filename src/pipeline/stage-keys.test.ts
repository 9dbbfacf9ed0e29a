import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ENCODER_FORMAT, VECTOR_CACHE } from '../embed/index.ts';
import { EVALUATION_FORMAT } from '../evaluate/index.ts';
import { PROMPTS } from '../generate/index.ts';
import { MEASURES_FORMAT } from '../measures/index.ts';
import { RankReward, REWARD_FORMAT, ZScoreReward } from '../reward/index.ts';
import { ANALYZERS_FORMAT, BM25_CACHE } from '../search/index.ts';
import { SILENT, UsageError } from '../system/index.ts';
import { align, openContext } from './align.ts';
import { ALIGNMENT_STAGES, parseRecipe } from './alignment-stages.ts';
import { planAlignment } from './plan/plan.ts';
import { recipeHash } from './recipe-hash.ts';
import { type AlignmentContext, type AlignmentStage, keyedSettings } from './run/stage.ts';
import { answersStage } from './stages/answers-stage.ts';
import { candidatesStage } from './stages/candidates-stage.ts';
import { evaluateStage } from './stages/evaluation-stage.ts';
import { expansionStages } from './stages/expansion-stages.ts';
import { rewardStage } from './stages/reward-stage.ts';
import { dpoStage, sftStage } from './stages/training-stages.ts';

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
  return openContext(parseRecipe(RECIPE, 'tiny.yaml', set), { threads: 1 });
}

async function keyOf(stage: AlignmentStage, ...set: string[]): Promise<string> {
  return JSON.stringify(keyedSettings(stage, await open(...set)));
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
    const key = (stage: AlignmentStage, name: keyof typeof contexts) =>
      JSON.stringify(keyedSettings(stage, contexts[name]));
    for (const stage of [candidatesStage, answersStage, ...expansionStages]) {
      expect(key(stage, 'same')).toBe(key(stage, 'default'));
      expect(key(stage, 'smaller')).not.toBe(key(stage, 'default'));
    }
    for (const stage of [candidatesStage, answersStage]) {
      expect(key(stage, 'servedSmaller')).toBe(key(stage, 'served'));
    }
  });
});

describe('variables of the chat template', () => {
  const thinking = (value: boolean, section = 'generator') =>
    `${section}.chatTemplateKwargs={enable_thinking: ${value}}`;
  const served = ['generator.servers=[http://127.0.0.1:9]', 'expansion.servers=[http://127.0.0.1:9]'];

  it.each([
    ['the embedded runtime', []],
    ['servers', [...served, 'expansion.serverModels={zeroShot: a, sft: b, aligned: c}']],
  ])('are in the key of every stage that writes or trains: %s', async (_name, set) => {
    for (const stage of [candidatesStage, answersStage, ...expansionStages, sftStage, dpoStage]) {
      const keys = await Promise.all([
        keyOf(stage, ...set),
        keyOf(stage, ...set, thinking(true)),
        keyOf(stage, ...set, thinking(false)),
      ]);
      expect(new Set(keys).size, stage.name).toBe(3);
    }
  });

  it('of another LLM that answers are in the key of the answers alone', async () => {
    const other = `answerGenerator.model=${resolve('src/generate/goldens/tiny-llama.gguf')}`;
    const set = [other, thinking(false, 'answerGenerator')];
    expect(await keyOf(answersStage, ...set)).not.toBe(await keyOf(answersStage, other));
    expect(await keyOf(candidatesStage, ...set)).toBe(await keyOf(candidatesStage, other));
  });

  it('have no reserved names', () => {
    const parse = () => parseRecipe(RECIPE, 'tiny.yaml', ['generator.chatTemplateKwargs={range: 1}']);
    expect(parse).toThrow(/range is a reserved name/);
  });
});

describe('the hash of a recipe', () => {
  const hash = async (...set: string[]) => recipeHash(await open(...set));
  let plain: string;
  beforeAll(async () => {
    plain = await hash();
  });

  it('does not depend on the location of files, its name, or how it is computed', async () => {
    cpSync(at('set'), at('moved'), { recursive: true });
    writeFileSync(at('q2d.txt'), PROMPTS.q2d.text);
    const computed = ['generator.sequences=4', 'generator.concurrency=2', 'dpo.saveSteps=7', 'dpo.memory=2'];
    const named = ['name=other', 'rates={generation: 5}', `prompt=${at('q2d.txt')}`, `data.folder=${at('moved')}`];
    expect(await hash(...computed, ...named)).toBe(plain);
  });

  it('changes with the analyzer of the texts', async () => {
    expect(await hash('evaluation.analyzer=german')).not.toBe(plain);
    expect((await open('evaluation.analyzer=german')).models.encoders.at(new Map()).retrieval.analyzer).toBe('german');
    await expect(open('evaluation.analyzer=klingon')).rejects.toThrow(/evaluation\.analyzer/);
  });

  it('also identifies a judge by its content', async () => {
    const judges = [at('judge'), at('other-judge')];
    for (const judge of judges) cpSync('src/embed/goldens/tiny-encoder', judge, { recursive: true });
    const judgedBy = (judge: string) => hash(`evaluation.judges=[bm25, ${JSON.stringify(judge)}]`);
    const first = await judgedBy(judges[0]!);
    expect(first).not.toBe(plain);
    expect(await judgedBy(judges[1]!)).toBe(first);
    writeFileSync(join(judges[1]!, 'config_sentence_transformers.json'), '{"prompts":{"query":"find "}}');
    expect(await judgedBy(judges[1]!)).not.toBe(first);
  });

  it('changes with a setting, a prompt or a document', async () => {
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
  it('identifies a custom reward by the content of its module, not by its location', async () => {
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

  it('refuses a search with triples, whose queries have no judgements', async () => {
    const data = `data.triples=${at('triples.jsonl')}`;
    const opened = open(data, 'reward.weights={change-nDCG@10: 1}');
    await expect(opened).rejects.toThrow(/searches a corpus with judgements, but triples have none/);
    await expect(opened).rejects.toBeInstanceOf(UsageError);
    await expect(open(data, 'reward.weights={change-nDCG@10: 0, rank-gold: 1}')).resolves.toBeDefined();
  });
});

describe('the key of a trained encoder', () => {
  const named = (name: string) => ALIGNMENT_STAGES.findLast((stage) => stage.name === name)!;
  const [retriever, student] = [named('retriever'), named('student')];

  it('knows what is trained and how, but not how it is computed', async () => {
    const plain = await keyOf(retriever);
    expect(await keyOf(retriever, 'retriever.saveSteps=7', 'retriever.memory=2', 'retriever.enabled=true')).toBe(plain);
    expect(await keyOf(retriever, 'retriever.temperature=0.1')).not.toBe(plain);
    expect(await keyOf(retriever, 'retriever.devSearch=true')).not.toBe(plain);
    expect(await keyOf(retriever, 'student.temperature=0.1')).toBe(plain);
    expect(await keyOf(student, 'student.temperature=0.1')).not.toBe(await keyOf(student));
  });

  it('follows the content of the encoder that it starts from, and of the rows', async () => {
    cpSync('src/embed/goldens/tiny-encoder', at('base'), { recursive: true });
    const base = `encoder.model=${at('base')}`;
    const before = await keyOf(retriever, base);
    writeFileSync(join(at('base'), 'config_sentence_transformers.json'), '{"prompts":{"query":"find "}}');
    expect(await keyOf(retriever, base)).not.toBe(before);
    const rows = named('retriever-data');
    const set = ['retriever.enabled=true', `retriever.rows=${at('rows.jsonl')}`];
    writeFileSync(at('rows.jsonl'), '{"query":"saw","pos":["a saw"],"pseudo_doc":"a tool"}\n');
    const first = await keyOf(rows, ...set);
    writeFileSync(at('rows.jsonl'), '{"query":"saw","pos":["a boat"],"pseudo_doc":"a tool"}\n');
    expect(await keyOf(rows, ...set)).not.toBe(first);
  });
});

describe('the code', () => {
  it('is in the key of every stage as a version', async () => {
    const context = await open();
    for (const stage of ALIGNMENT_STAGES) {
      const keyed = keyedSettings(stage, context);
      expect(keyed.version).toBe(stage.version);
      expect(JSON.stringify(keyedSettings({ ...stage, version: 99 }, context))).not.toBe(JSON.stringify(keyed));
    }
  });

  it('of rewards, measures and evaluation is there too', async () => {
    const weights = 'reward.weights={rank-gold: 1, zScore-answer: 1, change-nDCG@10: 1}';
    const context = await open(weights);
    expect(rewardStage.settings(context)).toMatchObject({
      format: REWARD_FORMAT,
      codeOfRewards: {
        'rank-gold': new RankReward('gold').fingerprint,
        'zScore-answer': new ZScoreReward('answer').fingerprint,
        'change-nDCG@10': expect.stringMatching(
          new RegExp(`measures/${MEASURES_FORMAT}.*vectors/\\d+.*bm25/\\d+.*analyzers/english-\\d+`),
        ),
      },
    });
    expect(evaluateStage.settings(context)).toMatchObject({
      formats: {
        ...{ measures: MEASURES_FORMAT, evaluation: EVALUATION_FORMAT, retrieval: expect.any(Number) },
        ...{ vectors: VECTOR_CACHE.format, bm25: BM25_CACHE.format, analyzers: ANALYZERS_FORMAT },
      },
    });
    for (const stage of [rewardStage, evaluateStage]) {
      expect(stage.inputs(context).encoder).toMatchObject({ format: ENCODER_FORMAT });
    }
  });

  it('is part of the hash of a recipe', async () => {
    const context = await open();
    const stages = context.stages.map((one) => (one.name === 'dpo' ? { ...one, version: 99 } : one));
    expect(recipeHash({ ...context, stages })).not.toBe(recipeHash(context));
  });
});

describe('modules that a recipe names', () => {
  const file = at('loud.mjs');
  const set = `reward.weights={${JSON.stringify(file)}: 1}`;
  const recipe = () => parseRecipe(RECIPE, 'tiny.yaml', [set]);
  const ran = () => (globalThis as { loudRan?: boolean }).loudRan === true;
  beforeAll(() => {
    const source = 'globalThis.loudRan = true;\nexport default ({ candidates }) => candidates.map(() => 1);\n';
    writeFileSync(file, `import './loud-lib.mjs';\n${source}`);
    writeFileSync(at('loud-lib.mjs'), 'export const one = 1;\n');
  });

  it('are not run by a plan, a key, or a run without permission', async () => {
    const plan = await planAlignment(recipe(), { folder: at('run'), engine: 'local', progress: SILENT });
    expect(plan.inputs).toContainEqual({
      input: 'reward.weights',
      state: 'ready',
      detail: expect.stringContaining('=1'),
    });
    expect(plan.recipeHash).toBeDefined();
    await keyOf(rewardStage, set);
    const refused = align(recipe(), { folder: at('run') });
    await expect(refused).rejects.toThrow(`the recipe runs code: ${file}`);
    await expect(refused).rejects.toBeInstanceOf(UsageError);
    expect(ran()).toBe(false);
  });

  it('are another reward if an imported file changes', async () => {
    const before = await keyOf(rewardStage, set);
    writeFileSync(at('loud-lib.mjs'), 'export const one = 2;\n');
    expect(await keyOf(rewardStage, set)).not.toBe(before);
  });

  it('run with permission', async () => {
    writeFileSync(at('no-reward.mjs'), 'globalThis.loudRan = true;\n');
    const other = parseRecipe(RECIPE, 'tiny.yaml', [`reward.weights={${JSON.stringify(at('no-reward.mjs'))}: 1}`]);
    const run = align(other, { folder: at('run'), allowCode: true });
    await expect(run).rejects.toThrow(/exports no reward function/);
    expect(ran()).toBe(true);
  });
});
