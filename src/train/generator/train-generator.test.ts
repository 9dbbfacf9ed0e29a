import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyPairs } from '../../../test/support/tiny-pairs.ts';
import { openCheckpoint, readAdapter } from '../../models/index.ts';
import { AbortedError, DataError, ModelError, UsageError } from '../../system/index.ts';
import { type MetricsRecord, readMetrics } from '../loop/metrics.ts';
import { tokenizePairs } from './chat-tokens.ts';
import { openGeneratorBase } from './generator-base.ts';
import { PreferenceTask } from './preference-task.ts';
import { REFERENCE_CACHE, withReference } from './reference-log-probabilities.ts';
import { type TrainGeneratorOptions, trainGenerator } from './train-generator.ts';

const BASE = fileURLToPath(new URL('../../nn/goldens/llama', import.meta.url));
const base = { name: 'tiny', path: BASE, format: 'safetensors' as const, fingerprint: 'tiny llama', source: 'goldens' };
const PAIRS = tinyPairs(24);
const KEPT = { device: 'cpu', storage: 'f32' } as const;
const SETTINGS = {
  ...{ maxLength: 120, batchSize: 4, learningRate: 5e-3, epochs: 2, devSize: 4, evalSteps: 5, saveSteps: 2 },
  microBatchTokens: 150,
};

let folder: string;
let cache: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-train-generator-'));
  cache = join(folder, 'cache');
});
afterAll(() => rm(folder, { recursive: true }));

const run = (out: string, own: Partial<TrainGeneratorOptions> = {}) => {
  const { settings, ...rest } = own;
  const given = { ...SETTINGS, ...settings };
  return trainGenerator({ base, pairs: PAIRS, out: join(folder, out), threads: 1, cache, ...rest, settings: given });
};

const bytesOf = async (out: string) => {
  const file = join(folder, out, 'adapter/adapter_model.safetensors');
  return (await readFile(file)).toString('hex');
};

describe('DPO', () => {
  test('learns preferences, and writes adapter, manifest and metrics', async () => {
    const result = await run('dpo');
    expect(result).toMatchObject({ kind: 'adapter', step: 10, mode: 'whole', train: { pairs: 20 }, dev: { pairs: 4 } });
    const adapter = await readAdapter(result.path);
    expect(adapter.config).toMatchObject({ peft_type: 'LORA', r: 8, lora_alpha: 32, lora_dropout: 0.1 });
    expect(adapter.config.target_modules).toEqual(['q_proj', 'v_proj']);
    expect(adapter.tensors.size).toBe(8);
    const records = await readMetrics(join(folder, 'dpo'));
    const dev = records.filter(({ split }) => split === 'dev');
    expect(dev.map(({ step }) => step)).toEqual([5, 10]);
    const [first, last] = [records[0]!, records.filter(({ split }) => split === 'train').at(-1)!];
    expect(first.values.loss).toBeCloseTo(Math.log(2), 4);
    expect(first.values.accuracy).toBe(0);
    expect(last.values.margin).toBeGreaterThan(0.1);
    expect(last.values.accuracy).toBeGreaterThan(0.5);
    for (const name of ['rewardChosen', 'rewardRejected', 'logProbabilityEnd', 'tokensChosen', 'gradientNorm']) {
      expect(last.values).toHaveProperty(name, expect.any(Number));
    }
    const manifest = JSON.parse(await readFile(result.manifestFile, 'utf8'));
    expect(manifest).toMatchObject({
      stage: 'train generator',
      settings: { beta: 0.1, learningRate: 5e-3 },
      base: { fingerprint: 'tiny llama' },
      counts: { train: { pairs: 20, skipped: { 'prompt too long': 0 } } },
      result: { kind: 'adapter', step: 10, stopped: 'finished' },
    });
  });

  test('equal inputs give equal bytes, with a full or an empty cache; other seeds give others', async () => {
    await run('again');
    expect(await bytesOf('again')).toBe(await bytesOf('dpo'));
    await run('fresh', { cache: join(folder, 'other-cache') });
    expect(await bytesOf('fresh')).toBe(await bytesOf('dpo'));
    await run('seed', { settings: { seed: 7 } });
    expect(await bytesOf('seed')).not.toBe(await bytesOf('dpo'));
  });

  test('stopped at any step, it resumes and ends with the same bytes; then it is only read back', async () => {
    for (const at of [1, 4, 5, 9]) {
      const stop = new AbortController();
      const onStep = ({ step }: MetricsRecord) => step === at && stop.abort();
      await expect(run('stopped', { signal: stop.signal, onStep })).rejects.toThrow(AbortedError);
    }
    const steps: number[] = [];
    // With less memory than the whole step takes, it continues in the mode it started in.
    const small = { settings: { memory: 1e-9 } };
    await run('stopped', { onStep: ({ step }) => steps.push(step), ...small });
    expect(steps).toEqual([10]);
    expect(await bytesOf('stopped')).toBe(await bytesOf('dpo'));
    await run('stopped', { onStep: ({ step }) => steps.push(step) });
    expect(steps).toEqual([10]);
  });

  test('keeps the best checkpoint if asked to, and evaluates on given dev pairs', async () => {
    const settings = { loadBestModelAtEnd: true, metricForBestModel: 'margin', greaterIsBetter: false };
    const lines: string[] = [];
    const warn = (line: string) => lines.push(line);
    const { step, training, dev } = await run('best', { devPairs: tinyPairs(3, 9), settings, warn });
    expect(lines.join('\n')).toMatch(/^3 queries of the dev pairs are also trained on/);
    expect(step).toBe(training.best!.step);
    expect(step).toBe(5);
    expect(dev.pairs).toBe(3);
  });

  test('warns if chosen answers are longer, pairs are skipped, or answers are truncated', async () => {
    const lines: string[] = [];
    const pairs = PAIRS.map((pair, index) => ({
      ...pair,
      prompt: [{ role: 'user' as const, content: index === 0 ? 'Why? '.repeat(60) : 'Why?' }],
      chosen: [{ role: 'assistant' as const, content: `water water ${'sea '.repeat(index)}` }],
    }));
    const settings = { maxLength: 60, maxSteps: 1, devSize: 0 };
    const { train } = await run('warned', { pairs, settings, warn: (line) => lines.push(line) });
    expect(train).toMatchObject({
      pairs: 23,
      skipped: { 'prompt too long': 1 },
      examples: ['pair-0: prompt too long'],
    });
    expect(lines.join('\n')).toMatch(/1 train pair is skipped \(prompt too long: 1\), such as pair-0/);
    expect(lines.join('\n')).toMatch(/\d+ chosen answers? of train pairs (is|are) truncated at 60 tokens/);
    expect(lines.join('\n')).toMatch(/chosen answers are longer than rejected ones/);
  });
});

test('dropout is off in DPO unless it is requested, and on in SFT', async () => {
  const short = { maxSteps: 2, devSize: 0 };
  await run('without', { settings: { ...short, loraDropout: 0 } });
  await run('default', { settings: short });
  await run('with', { settings: { ...short, disableDropout: false } });
  expect(await bytesOf('default')).toBe(await bytesOf('without'));
  expect(await bytesOf('with')).not.toBe(await bytesOf('without'));
  await run('sft-without', { settings: { ...short, method: 'sft', loraDropout: 0 } });
  await run('sft-default', { settings: { ...short, method: 'sft' } });
  expect(await bytesOf('sft-default')).not.toBe(await bytesOf('sft-without'));
});

test('SFT of all weights writes a model that opens as a base', async () => {
  const { path, kind } = await run('full', { settings: { method: 'sft', full: true, maxSteps: 2 } });
  expect(kind).toBe('model');
  const [before, after] = [await openCheckpoint(BASE), await openCheckpoint(path)];
  expect(after.tensors()).toEqual(before.tensors());
  const name = 'model.layers.0.mlp.up_proj.weight';
  expect(await after.read(name)).not.toEqual(await before.read(name));
  await Promise.all([before.close(), after.close()]);
  const model = await openGeneratorBase({ ...base, path, fingerprint: 'trained' });
  expect(model.config.layers).toBe(2);
  await model.close();
  // Run again, the finished training is read back, and the model is there as before.
  expect((await run('full', { settings: { method: 'sft', full: true, maxSteps: 2 } })).path).toBe(path);
});

test('micro-batches of any size and both modes give the same adapter, except for rounding', async () => {
  const settings = { maxSteps: 3, devSize: 0, lossType: ['sigmoid' as const, 'sft' as const] };
  const values = async (out: string, more: object) => {
    await run(out, { settings: { ...settings, ...more } });
    const { tensors } = await readAdapter(join(folder, out, 'adapter'));
    return [...tensors.values()].flatMap(({ data }) => [...data]);
  };
  const one = await values('micro-one', { microBatchTokens: 1 });
  for (const [out, more] of [
    ['micro-all', { microBatchTokens: 4096 }],
    ['micro-blocks', { mode: 'blocks', microBatchTokens: 200 }],
  ] as const) {
    const other = await values(out, more);
    expect(Math.max(...one.map((value, index) => Math.abs(value - other[index]!)))).toBeLessThan(1e-4);
  }
});

test('frozen int8 weights can be trained over, and nothing is mixed up with f32 weights', async () => {
  const settings = { maxSteps: 2, devSize: 0 };
  await run('floats', { settings });
  await run('int8', { settings: { ...settings, storage: 'int8' } });
  const [floats, bytes] = await Promise.all(['floats', 'int8'].map((out) => readMetrics(join(folder, out))));
  const logs = [floats!, bytes!].map((records) => records[0]!.values.logProbabilityChosen!);
  expect(logs[1]).not.toBe(logs[0]);
  expect(Math.abs(logs[1]! / logs[0]! - 1)).toBeLessThan(0.05);
  // The reference has the same weights: before the first step nothing differs from it.
  expect(bytes![0]!.values.loss).toBeCloseTo(Math.log(2), 4);
});

test('the reference is computed only for pairs that a step takes, and for the dev pairs', async () => {
  const asked = async (out: string, settings: Partial<TrainGeneratorOptions>['settings']) => {
    const own = join(folder, `cache-${out}`);
    await run(out, { cache: own, settings });
    const folderOf = REFERENCE_CACHE.folder(own);
    const [journal] = (await readdir(folderOf)).filter((name) => name.endsWith('.jsonl'));
    const lines = (await readFile(join(folderOf, journal!), 'utf8')).trim().split('\n');
    return lines.reduce((sum, line) => sum + (JSON.parse(line) as { sums: unknown[] }).sums.length, 0);
  };
  expect(await asked('one-step', { maxSteps: 1, devSize: 0 })).toBe(4);
  expect(await asked('one-step-dev', { maxSteps: 1 })).toBe(8);
  expect(await asked('epoch', { epochs: 1, devSize: 0 })).toBe(24);
});

describe('what cannot be trained is refused', () => {
  test.each<[string, Partial<TrainGeneratorOptions>, RegExp]>([
    ['a layer that is not there', { settings: { loraTargetModules: ['query'] } }, /no linear layer "query"/],
    ['texts longer than the model supports', { settings: { maxLength: 600 } }, /maxLength: 600 tokens exceed the 128/],
    ['weights without types', { settings: { lossWeights: [1, 2] } }, /2 weights for 1 loss types/],
    ['a smoothing that nothing reads', { settings: { labelSmoothing: 0.1 } }, /only the loss type robust/],
    ['a loss twice', { settings: { lossType: ['ipo', 'ipo'] } }, /named twice/],
    ['an unknown metric', { settings: { metricForBestModel: 'bleu' } }, /does not report "bleu"/],
    ['too many dev pairs', { settings: { devSize: 100 } }, /cannot take 100 of 24/],
    ['an unknown setting', { settings: { betta: 1 } as object }, /betta/],
  ])('%s', async (_, options, message) => {
    const error = await run('refused', options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(message);
  });

  test('pairs if none is left', async () => {
    const settings = { maxLength: 4 };
    await expect(run('none', { settings })).rejects.toThrow(DataError);
  });

  test('pairs in both splits', async () => {
    const own = { ...PAIRS[5]!, id: 'another', queryId: 'another' };
    const refusal = /another.*is in both the training pairs and the dev pairs/;
    await expect(run('both', { devPairs: [own] })).rejects.toThrow(refusal);
    // SFT learns the chosen side only.
    const other = { ...own, rejected: PAIRS[6]!.rejected };
    const settings = { method: 'sft' as const };
    await expect(run('both', { devPairs: [other], settings })).rejects.toThrow(refusal);
  });

  test('a model without a chat template, and one of another family', async () => {
    const path = join(folder, 'no-template');
    await cp(BASE, path, { recursive: true });
    await writeFile(join(path, 'tokenizer_config.json'), '{}');
    await rm(join(path, 'chat_template.jinja'), { force: true });
    await expect(run('none', { base: { ...base, path } })).rejects.toThrow(ModelError);
    await expect(run('none', { base: { ...base, path } })).rejects.toThrow(/no chat template/);
    await writeFile(join(path, 'config.json'), '{"model_type": "gpt2"}');
    await expect(run('none', { base: { ...base, path } })).rejects.toThrow(/model_type/);
  });

  test('a folder of another run, whose manifest stays', async () => {
    const manifest = await readFile(join(folder, 'dpo/manifest.json'), 'utf8');
    await expect(run('dpo', { settings: { beta: 0.5 } })).rejects.toThrow(/task\.loss\.beta: 0\.1, now 0\.5/);
    expect(await readFile(join(folder, 'dpo/manifest.json'), 'utf8')).toBe(manifest);
  });
});

describe('reference log-probabilities', () => {
  test('are computed once by runs that start together, resume after an interruption, and a damaged file is refused', async () => {
    const opened = await openGeneratorBase(base);
    const { tokenizer, template } = opened;
    const { pairs } = await tokenizePairs(PAIRS, { tokenizer, template, maxLength: 120 });
    const lora = { loraR: 2, loraAlpha: 4, loraDropout: 0, loraTargetModules: ['q_proj'], useRslora: false };
    const options = { lora, seed: 1, longest: 120, threads: 1, cache: join(cache, 'graphs'), mode: 'whole' as const };
    const loss = { beta: 0.1, lossType: ['sigmoid' as const], lossWeights: undefined, labelSmoothing: 0 };
    const more = { memory: 1, ...KEPT, microBatchTokens: 200, loss };
    const task = await PreferenceTask.open(opened, { ...options, ...more });
    let calls = 0;
    const counted = {
      tokens: (pair: (typeof pairs)[number]) => task.tokens(pair),
      referenceOf: (some: typeof pairs) => {
        calls++;
        return task.referenceOf(some);
      },
    };
    const place = join(folder, 'reference');
    const reference = (of = pairs) =>
      withReference(counted, of, { cache: place, fingerprint: 'tiny', microBatchTokens: 200, ...KEPT });
    const [first, beside] = await Promise.all([reference(), reference()]);
    const all = calls;
    expect(all).toBeGreaterThan(5);
    expect(beside).toEqual(first);
    expect((await reference([...pairs].reverse())).reverse()).toEqual(first);
    expect(calls).toBe(all);
    const file = join(place, (await readdir(place)).find((name) => name.endsWith('.jsonl'))!);
    const lines = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, `${lines.slice(0, 3).join('\n')}\n${lines[3]!.slice(0, 20)}`);
    expect(await reference()).toEqual(first);
    expect(calls).toBe(2 * all - 3);
    await writeFile(file, `${lines[1]}\n`);
    await expect(reference()).rejects.toThrow(/Delete the file|does not hold the groups/);
    await task.close();
    await opened.close();
  });
});

test('killed again and again, it ends with the same adapter', async () => {
  const script = `
    import { trainGenerator } from ${JSON.stringify(resolve('dist/train/index.js'))};
    await trainGenerator(${JSON.stringify({
      ...{ base, pairs: PAIRS, out: join(folder, 'killed'), threads: 1, cache: join(folder, 'killed-cache') },
      settings: SETTINGS,
    }).slice(0, -1)}, onStep: ({ step }) => console.log(step) });`;
  for (const killed of [3, 4, Number.POSITIVE_INFINITY]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let steps = 0;
    child.stdout.on('data', (printed) => {
      steps += String(printed).split('\n').length - 1;
      if (steps >= killed) child.kill('SIGKILL');
    });
    expect(await once(child, 'exit')).toEqual(killed === Number.POSITIVE_INFINITY ? [0, null] : [null, 'SIGKILL']);
  }
  expect(await bytesOf('killed')).toBe(await bytesOf('dpo'));
});
