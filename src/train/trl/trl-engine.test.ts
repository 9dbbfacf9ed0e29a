import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { access, chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ResolvedModel, readAdapter, writeAdapter } from '../../models/index.ts';
import { AbortedError, type LlmQeError, ModelError, ResourceError, UsageError } from '../../system/index.ts';
import { type LoraSettings, loraConfig } from '../generator/generator-step.ts';
import { DivergedError } from '../loop/errors.ts';
import { readMetrics } from '../loop/metrics.ts';
import { processMark } from '../python/process-tree.ts';
import {
  prepareGeneratorForTrl,
  type TrainGeneratorWithTrlOptions,
  trainGeneratorWithTrl,
} from './train-generator-with-trl.ts';
import { prepareTrl, type TrlOptions, trainWithTrl } from './trl-engine.ts';
import { findTrl } from './trl-installation.ts';
import { parseTrainerState } from './trl-log.ts';
import type { TrlJob } from './trl-plan.ts';

const GOLDENS = fileURLToPath(new URL('../goldens/trl', import.meta.url));
const TINY = fileURLToPath(new URL('../../nn/goldens/llama', import.meta.url));
const LORA: LoraSettings = {
  ...{ loraR: 4, loraAlpha: 8, loraDropout: 0, loraTargetModules: ['q_proj', 'v_proj'], useRslora: false },
};
const VERSIONS = { trl: '1.16.0', peft: '0.21.2', transformers: '5.23.0', accelerate: '1.15.0', deepspeed: null };

/**
 * Stands in for a Python with TRL: it tells versions, prints what the real one printed in a run of six steps, and leaves
 * that run's checkpoints. FAKE_MODE makes it hang with a worker behind step 3, fail, or diverge.
 */
const FAKE_PYTHON = `
import { appendFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
const [, , , code, ...words] = process.argv;
const { FAKE_VERSIONS, FAKE_MODE, FAKE_RECORDED, FAKE_ADAPTER, OMP_NUM_THREADS, HF_HUB_OFFLINE } = process.env;
if (code.includes('importlib')) {
  console.log(FAKE_VERSIONS);
  process.exit(0);
}
appendFileSync('calls.jsonl', JSON.stringify({ words, OMP_NUM_THREADS, HF_HUB_OFFLINE }) + '\\n');
if (FAKE_MODE === 'fail') {
  console.error('Traceback (most recent call last):\\n  File "dpo.py", line 1\\n[rank1]: torch.OutOfMemoryError: CUDA out of memory.');
  console.error('torch.distributed.elastic.multiprocessing.errors.ChildFailedError: failed');
  process.exit(1);
}
let step = words.includes('--resume_from_checkpoint') ? 3 : 0;
let seen = 0;
for (const line of readFileSync(FAKE_RECORDED + '/printed.txt', 'utf8').split('\\n')) {
  if (line.startsWith("{'loss'") && ++seen <= step) continue;
  if (line.startsWith("{'eval_loss'") && seen <= step) continue;
  console.log(FAKE_MODE === 'diverge' && seen === 2 ? line.replace(/'loss': '[^']*'/, "'loss': 'nan'") : line);
  if (!line.startsWith("{'eval_loss'")) continue;
  cpSync(FAKE_ADAPTER, 'output/checkpoint-' + seen, { recursive: true });
  cpSync(FAKE_RECORDED + '/state-' + seen + '.json', 'output/checkpoint-' + seen + '/trainer_state.json');
  if (FAKE_MODE === 'hang') break;
}
if (FAKE_MODE === 'hang' || FAKE_MODE === 'diverge') {
  const worker = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'inherit' });
  mkdirSync('output', { recursive: true });
  mkdirSync('output/checkpoint-5', { recursive: true });
  writeFileSync('worker', String(worker.pid));
  console.log('ready');
  setInterval(() => {}, 1000);
}
`;

let home: string;
let python: string;
let adapter: string;
let folder: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'llm-qe-trl-'));
  await mkdir(join(home, 'bin'));
  const program = join(home, 'program.mjs');
  await writeFile(program, FAKE_PYTHON);
  python = join(home, 'bin', 'python');
  await writeFile(python, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(python, 0o755);
  adapter = join(home, 'adapter');
  const factor = (shape: number[]) => ({ shape, data: new Float32Array(shape[0]! * shape[1]!).fill(0.5) });
  const module = 'model.layers.0.self_attn.q_proj';
  const tensors = new Map([
    [`${module}.lora_A.weight`, factor([4, 32])],
    [`${module}.lora_B.weight`, factor([32, 4])],
  ]);
  // As PEFT writes it: with its own settings in addition to ours.
  await writeAdapter(adapter, { config: { ...loraConfig(LORA, '/elsewhere'), peft_version: '0.21.2' }, tensors });
});
afterAll(() => rm(home, { recursive: true }));
let runs = 0;
beforeEach(() => {
  folder = join(home, `run-${runs++}`);
});

const BASE: ResolvedModel = {
  ...{ name: 'tiny', path: TINY, format: 'safetensors', fingerprint: 'tiny', source: 'goldens' },
};
const pair = (id: string) => ({
  ...{ id, queryId: id, prompt: [{ role: 'user' as const, content: `question ${id}` }] },
  chosen: [{ role: 'assistant' as const, content: `right ${id}` }],
  rejected: [{ role: 'assistant' as const, content: `wrong ${id}` }],
});
const pairs = (count: number) => Array.from({ length: count }, (_, index) => pair(`${index}`));
const job = (own: Partial<TrlJob> = {}): TrlJob => ({
  ...{ method: 'dpo', base: BASE, pairs: { train: pairs(6), dev: pairs(2) }, lora: LORA, maxLength: 128 },
  settings: { learningRate: 2e-3, maxSteps: 6, batchSize: 2, evalSteps: 3, saveSteps: 3 },
  ...{ disableDropout: true, loadBestModelAtEnd: true, engine: { hardware: 'cpu', processes: 2 } },
  ...own,
});
const environment = (own: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...{ PATH: process.env.PATH, LLM_QE_PYTHON: python, FAKE_VERSIONS: JSON.stringify(VERSIONS) },
  ...{ FAKE_RECORDED: GOLDENS, FAKE_ADAPTER: adapter },
  ...own,
});
const run = (own: Record<string, string> = {}, more: Partial<TrlOptions> = {}, of = job()) =>
  trainWithTrl(of, { folder, environment: environment(own), ...more });
const calls = async () =>
  (await readFile(join(folder, 'calls.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const failureOf = async (work: Promise<unknown>): Promise<LlmQeError> =>
  work.then(
    () => expect.fail('it should have failed'),
    (error) => error,
  );

describe('a run', () => {
  test('is started, followed in our metrics, and its adapter is taken over', async () => {
    const steps: number[] = [];
    const result = await run({}, { onStep: ({ step }) => steps.push(step) });
    expect(result).toMatchObject({ steps: 6, step: 3, best: { step: 3, metric: 'loss' }, installation: { python } });
    expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
    const { config, tensors } = await readAdapter(result.adapter);
    expect(config).toEqual(loraConfig(LORA, 'tiny'));
    expect(tensors.get('model.layers.0.self_attn.q_proj.lora_A.weight')!.shape).toEqual([4, 32]);
    const [call] = await calls();
    expect(call.words.slice(0, 5)).toEqual(['dpo', '--config', 'trl.yaml', '--accelerate_config', 'accelerate-0.yaml']);
    expect(call.words[5]).toBe('--main_process_port');
    expect(call).toMatchObject({ HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: expect.stringMatching(/^\d+$/) });
  });

  test('has its figures in full precision, under the names of the local engine', async () => {
    await run();
    const records = await readMetrics(folder);
    const file = join(GOLDENS, 'state-6.json');
    const { history } = parseTrainerState(await readFile(file, 'utf8'), file);
    expect(records.map(({ split, step }) => [split, step])).toEqual(history.map(({ split, step }) => [split, step]));
    for (const [index, { values }] of records.entries()) expect(values).toMatchObject(history[index]!.values);
    expect(records[0]!.values.tokens).toBe(history[0]!.tokensSoFar);
    expect(records[1]!.values.tokens).toBe(history[1]!.tokensSoFar! - history[0]!.tokensSoFar!);
    expect(records.at(-1)!.epoch).toBe(2);
  });

  test('that is finished is read back without TRL', async () => {
    const before = await run();
    const nowhere = { environment: { PATH: '' } };
    expect(await run({}, nowhere)).toEqual({ ...before, installation: undefined });
    expect((await readMetrics(folder)).length).toBe(8);
  });

  test('resumes only with the same settings and pairs', async () => {
    await run();
    const other = { ...job().settings, learningRate: 1e-3 };
    await expect(run({}, {}, job({ settings: other }))).rejects.toThrow(/settings.learningRate: 0.002, now 0.001/);
    await expect(run({}, {}, job({ pairs: { train: pairs(5), dev: pairs(2) } }))).rejects.toThrow(UsageError);
    folder = `${folder}-local`;
    await mkdir(folder);
    await writeFile(join(folder, 'training.json'), '{}');
    await expect(run()).rejects.toThrow(/engine: local, now trl/);
  });

  test('leaves no process behind when it is stopped, and then resumes from the last complete checkpoint', async () => {
    const stop = new AbortController();
    let resolve = () => {};
    const evaluated = new Promise<void>((done) => {
      resolve = done;
    });
    const onEvaluation = () => resolve();
    const stopped = failureOf(run({ FAKE_MODE: 'hang' }, { signal: stop.signal, onEvaluation }));
    const worker = await numberIn(join(folder, 'worker'));
    await evaluated;
    stop.abort();
    const error = await stopped;
    expect(error).toBeInstanceOf(AbortedError);
    expect(error.message).toMatch(/stopped after step 3 of 6; the last checkpoint is of step 3/);
    expect(await processMark(worker)).toBeUndefined();

    const result = await run();
    expect(result.steps).toBe(6);
    expect((await calls())[1].words.slice(-2)).toEqual(['--resume_from_checkpoint', 'output/checkpoint-3']);
    await expect(access(join(folder, 'output', 'checkpoint-5'))).rejects.toThrow();
    expect((await readMetrics(folder)).map(({ step }) => step)).toEqual([1, 2, 3, 3, 4, 5, 6, 6]);
  });

  test('ends the processes that a killed one left behind', async () => {
    const left = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const exit = once(left, 'exit');
    await mkdir(folder);
    await writeFile(join(folder, '.trl-process'), (await processMark(left.pid!))!);
    await run();
    expect((await exit)[1]).toBe('SIGTERM');
  });

  test('that fails reports the error of Python and a fix', async () => {
    const error = await failureOf(run({ FAKE_MODE: 'fail' }));
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.message).toMatch(/TRL ended with code 1: \[rank1\]: torch.OutOfMemoryError: CUDA out of memory/);
    expect(error.fix).toMatch(/perDeviceTrainBatchSize/);
    expect(await readFile(join(folder, 'trl.log'), 'utf8')).toContain('Traceback');
  });

  test('whose loss is not a number is stopped', async () => {
    const error = await failureOf(run({ FAKE_MODE: 'diverge' }));
    expect(error).toBeInstanceOf(DivergedError);
    expect(error).toMatchObject({ step: 2 });
    const last = (await readMetrics(folder)).at(-1)!;
    expect(last).toMatchObject({ step: 2, values: { loss: null } });
  });
});

/** Waits for a program to write its id into a file. */
async function numberIn(file: string): Promise<number> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text !== '') return Number(text);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('a generator', () => {
  const settings = {
    ...{ maxLength: 128, batchSize: 2, maxSteps: 6, evalSteps: 3, saveSteps: 3, learningRate: 2e-3 },
    ...{ loraR: 4, loraAlpha: 8, loraDropout: 0 },
  };
  const wordy = { ...pair('wordy'), chosen: [{ role: 'assistant' as const, content: 'right '.repeat(20) }] };
  const trained = (more: Partial<TrainGeneratorWithTrlOptions> = {}) =>
    trainGeneratorWithTrl({
      ...{ base: BASE, devPairs: [pair('a'), pair('b')], out: folder, engine: { hardware: 'cpu' } },
      ...{ environment: environment() },
      ...{ pairs: [...pairs(5), wordy, { ...pair('long'), prompt: [{ role: 'user', content: 'long '.repeat(200) }] }] },
      ...{ settings, ...more },
    });

  test('is trained on the pairs that the local engine would use, and the manifest says how', async () => {
    const warnings: string[] = [];
    const steps: number[] = [];
    const result = await trained({ warn: (line) => warnings.push(line), onStep: ({ step }) => steps.push(step) });
    expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
    expect(result).toMatchObject({ steps: 6, step: 6, train: { pairs: 6 }, dev: { pairs: 2 } });
    expect(warnings.join()).toMatch(/1 train pair is skipped \(prompt too long: 1\)/);
    expect(warnings.join()).toMatch(/chosen answers are longer than rejected ones/);
    expect(await readFile(join(folder, 'data', 'train.jsonl'), 'utf8')).not.toContain('long');
    expect(JSON.parse(await readFile(result.manifestFile, 'utf8'))).toMatchObject({
      ...{ stage: 'train generator', engine: { name: 'trl', versions: { trl: '1.16.0' } } },
      ...{ settings: { learningRate: 2e-3 }, result: { kind: 'adapter', step: 6, best: { step: 3 } } },
    });
  });

  test('is refused if all weights are to be trained', async () => {
    await expect(trained({ settings: { ...settings, full: true } })).rejects.toThrow(
      /full: TRL is used to train adapters only/,
    );
  });
});

describe('a generator that is trained elsewhere', () => {
  const settings = {
    maxLength: 128,
    batchSize: 2,
    maxSteps: 6,
    evalSteps: 3,
    saveSteps: 3,
    learningRate: 2e-3,
    loraR: 4,
  };
  const options = (): TrainGeneratorWithTrlOptions => ({
    ...{ base: BASE, pairs: pairs(6), devPairs: [pair('a'), pair('b')], out: folder, settings },
    ...{ engine: { hardware: 'cpu', dtype: 'bfloat16' }, environment: { PATH: '' } },
  });

  test('refuses variables of the chat template, which TRL would not receive', async () => {
    const chatTemplateKwargs = { enable_thinking: false };
    await expect(prepareGeneratorForTrl({ ...options(), chatTemplateKwargs })).rejects.toThrow(
      /chatTemplateKwargs: TRL/,
    );
  });

  test('needs no TRL here: files and a script are written, and the result is read back', async () => {
    const { script, commands, plan, train } = await prepareGeneratorForTrl(options());
    expect(commands).toEqual(['trl dpo --config trl.yaml --accelerate_config accelerate-0.yaml']);
    expect([plan.steps, train.pairs]).toEqual([6, 6]);
    expect(await readFile(join(folder, 'trl.yaml'), 'utf8')).toContain('dtype: "bfloat16"');
    await expect(trainGeneratorWithTrl(options())).rejects.toThrow(/TRL is not installed/);
    const bin = join(folder, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'trl'), '#!/bin/sh\nprintf "%s\\n" "$PWD" "$@" > words.txt\n', { mode: 0o755 });
    const start = (environment: Record<string, string>, ...words: string[]) => {
      const env = { PATH: `${bin}:${process.env.PATH}`, ...environment };
      expect(spawnSync('sh', [script, ...words], { env, cwd: home }).status).toBe(0);
      return readFileSync(join(folder, 'words.txt'), 'utf8').trim().split('\n').slice(1).join(' ');
    };
    expect(start({})).toBe('dpo --config trl.yaml --accelerate_config accelerate-0.yaml');
    await mkdir(join(folder, 'output', 'checkpoint-3'), { recursive: true });
    await mkdir(join(folder, 'output', 'checkpoint-12'));
    expect(start({ MODEL: '/their/base' }, '1')).toBe(
      'dpo --config trl.yaml --accelerate_config accelerate-1.yaml --model_name_or_path /their/base --resume_from_checkpoint output/checkpoint-12',
    );
  });

  test('is imported when the folder is back, and its manifest is written', async () => {
    await trainGeneratorWithTrl({ ...options(), environment: environment() });
    await rm(join(folder, 'manifest.json'));
    await rm(join(folder, 'adapter'), { recursive: true });
    const result = await trainGeneratorWithTrl(options());
    expect(result).toMatchObject({ steps: 6, installation: undefined });
    const manifest = JSON.parse(await readFile(result.manifestFile, 'utf8'));
    expect(manifest).toMatchObject({ engine: { name: 'trl' }, result: { steps: 6 } });
  });
});

describe('the files', () => {
  test('hold no path except that of the model, and one command starts each machine', async () => {
    const engine = { machines: 2, processes: 8, mainProcessIp: 'first', zero2: true, perDeviceTrainBatchSize: 1 };
    const settings = { ...job().settings, batchSize: 16 };
    const files = await prepareTrl(job({ engine, settings }), { folder });
    expect(files.commands).toEqual([
      'trl dpo --config trl.yaml --accelerate_config accelerate-0.yaml',
      'trl dpo --config trl.yaml --accelerate_config accelerate-1.yaml',
    ]);
    const written = await Promise.all(
      ['trl.yaml', 'accelerate-0.yaml', 'accelerate-1.yaml'].map((name) => readFile(join(folder, name), 'utf8')),
    );
    const text = written.join('').replace(JSON.stringify(TINY), '"MODEL"');
    expect(text).toContain('model_name_or_path: "MODEL"');
    expect(text).toContain('zero_stage: 2');
    expect(text).not.toContain(home);
    expect(text).not.toMatch(/"\//);
  });

  test('hold the columns that TRL reads', async () => {
    const linesOf = async (name: string) =>
      (await readFile(join(folder, 'data', name), 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    await prepareTrl(job(), { folder });
    const train = await linesOf('train.jsonl');
    expect(train.length).toBe(12);
    expect(Object.keys(train[0])).toEqual(['prompt', 'chosen', 'rejected']);
    expect((await linesOf('test.jsonl')).map(({ chosen }) => chosen[0].content)).toEqual(['right 0', 'right 1']);
    folder = `${folder}-sft`;
    await prepareTrl(job({ method: 'sft' }), { folder });
    expect(Object.keys((await linesOf('train.jsonl'))[0])).toEqual(['prompt', 'completion']);
  });

  test.each([
    ['tokenizer_config.json', /lacks tokenizer_config.json/],
    ['chat template', /no chat template/],
  ])('a base without %s is refused', async (what, message) => {
    const path = join(home, `base without ${what}`);
    await cp(TINY, path, { recursive: true });
    const config = join(path, 'tokenizer_config.json');
    const { chat_template: _, ...rest } = JSON.parse(await readFile(config, 'utf8'));
    await rm(config);
    if (what === 'chat template') await writeFile(config, JSON.stringify(rest));
    const error = await failureOf(prepareTrl(job({ base: { ...BASE, path } }), { folder }));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(message);
  });
});

describe('the installation', () => {
  const find = (own: Record<string, string | undefined>, deepspeed = false) =>
    findTrl({ environment: { ...environment(), ...own }, deepspeed });
  const versions = (own: object) => ({ FAKE_VERSIONS: JSON.stringify({ ...VERSIONS, ...own }) });

  test('is that of LLM_QE_PYTHON, or else the Python next to trl on the PATH', async () => {
    expect(await find({})).toEqual({ python, versions: expect.objectContaining({ trl: '1.16.0' }) });
    await writeFile(join(home, 'bin', 'trl'), '');
    await chmod(join(home, 'bin', 'trl'), 0o755);
    const links = join(home, 'links');
    await mkdir(links);
    await symlink(join(home, 'bin', 'trl'), join(links, 'trl'));
    expect((await find({ LLM_QE_PYTHON: undefined, PATH: `${links}:/bin:/usr/bin` })).python).toBe(python);
  });

  test.each([
    ['is nowhere', { LLM_QE_PYTHON: undefined, PATH: '' }, /not installed/, /Run python3 -m pip install "trl\[peft\]/],
    ['is named by blanks', { LLM_QE_PYTHON: '  ', PATH: '' }, /not installed/, /set LLM_QE_PYTHON/],
    ['lacks PEFT', versions({ peft: null }), /peft is missing/, /python -m pip install "trl\[peft\]>=1\.16,<2"$/],
    ['is old', versions({ trl: '1.9.2' }), /trl is 1\.9\.2, but a version from 1\.16 to below 2/, /pip install/],
    ['is too new', versions({ trl: '2.0.0' }), /trl is 2\.0\.0/, /pip install/],
    ['does not run', { LLM_QE_PYTHON: '/nowhere/python' }, /\/nowhere\/python: this Python could not be run/, /Python/],
    ['says nonsense', { FAKE_VERSIONS: 'hello' }, /could not be run/, /Python/],
  ])('that %s is an error that says what to do', async (_, own, message, fix) => {
    const error = await failureOf(find(own));
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.message).toMatch(message);
    expect(error.fix).toMatch(fix);
  });

  test('needs DeepSpeed if it is requested; version suffixes as of torch are understood', async () => {
    const error = await failureOf(find({}, true));
    expect(error.message).toMatch(/deepspeed is missing/);
    expect(error.fix).toMatch(/"trl\[peft,deepspeed\]>=1\.16,<2"/);
    expect((await find(versions({ deepspeed: '0.19.0+cu128', trl: '1.17.0.dev0' }), true)).versions.trl).toBe(
      '1.17.0.dev0',
    );
  });
});
