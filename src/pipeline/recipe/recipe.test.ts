import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError, type LlmQeError, UsageError } from '../../system/index.ts';
import { isTuned, needsDev, parseRecipe, readRecipe } from './recipe.ts';

const SMALL = 'name: small\ndata:\n  kind: wordnet\n';

describe('packaged recipes', () => {
  it('hold the published settings', async () => {
    const paper = await readRecipe('paper');
    expect(paper.candidates).toMatchObject({ samples: 8, temperatures: [0.8, 0.9, 1, 1.1], topP: 0.9, maxTokens: 512 });
    expect(paper.candidates.queries).toBe(100_000);
    expect(paper.reward.weights).toEqual({ 'rank-gold': 1, 'rank-answer': 1 });
    expect(paper.pairs).toMatchObject({ pairsPerQuery: 1, minSimilarity: 0.6, pairs: 30_000, dev: 3000 });
    expect(paper.dpo).toMatchObject({ beta: 0.1, lossType: ['sigmoid'], learningRate: 2e-5, lrScheduler: 'linear' });
    expect(paper.dpo).toMatchObject({
      loraR: 8,
      loraAlpha: 32,
      loraDropout: 0.1,
      loraTargetModules: ['q_proj', 'v_proj'],
    });
    expect(paper.dpo).toMatchObject({
      epochs: 2,
      batchSize: 16,
      maxGradNorm: 10,
      maxLength: 612,
      evalSteps: 300,
    });
    expect(paper.dpo.batchSize / (paper.trl.perDeviceTrainBatchSize * paper.trl.processes)).toBe(8);
    expect(paper.trl).toMatchObject({
      hardware: 'gpu',
      processes: 1,
      perDeviceTrainBatchSize: 2,
      precision: 'bfloat16',
      zero2: true,
    });
    expect(paper.expansion).toMatchObject({ samples: 1, temperature: 1, topP: 0.9, maxTokens: 512 });
    expect(isTuned(paper)).toBe(false);
    expect(needsDev(paper)).toBe(false);
    const { epochs, batchSize, groupSize, temperature, learningRate, maxLength, method, querySide } = paper.retriever;
    expect({ epochs, groupSize, temperature, learningRate, maxLength, method, querySide }).toEqual({
      ...{ epochs: 3, groupSize: 2, temperature: 0.02, learningRate: 3e-5, maxLength: 512 },
      ...{ method: 'infonce', querySide: 'expansion' },
    });
    expect(batchSize).toBe(64 * 8 * 2);
    expect([paper.order, paper.rounds, paper.retriever.enabled]).toEqual(['generator-first', 1, true]);
  });

  it('need dev queries to tune, to choose a round, or to choose a checkpoint by a search', () => {
    const fixed = `${SMALL}evaluation: { alphas: [0.5] }\n`;
    const need = (...set: string[]) => needsDev(parseRecipe(fixed, 'mine.yaml', set));
    expect(need()).toBe(false);
    expect(need('rounds=2')).toBe(true);
    expect(need('retriever.devSearch=true')).toBe(false);
    expect(need('retriever.devSearch=true', 'student.enabled=true')).toBe(true);
  });

  it('tune the arm of both trainings, unless its alpha is given', () => {
    const given = 'evaluation.armAlphas={zeroShot: 0.5, sft: 0.5, aligned: 0.5}';
    const tuned = (...set: string[]) => isTuned(parseRecipe(SMALL, 'mine.yaml', [given, ...set]));
    expect(tuned()).toBe(false);
    expect(tuned('retriever.enabled=true')).toBe(true);
    expect(tuned('retriever.enabled=true', 'evaluation.armAlphas.retriever+aligned=0.3')).toBe(false);
  });

  it.each(['demo', 'smoke'])('are valid: %s', async (name) => {
    expect((await readRecipe(name)).name).toBe(name);
  });
});

describe('a recipe', () => {
  const parse = (text: string, ...overrides: string[]) => parseRecipe(text, 'mine.yaml', overrides);
  const faultOf = (text: string, ...overrides: string[]): Error => {
    try {
      parse(text, ...overrides);
    } catch (error) {
      return error as Error;
    }
    throw new Error('was accepted');
  };

  it('has the published settings by default', () => {
    const recipe = parse(SMALL);
    expect(recipe.candidates.samples * recipe.candidates.temperatures.length).toBe(32);
    expect(recipe.pairs.minSimilarity).toBe(0.6);
    expect(recipe.dpo.beta).toBe(0.1);
  });

  it.each([
    [`${SMALL}dpo:\n  betta: 0.2\n`, 'mine.yaml:5: dpo.betta: there is no such key'],
    [`${SMALL}# a comment\n\ndpo:\n  beta: high\n`, 'mine.yaml:7: dpo.beta'],
    [`${SMALL}dpo:\n  warmupSteps: 1.5\n`, 'dpo.warmupSteps: must be a whole number of steps, or a fraction below 1'],
    [`${SMALL}dpo:\n  beta:\n`, 'mine.yaml:5: dpo.beta: has no value'],
    [`${SMALL}candidates:\n  temperatures:\n    - 1\n    - 99\n`, 'mine.yaml:7: candidates.temperatures.1'],
    ['name: small\n', 'mine.yaml: data'],
    ['name: a/b\ndata: {kind: wordnet}\n', 'mine.yaml:1: name'],
    ['name: x\ndata:\n  kind: wordnets\n', 'mine.yaml:3: data.kind'],
    ['name: x\nname: y\n', 'mine.yaml:2: is not YAML: Map keys must be unique'],
    [': [', 'mine.yaml:1: is not YAML'],
    ['just words', 'mine.yaml: '],
    ['', 'mine.yaml: '],
  ])('names file, line and key: %j', (text, message) => {
    const fault = faultOf(text);
    expect(fault).toBeInstanceOf(DataError);
    expect(fault.message).toContain(message);
  });

  it('suggests keys for an unknown one', () => {
    expect((faultOf(`${SMALL}pairs:\n  minmargin: 1\n`) as DataError).fix).toContain('minMargin');
  });

  it('is overridden key by key', () => {
    const recipe = parse(
      SMALL,
      'reward.weights.rank-answer=0',
      'dpo.lossType=[sigmoid, sft]',
      'expansion.seeds=[1, 2]',
    );
    expect(recipe.reward.weights).toEqual({ 'rank-answer': 0 });
    expect(recipe.dpo.lossType).toEqual(['sigmoid', 'sft']);
    expect(recipe.expansion.seeds).toEqual([1, 2]);
  });

  it.each(['dpo.betta=1', 'dpo.beta=high', 'name.x=1', 'dpo', '=1', 'dpo.beta=', 'dpo.beta=[1'])(
    'refuses the override %s, and says that it is one',
    (override) => {
      const fault = faultOf(SMALL, override);
      expect(fault).toBeInstanceOf(UsageError);
      expect(fault.message).toContain(`--set ${override}`);
    },
  );

  it('may have answers written by servers without a model name', () => {
    const { answerGenerator } = parse(SMALL, 'answerGenerator={servers: [http://127.0.0.1:9]}');
    expect(answerGenerator).toMatchObject({ servers: ['http://127.0.0.1:9/v1'] });
    expect(answerGenerator!.model).toBeUndefined();
    const secret = parse(SMALL, 'generator.servers=["http://u:pass-word@host/v1?api-key=abcdefgh"]');
    expect(secret.generator.servers).toEqual(['http://***@host/v1?api-key=***']);
    expect(faultOf(SMALL, 'answerGenerator={sequences: 4}').message).toContain('has neither a model nor servers');
  });
});

describe('invalid keys', () => {
  const parse = (text: string, ...overrides: string[]) => parseRecipe(text, 'mine.yaml', overrides);
  const fault = (text: string, ...overrides: string[]): LlmQeError => {
    try {
      parse(text, ...overrides);
    } catch (error) {
      return error as LlmQeError;
    }
    throw new Error('was accepted');
  };

  it.each([
    '__proto__.x=1',
    'dpo.__proto__.x=1',
    'reward.weights.__proto__=1',
    'reward.weights.constructor=1',
    'constructor.prototype.x=1',
    'data.prototype=1',
    'reward={__proto__: {x: 1}}',
    'reward={weights: {__proto__: 1}}',
  ])('--set %s pollutes nothing, and is refused', (override) => {
    const found = fault(SMALL, override);
    expect(found).toBeInstanceOf(UsageError);
    expect(found.message).toContain(`--set ${override}`);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it.each([`${SMALL}__proto__: {x: 1}\n`, `${SMALL}reward: {weights: {constructor: 1}}\n`])(
    'stand in no file either: %j',
    (text) => {
      expect(fault(text)).toBeInstanceOf(DataError);
      expect(fault(text).message).toMatch(/is not allowed as a key/);
    },
  );

  it.each([
    ['dpo.betta=1', /Did you mean dpo\.beta\?/],
    ['pairs.minmargin=1', /Did you mean pairs\.minMargin\?/],
    ['data.copus=1', /Did you mean data\.corpus\?/],
    ['learningRate=1', /Did you mean dpo\.learningRate or sft\.learningRate or retriever\.learningRate or/],
    ['evaluation.armAlphas.alined=1', /Did you mean evaluation\.armAlphas\.aligned\?/],
    ['dpo.toString=1', /Known keys here are/],
    ['data.folder=x', /Known keys here are kind, corpus/],
  ])('%s is answered with what may have been meant', (override, fix) => {
    expect(fault(SMALL, override).fix).toMatch(fix);
    expect(fault(SMALL, override).message).toContain('there is no such key');
  });

  it('belong to the kind of data that is chosen', () => {
    const text = `${SMALL}  corpus: 1000\n`;
    expect(parse(text, 'data.kind=beir', 'data.folder=set').data).toMatchObject({ kind: 'beir', folder: 'set' });
    expect(parse(text, 'data.kind=wordnet').data).toMatchObject({ corpus: 1000 });
    const missing = fault(text, 'data.kind=beir');
    expect(missing.message).toBe('--set data.kind=beir: data.folder: is missing');
    expect(fault(text, 'data.kind=beir', 'data.folder=set', 'data.corpus=3').message).toContain('data.corpus');
    expect(fault('name: x\ndata: {kind: beir, folder: set, corpus: 3}\n').message).toContain('data.corpus');
  });

  it.each([
    ['dpo', 'schedule', 'lrScheduler'],
    ['dpo', 'warmup', 'warmupSteps'],
    ['dpo', 'maxGradientNorm', 'maxGradNorm'],
    ['sft', 'evaluateEvery', 'evalSteps'],
    ['sft', 'saveEvery', 'saveSteps'],
    ['sft', 'patience', 'earlyStoppingPatience'],
    ['dpo', 'metricForBest', 'metricForBestModel'],
    ['dpo', 'direction', 'greaterIsBetter'],
    ['dpo', 'keep', 'loadBestModelAtEnd'],
    ['trl', 'perDevice', 'perDeviceTrainBatchSize'],
    ['trl', 'recompute', 'gradientCheckpointing'],
    ['trl', 'mainAddress', 'mainProcessIp'],
    ['trl', 'mainPort', 'mainProcessPort'],
  ])('had another name before: %s.%s', (section, before, now) => {
    const said = `${section}.${before} is now called ${section}.${now}`;
    expect(fault(`${SMALL}${section}:\n  ${before}: 1\n`).message).toBe(`mine.yaml:5: ${section}.${before}: ${said}`);
    expect(fault(SMALL, `${section}.${before}=1`).message).toContain(said);
    expect(fault(SMALL, `${section}.${before}=1`).fix).toBe(`Write ${section}.${now}.`);
  });

  it('reach every setting of the optimiser', () => {
    const { dpo, sft } = parse(SMALL, 'dpo.betas=[0.8, 0.95]', 'sft.epsilon=1.0e-6');
    expect(dpo.betas).toEqual([0.8, 0.95]);
    expect([dpo.epsilon, sft.epsilon]).toEqual([1e-8, 1e-6]);
  });
});

describe('YAML that is none, or too much', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
  for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => [...pair])) {
    bomb.push(`${to}: &${to} [${`*${from}, `.repeat(10)}]`);
  }
  it.each([
    ['an alias without an anchor', 'name: *nobody\n', /is not YAML: .*nobody/],
    ['a bomb of aliases', `${bomb.join('\n')}\n`, /is not YAML/],
    ['an alias to what it stands in', 'name: &a [*a]\n', /nested too deeply/],
    ['lists without end', `name: ${'['.repeat(20_000)}`, /is not YAML|nested too deeply/],
    ['a NUL in a path', `${SMALL}prompt: "a\\0b"\n`, /prompt: holds a NUL character/],
    ['a NUL in a key', `${SMALL}reward: {weights: {"./a\\0.mjs": 1}}\n`, /holds a NUL character/],
    ['a list', '- name\n', /is not a mapping of keys/],
    ['a section that is a text', 'name: x\ndata: wordnet\n', /data/],
  ])('is a typed error: %s', (_what, text, message) => {
    let found: unknown;
    try {
      parseRecipe(text, 'mine.yaml');
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(DataError);
    expect((found as Error).message).toMatch(message);
    expect((found as Error).message.length).toBeLessThan(2000);
  });

  it.each(['name=*nobody', 'name="a\\0b"', `name=${'['.repeat(20_000)}`, `x=${'y'.repeat(100_000)}`])(
    'is a wrong use in an override',
    (override) => {
      let found: unknown;
      try {
        parseRecipe(SMALL, 'mine.yaml', [override]);
      } catch (error) {
        found = error;
      }
      expect(found).toBeInstanceOf(UsageError);
      expect((found as Error).message.length).toBeLessThan(2000);
    },
  );

  it('is no name of a recipe, and no file of gigabytes', async () => {
    await expect(readRecipe('a\0b')).rejects.toBeInstanceOf(UsageError);
    await expect(readRecipe('nowhere.yaml')).rejects.toBeInstanceOf(DataError);
    const folder = mkdtempSync(join(tmpdir(), 'llm-qe-recipe-'));
    writeFileSync(join(folder, 'large.yaml'), '#'.repeat(2 ** 20 + 1));
    await expect(readRecipe(join(folder, 'large.yaml'))).rejects.toThrow(/a recipe has at most/);
    rmSync(folder, { recursive: true });
  });
});
