import { describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../../system/index.ts';
import { isTuned, parseRecipe, readRecipe } from './recipe.ts';

const SMALL = 'name: small\ndata:\n  kind: wordnet\n';

describe('recipes that come along', () => {
  it('hold the published settings', async () => {
    const paper = await readRecipe('paper');
    expect(paper.candidates).toMatchObject({ samples: 8, temperatures: [0.8, 0.9, 1, 1.1], topP: 0.9, maxTokens: 512 });
    expect(paper.candidates.queries).toBe(100_000);
    expect(paper.reward.weights).toEqual({ 'rank-gold': 1, 'rank-answer': 1 });
    expect(paper.pairs).toMatchObject({ pairsPerQuery: 1, minSimilarity: 0.6, pairs: 30_000, dev: 3000 });
    expect(paper.dpo).toMatchObject({ beta: 0.1, lossType: ['sigmoid'], learningRate: 2e-5, schedule: 'linear' });
    expect(paper.dpo).toMatchObject({
      loraR: 8,
      loraAlpha: 32,
      loraDropout: 0.1,
      loraTargetModules: ['q_proj', 'v_proj'],
    });
    expect(paper.dpo).toMatchObject({
      epochs: 2,
      batchSize: 16,
      maxGradientNorm: 10,
      maxLength: 612,
      evaluateEvery: 300,
    });
    expect(paper.dpo.batchSize / (paper.trl.perDevice * paper.trl.processes)).toBe(8);
    expect(paper.trl).toMatchObject({
      hardware: 'gpu',
      processes: 1,
      perDevice: 2,
      precision: 'bfloat16',
      zero2: true,
    });
    expect(paper.expansion).toMatchObject({ samples: 1, temperature: 1, topP: 0.9, maxTokens: 512 });
    expect(isTuned(paper)).toBe(false);
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

  it('takes the published settings where it says nothing', () => {
    const recipe = parse(SMALL);
    expect(recipe.candidates.samples * recipe.candidates.temperatures.length).toBe(32);
    expect(recipe.pairs.minSimilarity).toBe(0.6);
    expect(recipe.dpo.beta).toBe(0.1);
  });

  it.each([
    [`${SMALL}dpo:\n  betta: 0.2\n`, 'mine.yaml:5: dpo.betta: there is no such key'],
    [`${SMALL}# a comment\n\ndpo:\n  beta: high\n`, 'mine.yaml:7: dpo.beta'],
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

  it('lists the keys that an unknown one may have meant', () => {
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

  it('may have answers written by servers whose model it does not name', () => {
    const { answerGenerator } = parse(SMALL, 'answerGenerator={servers: [http://127.0.0.1:9]}');
    expect(answerGenerator).toMatchObject({ servers: ['http://127.0.0.1:9'] });
    expect(answerGenerator!.model).toBeUndefined();
    expect(faultOf(SMALL, 'answerGenerator={sequences: 4}').message).toContain('names neither a model nor servers');
  });
});
