import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { AbortedError, SILENT, UsageError } from '../system/index.ts';
import { type AlignOptions, align } from './align.ts';
import { ALIGNMENT_STAGES, parseRecipe } from './alignment-stages.ts';
import { planAlignment } from './plan/plan.ts';
import { encoderOf, untrainedEncoderOf } from './run/encoders.ts';
import { generatorOf } from './run/generators.ts';
import { type AlignmentContext, type AlignmentStage, roundOf, stagesOf } from './run/stage.ts';

/** Rounds with stages of a few lines: what they start from, which one is best, and what is repeated. */
const folder = mkdtempSync(join(tmpdir(), 'llm-qe-rounds-'));
const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const RECIPE = `
name: tiny
data: { kind: beir, folder: ${JSON.stringify(join(folder, 'set'))} }
generator: { model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))} }
encoder: { model: ${JSON.stringify(ENCODER)} }
evaluation: { alphas: [0.5] }
retriever: { enabled: true }
dpo: { full: true }
rounds: 3
`;

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  mkdirSync(join(folder, 'set', 'qrels'), { recursive: true });
  writeFileSync(join(folder, 'set', 'corpus.jsonl'), '{"_id":"d1","text":"a saw"}\n');
  writeFileSync(join(folder, 'set', 'queries.jsonl'), '{"_id":"q1","text":"saw"}\n');
  for (const split of ['train', 'dev', 'test'])
    writeFileSync(join(folder, 'set', 'qrels', `${split}.tsv`), 'q1\td1\t1\n');
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** What a stage did, in order. */
let log: string[] = [];
let run = 0;
beforeEach(() => {
  log = [];
  run++;
});

/** The models that a round starts from, by what the rounds of the test have put into them. */
const generatorIn = (context: AlignmentContext) =>
  context.before === undefined ? 'base' : `model of round ${roundOf(context) - 1}`;

const base = { version: 1, wanted: () => true, settings: () => ({}) } as const;
const estimate = () => ({ work: 'none', tokens: 0, bytes: 0, seconds: 0 });

/** Names the models that it gets. */
const candidates: AlignmentStage = {
  ...{ ...base, name: 'candidates', estimate },
  inputs: (context) => ({ generator: generatorOf(context).fingerprint, encoder: encoderOf(context).key }),
  async run(context, place) {
    log.push(`candidates ${roundOf(context)} by ${generatorIn(context)}, ${generatorOf(context).name.split(', ')[1]}`);
    writeFileSync(join(place, 'texts'), generatorOf(context).fingerprint);
    return { outputs: { texts: join(place, 'texts') }, result: {} };
  },
};

/** Trains the LLM: another file each round. */
const dpo: AlignmentStage = {
  ...{ ...base, name: 'dpo', estimate },
  inputs: (context) => ({ from: generatorOf(context).fingerprint }),
  async run(context, place) {
    writeFileSync(join(place, 'model.gguf'), `model of round ${roundOf(context)}`);
    return { outputs: { model: join(place, 'model.gguf') }, result: {} };
  },
};

/** Trains the encoder: another prefix each round, with the same weights. */
const retriever: AlignmentStage = {
  ...{ ...base, name: 'retriever', estimate },
  inputs: (context) => ({ from: encoderOf(context).key, texts: context.done.get('candidates')?.record.key }),
  async run(context, place) {
    const prefix = (await encoderOf(context).open()).settings.queryPrefix;
    log.push(`retriever ${roundOf(context)} from "${prefix}"`);
    cpSync(ENCODER, join(place, 'encoder'), { recursive: true });
    const prompts = join(place, 'encoder', 'config_sentence_transformers.json');
    writeFileSync(prompts, JSON.stringify({ prompts: { query: `round ${roundOf(context)} ` } }));
    const encoder = join(place, 'encoder', 'model.safetensors');
    return { outputs: { encoder, 'encoder: prompts': prompts }, result: {} };
  },
};

/** Measures a round: the second is best. */
const dev: AlignmentStage = {
  ...{ ...base, name: 'dev', estimate },
  inputs: (context) => ({ encoder: encoderOf(context).key }),
  async run(context, place) {
    const value = [0.2, 0.5, 0.4][roundOf(context) - 1]!;
    writeFileSync(join(place, 'dev'), String(value));
    const arms = { 'retriever+aligned': { value } };
    return {
      outputs: { dev: join(place, 'dev') },
      result: { measure: 'm', arms, chosenBy: 'retriever+aligned', value },
    };
  },
};

/** Stands for the test: runs once. */
const test: AlignmentStage = {
  ...{ ...base, name: 'test', estimate, rounds: 'best' },
  inputs: (context) => ({ encoder: encoderOf(context).key }),
  async run(context, place) {
    const [own, trained] = [await untrainedEncoderOf(context).open(), await encoderOf(context).open()];
    log.push(`test ${roundOf(context)} with "${own.settings.queryPrefix}" and "${trained.settings.queryPrefix}"`);
    writeFileSync(join(place, 'tested'), '');
    return { outputs: { tested: join(place, 'tested') }, result: {} };
  },
};

const stages = [candidates, dpo, retriever, dev, test];

function start(set: string[] = [], options: Partial<AlignOptions> = {}) {
  const recipe = parseRecipe(RECIPE, 'tiny.yaml', set);
  return align(recipe, { folder: join(folder, `run-${run}`), threads: 1, stages, ...options });
}

describe('rounds', { timeout: 60_000 }, () => {
  it('start from the models of the round before, and test the best with the first encoder and its own', async () => {
    const result = await start();
    expect(log).toEqual([
      'candidates 1 by base, undefined',
      'retriever 1 from "what is the "',
      'candidates 2 by model of round 1, aligned in round 1',
      'retriever 2 from "round 1 "',
      'candidates 3 by model of round 2, aligned in round 2',
      'retriever 3 from "round 2 "',
      'test 2 with "what is the " and "round 2 "',
    ]);
    expect(result.best).toBe(2);
    expect(result.rounds.map(({ round, value }) => [round, value])).toEqual([
      [1, 0.2],
      [2, 0.5],
      [3, 0.4],
    ]);
    expect(result.stages.get('candidates')!.record.settings.generator).not.toBe('');
  });

  it('are resumed within a round, repeat nothing, and share rounds with a longer run', async () => {
    const stop = new AbortController();
    const onStage: AlignOptions['onStage'] = (name, _stage, round) => {
      if (name === 'dpo' && round === 2) stop.abort();
    };
    await expect(start([], { signal: stop.signal, onStage })).rejects.toBeInstanceOf(AbortedError);
    const before = log.length;
    await start(['rounds=2']);
    expect(log.slice(before)).toEqual(['retriever 2 from "round 1 "', 'test 2 with "what is the " and "round 2 "']);
    const shorter = log.length;
    const changes: string[] = [];
    await start([], { onStage: (_name, stage) => changes.push(...stage.changes) });
    expect(log.slice(shorter)).toEqual([
      'candidates 3 by model of round 2, aligned in round 2',
      'retriever 3 from "round 2 "',
    ]);
    expect(changes).toEqual([]);
    await start();
    expect(log).toHaveLength(shorter + 2);
  });

  it('run one stage of the last round, or of the best, once the stages before it are finished', async () => {
    await expect(start([], { only: 'dpo' })).rejects.toThrow(/stage dpo needs stage candidates of round 1/);
    await start(['rounds=1']);
    log = [];
    await start(['rounds=2'], { only: 'candidates' });
    expect(log).toEqual(['candidates 2 by model of round 1, aligned in round 1']);
    await expect(start(['rounds=2'], { only: 'test' })).rejects.toThrow(/stage test needs stage dpo of round 2/);
    await start(['rounds=2']);
    const again = await start(['rounds=2'], { only: 'test' });
    expect(again.stages.get('test')!.reused).toBe(true);
  });

  it('are planned one by one, each as far as it is finished', async () => {
    await start(['rounds=2']);
    const recipe = parseRecipe(RECIPE, 'tiny.yaml');
    const options = { folder: join(folder, `run-${run}`), engine: 'local', progress: SILENT, stages } as const;
    const plan = await planAlignment(recipe, options);
    const states = plan.stages.map(({ stage, round, state }) => `${round} ${stage} ${state}`);
    expect(states.slice(0, 8)).toEqual(
      [1, 2].flatMap((round) => ['candidates', 'dpo', 'retriever', 'dev'].map((name) => `${round} ${name} finished`)),
    );
    expect(states.slice(8)).toEqual([
      ...['3 candidates to do', '3 dpo to do', '3 retriever to do', '3 dev to do', 'undefined test to do'],
    ]);
  });
});

describe('a trained encoder', () => {
  it('is identified by all its files, of which the weights alone may be those of another', async () => {
    const keys: unknown[] = [];
    const spy: AlignmentStage = {
      ...{ ...base, name: 'spy', estimate, inputs: () => ({}) },
      async run(context, place) {
        keys.push(encoderOf(context).key);
        writeFileSync(join(place, 'seen'), '');
        return { outputs: { seen: join(place, 'seen') }, result: {} };
      },
    };
    const second = { ...retriever, version: 2 };
    const other: AlignmentStage = {
      ...second,
      run: async (context, place) => {
        const outcome = await retriever.run(context, place);
        writeFileSync(outcome.outputs['encoder: prompts']!, '{"prompts":{"query":"other "}}');
        return outcome;
      },
    };
    for (const one of [retriever, other])
      await start(['rounds=1'], { stages: [candidates, one, { ...spy, version: keys.length }] });
    expect(keys[0]).not.toEqual(keys[1]);
  });
});

describe('the order of a recipe', () => {
  const namesOf = (...set: string[]) =>
    stagesOf({ stages: ALIGNMENT_STAGES, recipe: parseRecipe(RECIPE, 'tiny.yaml', ['rounds=1', ...set]) }).map(
      ({ name }) => name,
    );

  it('puts the retriever behind the LLM, or before it', () => {
    const encoders = ['retriever-data', 'mine', 'retriever', 'student'];
    const generator = ['candidates', 'answers', 'reward', 'pairs', 'sft', 'dpo'];
    const arms = ['expand-zeroShot', 'expand-sft', 'expand-aligned', 'evaluate'];
    const all = ['student.enabled=true', 'mine.enabled=true'];
    expect(namesOf(...all)).toEqual([...generator, ...encoders, ...arms]);
    expect(namesOf(...all, 'order=retriever-first')).toEqual([...encoders, ...generator, ...arms]);
    expect(namesOf('retriever.enabled=false')).toEqual([...generator, ...arms]);
  });
});

describe('rounds that cannot be run', () => {
  const refused = (set: string[], words: RegExp) => {
    const recipe = parseRecipe(RECIPE, 'tiny.yaml', set);
    const started = align(recipe, { folder: join(folder, `run-${run}`), threads: 1 });
    return Promise.all([expect(started).rejects.toThrow(words), expect(started).rejects.toBeInstanceOf(UsageError)]);
  };

  it('are refused with servers, whose LLM does not change', () =>
    refused(['generator.servers=[http://127.0.0.1:9]'], /rounds: the LLM changes from round to round/));

  it('are refused if a retriever with a query side of its own would be trained further', async () => {
    await refused(['retriever.train=query', 'student.enabled=true'], /student: trains the retriever further/);
    await refused(['retriever.train=query', 'retriever.start=previous'], /retriever: trains the retriever further/);
  });

  it('are refused if the encoder is a server', () =>
    refused(['encoder={model: "http://127.0.0.1:9", encoderModel: e}'], /the encoder is a server/));
});
