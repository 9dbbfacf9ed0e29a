import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Point, points, RegressionTask, TRUE_BIAS, TRUE_WEIGHTS } from '../../../test/support/regression-task.ts';
import { AbortedError, type Progress, Random, UsageError } from '../../system/index.ts';
import { loadParameters } from './checkpoint.ts';
import { DivergedError } from './errors.ts';
import { type MetricsRecord, readMetrics } from './metrics.ts';
import { type TrainOptions, train } from './trainer.ts';
import type { TrainingSettingsInput } from './training-settings.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-'));
});
afterEach(() => rm(folder, { recursive: true }));

const EXAMPLES = { train: points(64), dev: points(20, 2) };
const SETTINGS = { learningRate: 0.05, batchSize: 8, epochs: 4 };

const run = (
  settings: Partial<TrainingSettingsInput> = {},
  options: Partial<TrainOptions> = {},
  task = new RegressionTask(),
) => train(task, EXAMPLES, { ...SETTINGS, ...settings }, { folder, ...options });

/** Every byte of a training folder except timestamps. */
async function contentOf(path: string): Promise<Record<string, string>> {
  const names = await readdir(path, { recursive: true });
  const files = names.filter((name) => /checkpoint-\d+\/|training\.json/.test(name)).sort();
  const contents = await Promise.all(files.map((name) => readFile(join(path, name), 'hex')));
  return Object.fromEntries(files.map((name, i) => [name, contents[i]!]));
}

/** The metrics without the values that differ between runs. */
async function figuresOf(path: string): Promise<unknown[]> {
  const records = await readMetrics(path);
  return records.map(({ time: _, values: { tokensPerSecond: __, memory: ___, ...values }, ...rest }) => ({
    ...rest,
    values,
  }));
}

describe('a training run', () => {
  test('finds the plane, keeps the last and the best checkpoint, and logs every step', async () => {
    const task = new RegressionTask();
    const steps: MetricsRecord[] = [];
    const evaluations: MetricsRecord[] = [];
    const onStep = (record: MetricsRecord) => steps.push(record);
    const onEvaluation = (record: MetricsRecord) => evaluations.push(record);
    const result = await run({ epochs: 40, evalSteps: 50, saveSteps: 30 }, { onStep, onEvaluation }, task);
    expect(result).toMatchObject({ steps: 320, stopped: 'finished', last: { step: 320 }, best: { metric: 'loss' } });
    expect(result.best!.value).toBeLessThan(1e-4);
    for (const [i, weight] of TRUE_WEIGHTS.entries())
      expect(task.parameters.get('layer.weight')[i]).toBeCloseTo(weight, 2);
    expect(task.parameters.get('layer.bias')[0]).toBeCloseTo(TRUE_BIAS, 2);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 320 }, (_, i) => i + 1));
    expect(evaluations.map(({ step }) => step)).toEqual([50, 100, 150, 200, 250, 300, 320]);
    expect(await readMetrics(folder)).toEqual([...steps, ...evaluations].sort((a, b) => a.step - b.step));
    expect(steps[0]!.values).toMatchObject({
      learningRate: 0.05,
      error: expect.any(Number),
      tokens: expect.any(Number),
    });
    const kept = new Set([`checkpoint-320`, `checkpoint-${result.best!.step}`]);
    expect(new Set((await readdir(folder)).filter((name) => name.startsWith('checkpoint')))).toEqual(kept);
  });

  test('gives back the best parameters, which need not be the last', async () => {
    const task = new RegressionTask();
    // Training lowers the error: if a higher one counts as better, the best checkpoint is an early one.
    const result = await run({ evalSteps: 1, greaterIsBetter: true, metricForBestModel: 'error' }, {}, task);
    expect(result.best!.step).toBeLessThan(result.steps);
    const last = [...task.parameters.get('layer.weight')];
    await loadParameters(result.best!.folder, task.parameters);
    expect([...task.parameters.get('layer.weight')]).not.toEqual(last);
    const records = (await readMetrics(folder)).filter(({ split }) => split === 'dev');
    expect(result.best!.value).toBe(Math.max(...records.map(({ values }) => values.error!)));
  });

  test('takes whole epochs, a fraction of one, or a number of steps', async () => {
    expect((await run({ epochs: 0.5 })).steps).toBe(4);
    await rm(folder, { recursive: true });
    expect((await run({ maxSteps: 3 })).steps).toBe(3);
  });

  test('micro-batches of any cut end in the same parameters, to rounding', async () => {
    const whole = new RegressionTask();
    await run({}, {}, whole);
    for (const [microBatchTokens, packed] of [
      [1, false],
      [30, false],
      [30, true],
      [64, true],
    ] as const) {
      await rm(folder, { recursive: true });
      const cut = new RegressionTask();
      await run({ microBatchTokens, packed }, {}, cut);
      expect(cut.calls.length).toBeGreaterThan(whole.calls.length);
      for (const name of whole.parameters.names()) {
        for (const [i, value] of whole.parameters.get(name).entries()) {
          expect(cut.parameters.get(name)[i]).toBeCloseTo(value, 5);
        }
      }
    }
  });

  test('gives each micro-batch its own seed', async () => {
    const task = new RegressionTask();
    await run({ microBatchTokens: 20 }, {}, task);
    expect(new Set(task.calls.map(({ seed }) => seed)).size).toBe(task.calls.length);
    expect(task.calls.length).toBeGreaterThan(100);
  });

  test('stops early when evaluations bring nothing new', async () => {
    const result = await run({
      epochs: 100,
      evalSteps: 2,
      earlyStoppingPatience: 3,
      metricForBestModel: 'error',
      greaterIsBetter: true,
    });
    expect(result.stopped).toBe('patience');
    expect(result.steps).toBe(result.best!.step + 6);
    expect(
      await run({
        epochs: 100,
        evalSteps: 2,
        earlyStoppingPatience: 3,
        metricForBestModel: 'error',
        greaterIsBetter: true,
      }),
    ).toEqual(result);
  });

  test('reports loss, rate, tokens per second and memory on the progress line', async () => {
    const notes: string[] = [];
    const progress: Progress = {
      task: () => ({ advance() {}, skip() {}, note: (text) => notes.push(text), done() {} }),
    };
    await run({ maxSteps: 2 }, { progress });
    expect(notes).toHaveLength(2);
    expect(notes[0]).toMatch(/^loss [\d.]+ {2}lr 5\.0e-2 {2}[\d,]+ tokens\/s {2}\d+\.\d GB$/);
  });

  test('refuses invalid settings before anything is written', async () => {
    await rm(folder, { recursive: true });
    await expect(run({ learningRate: -1 })).rejects.toThrow(/learningRate/);
    await expect(run({ warmupSteps: 2.5 })).rejects.toThrow(/warmupSteps: must be a whole number of steps/);
    await expect(run({ learningrate: 1 } as object)).rejects.toThrow(UsageError);
    const none = { train: [], dev: [] };
    await expect(train(new RegressionTask(), none, SETTINGS, { folder })).rejects.toThrow(/no examples/);
    const undevved = { train: EXAMPLES.train, dev: [] };
    await expect(
      train(new RegressionTask(), undevved, { ...SETTINGS, earlyStoppingPatience: 1 }, { folder }),
    ).rejects.toThrow(/earlyStoppingPatience/);
    await expect(readdir(folder)).rejects.toThrow();
    const task = new RegressionTask();
    await expect(run({ metricForBestModel: 'nDCG' }, {}, task)).rejects.toThrow(/does not report "nDCG"/);
    expect(task.calls).toEqual([]);
  });
});

describe('an interrupted run', () => {
  test('resumes at the last completed step, and ends like an uninterrupted run', async () => {
    const settings = { evalSteps: 6, microBatchTokens: 40 };
    await run(settings, {}, new RegressionTask({ noise: 0.1 }));
    const expected = [await contentOf(folder), await figuresOf(folder)];
    await rm(folder, { recursive: true });
    let stops = 0;
    for (let done = false; !done; stops++) {
      const stop = new AbortController();
      const task = new RegressionTask({ noise: 0.1 });
      let steps = 0;
      const onStep = () => {
        if (++steps === 5) stop.abort();
      };
      const outcome = await run(settings, { signal: stop.signal, onStep }, task).catch((error: unknown) => error);
      done = !(outcome instanceof Error);
      if (!done) expect(outcome).toBeInstanceOf(AbortedError);
      if (!done) expect((outcome as Error).message).toContain(`stopped after step ${5 * (stops + 1)} of 32`);
    }
    expect(stops).toBe(7);
    expect([await contentOf(folder), await figuresOf(folder)]).toEqual(expected);
  });

  test('that was stopped during an evaluation evaluates first when it resumes', async () => {
    await run({ evalSteps: 6 });
    const expected = [await contentOf(folder), await figuresOf(folder)];
    await rm(folder, { recursive: true });
    const stop = new AbortController();
    const task = new RegressionTask();
    const evaluate = task.evaluate.bind(task);
    task.evaluate = async (...given) => {
      if (task.calls.length === 12) stop.abort();
      stop.signal.throwIfAborted();
      return evaluate(...given);
    };
    await expect(run({ evalSteps: 6 }, { signal: stop.signal }, task)).rejects.toThrow('stopped after step 12');
    await run({ evalSteps: 6 });
    expect([await contentOf(folder), await figuresOf(folder)]).toEqual(expected);
  });

  test('that failed after an evaluation does not evaluate again when it resumes', async () => {
    const settings = { evalSteps: 6, earlyStoppingPatience: 5, greaterIsBetter: true };
    const expected = await run(settings);
    const records = await figuresOf(folder);
    await rm(folder, { recursive: true });
    const task = new RegressionTask();
    const gradients = task.gradients.bind(task);
    task.gradients = async (...given) => {
      if (task.calls.length === 6) throw new Error('the worker died');
      return gradients(...given);
    };
    await expect(run(settings, {}, task)).rejects.toThrow('the worker died');
    expect(await run(settings)).toEqual(expected);
    expect(await figuresOf(folder)).toEqual(records);
  });

  test('refuses other settings, data, initial values or another task, and says what changed', async () => {
    const stop = new AbortController();
    const options = { identity: { model: 'a', beta: 0.1 } };
    await run({}, { ...options, signal: stop.signal, onStep: () => stop.abort() }).catch(() => {});
    const refusal = async (settings: object, given: Partial<TrainOptions> = options, task = new RegressionTask()) =>
      String(await run(settings, given, task).catch((error: unknown) => error));
    expect(await refusal({ learningRate: 0.1 })).toContain('settings.learningRate: 0.05, now 0.1)');
    expect(await refusal({ maxGradNorm: 3 })).toContain('settings.maxGradNorm: none, now 3)');
    expect(await refusal({}, { identity: { model: 'b', beta: 0.1 } })).toContain('task.model: "a", now "b")');
    const other = new RegressionTask();
    other.parameters.get('layer.bias')[0] = 1;
    expect(await refusal({}, options, other)).toMatch(/\(parameters: "\w+"?\.*, now/);
    const changed: { train: Point[]; dev: Point[] } = { ...EXAMPLES, train: points(64, 9) };
    const error = await train(new RegressionTask(), changed, SETTINGS, { folder, ...options }).catch(
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatch(/train\.hash/);
    // How often a checkpoint is written does not affect the result.
    expect((await run({ saveSteps: 3 }, options)).steps).toBe(32);
  });

  test('removes checkpoints that were being written at the interruption, partial or complete', async () => {
    for (const name of ['checkpoint-8', '.checkpoint-8.partial']) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'left-over'), '');
    }
    const { last } = await run({ epochs: 1 });
    expect(last.step).toBe(8);
    expect(await readdir(last.folder)).not.toContain('left-over');
    expect(await readdir(folder)).not.toContain('.checkpoint-8.partial');
  });

  test('refuses a damaged checkpoint by name', async () => {
    const { last } = await run();
    const file = join(last.folder, 'parameters.safetensors');
    await writeFile(file, (await readFile(file)).subarray(0, -4));
    const fix = `Remove ${folder} to train again from the start, or choose another folder.`;
    await expect(run()).rejects.toMatchObject({ file, fix });
    await writeFile(join(folder, 'training.json'), '{}');
    await expect(run()).rejects.toThrow(/training\.json: was not written by a training run/);
  });
});

describe('a run that diverges', () => {
  const poisoned = (at: number, poison: (gradients: Map<string, Float32Array>) => number | undefined) => {
    const task = new RegressionTask();
    const gradients = task.gradients.bind(task);
    task.gradients = async (...given) => {
      const result = await gradients(...given);
      if (task.calls.length !== at) return result;
      return { ...result, loss: poison(result.gradients) ?? result.loss };
    };
    return task;
  };

  test('stops at a gradient that is not finite, names step and parameter, and keeps the state before', async () => {
    const sound = new RegressionTask();
    const other = await mkdtemp(join(tmpdir(), 'llm-qe-'));
    const stop = new AbortController();
    const onStep = ({ step }: MetricsRecord) => step === 6 && stop.abort();
    await train(sound, EXAMPLES, SETTINGS, { folder: other, onStep, signal: stop.signal }).catch(() => {});
    const task = poisoned(7, (gradients) => {
      gradients.get('layer.weight')![1] = Number.NaN;
      return undefined;
    });
    const error = await run({}, {}, task).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DivergedError);
    expect(error).toMatchObject({ step: 7, parameter: 'layer.weight' });
    expect((error as Error).message).toContain('step 7: 1 of 3 gradients are not finite (NaN)');
    expect([...task.parameters.get('layer.weight')]).toEqual([...sound.parameters.get('layer.weight')]);
    expect(await contentOf(folder)).toEqual(await contentOf(other));
    await rm(other, { recursive: true });
  });

  test('stops at a loss that is not finite', async () => {
    const error = await run(
      {},
      {},
      poisoned(3, () => Number.POSITIVE_INFINITY),
    ).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'DivergedError', step: 3, parameter: undefined });
    expect((error as Error).message).toContain('step 3: the loss of micro-batch 1 (8 examples) is Infinity');
    expect(await readdir(folder)).toContain('checkpoint-2');
  });

  test('stops at a gradient too large for a step', async () => {
    const huge = (gradients: Map<string, Float32Array>) => {
      gradients.get('layer.bias')![0] = 1e30;
      return undefined;
    };
    await expect(run({}, {}, poisoned(3, huge))).rejects.toThrow(
      /layer\.bias.*step 3: the largest gradient, 1\.0e\+30, is too large/,
    );
    await rm(folder, { recursive: true });
    expect((await run({ maxGradNorm: 1 }, {}, poisoned(3, huge))).steps).toBe(32);
  });
});

test('a folder in which TRL trains is refused', async () => {
  await writeFile(join(folder, 'trl-job.json'), '{}');
  await expect(run()).rejects.toThrow(/engine: trl, now local/);
  expect(await readdir(folder)).toEqual(['trl-job.json']);
});

test('killed again and again at any moment, it ends with the same bytes', async () => {
  const script = (path: string) => `
    import { train } from ${JSON.stringify(resolve('dist/train/loop/trainer.js'))};
    import { Parameters } from ${JSON.stringify(resolve('dist/nn/parameters.js'))};
    import { Random } from ${JSON.stringify(resolve('dist/system/random.js'))};
    const parameters = new Parameters([{ name: 'w', shape: [50, 40], data: new Float32Array(2000) }]);
    const pass = (examples, total, random) => {
      const w = new Float32Array(2000);
      let loss = 0;
      for (const x of examples) for (let i = 0; i < 2000; i++) {
        const off = parameters.get('w')[i] - (i % 7) * x * (1 + random());
        loss += off ** 2 / total;
        w[i] += 2 * off / total;
      }
      return { loss, metrics: {}, gradients: new Map([['w', w]]) };
    };
    const task = {
      parameters, weigh: () => 1, tokens: (x) => x, close: async () => {},
      async gradients(examples, { total, seed }) {
        const random = new Random(seed);
        await new Promise((resume) => setTimeout(resume, 1));
        return pass(examples, total, () => random.normal());
      },
      async evaluate(examples, { total }) { return pass(examples, total, () => 0); },
    };
    const examples = { train: Array.from({ length: 50 }, (_, i) => 1 + i % 9), dev: [1, 2, 3] };
    const settings = { learningRate: 0.05, batchSize: 5, epochs: 4, microBatchTokens: 12, evalSteps: 7, saveSteps: 2 };
    const onStep = ({ step }) => process.stdout.write(step + '\\n');
    await train(task, examples, settings, { folder: ${JSON.stringify(path)}, onStep });`;
  const random = new Random(11);
  const child = async (path: string, killAfter: number | undefined) => {
    const started = spawn(process.execPath, ['--input-type=module', '-e', script(path)]);
    let complaint = '';
    started.stderr.on('data', (text) => {
      complaint += text;
    });
    let seen = 0;
    started.stdout.on('data', (text) => {
      seen += String(text).split('\n').length - 1;
      if (killAfter !== undefined && seen >= killAfter)
        setTimeout(() => started.kill('SIGKILL'), random.uniform() * 12);
    });
    const [code, signal] = await once(started, 'exit');
    expect(complaint).toBe('');
    return code === 0 ? 'done' : signal;
  };
  const [once_, often] = [join(folder, 'once'), join(folder, 'often')];
  expect(await child(once_, undefined)).toBe('done');
  let kills = 0;
  while ((await child(often, 6 + random.below(8))) === 'SIGKILL') kills++;
  expect(kills).toBeGreaterThanOrEqual(2);
  const expected = await contentOf(once_);
  expect(Object.keys(expected).length).toBeGreaterThanOrEqual(4);
  expect(await contentOf(often)).toEqual(expected);
  expect(await figuresOf(often)).toEqual(await figuresOf(once_));
});
