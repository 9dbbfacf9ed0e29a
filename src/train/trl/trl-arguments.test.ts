import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { UsageError } from '../../system/index.ts';
import { type LoraSettings, loraShape } from '../generator/generator-step.ts';
import { preferenceLossShape } from '../generator/preference-losses.ts';
import { trainingSettingsSchema } from '../loop/training-settings.ts';
import { accelerateConfig } from './accelerate-config.ts';
import { NOT_PASSED, TRL_ARGUMENTS, trlArguments } from './trl-arguments.ts';
import { exampleOrder, planTrl, type TrlJob } from './trl-plan.ts';
import { parseTrlSettings } from './trl-settings.ts';
import { toYaml } from './yaml.ts';

const LORA: LoraSettings = z.object(loraShape).parse({});
const pair = (id: string) => ({
  ...{ id, queryId: id, prompt: [{ role: 'user' as const, content: `question ${id}` }] },
  chosen: [{ role: 'assistant' as const, content: 'right' }],
  rejected: [{ role: 'assistant' as const, content: 'wrong' }],
});
const pairs = (count: number) => Array.from({ length: count }, (_, index) => pair(`${index}`));

const job = (own: Partial<TrlJob> = {}): TrlJob => ({
  method: 'dpo',
  base: { name: 'tiny', path: 'tiny', format: 'safetensors', fingerprint: 'tiny', source: 'test' },
  pairs: { train: pairs(32), dev: [] },
  settings: { learningRate: 2e-5, epochs: 2, batchSize: 16, maxGradNorm: 10 },
  lora: LORA,
  loss: z.object(preferenceLossShape).parse({}),
  maxLength: 612,
  disableDropout: false,
  loadBestModelAtEnd: false,
  engine: { perDeviceTrainBatchSize: 2 },
  ...own,
});
const argumentsOf = (own: Partial<TrlJob> = {}) => trlArguments(planTrl(job(own), './base'));

test('every training setting is passed to TRL, or listed as not passed', () => {
  const shapes = [trainingSettingsSchema.shape, loraShape, preferenceLossShape];
  const known = [...Object.keys(TRL_ARGUMENTS), ...Object.keys(NOT_PASSED)];
  for (const name of shapes.flatMap((shape) => Object.keys(shape))) expect(known).toContain(name);
  expect(new Set(known).size).toBe(known.length);
});

test("the published settings, by TRL's names", () => {
  expect(argumentsOf()).toEqual({
    ...{ model_name_or_path: './base', dtype: 'float32', bf16: true, use_cpu: false, gradient_checkpointing: true },
    ...{ use_peft: true, lora_r: 8, lora_alpha: 32, lora_dropout: 0.1, use_rslora: false, disable_dropout: false },
    ...{ lora_target_modules: ['q_proj', 'v_proj'], dataset_name: './data', train_sampling_strategy: 'sequential' },
    ...{ max_length: 612, beta: 0.1, loss_type: ['sigmoid'], label_smoothing: 0 },
    ...{ learning_rate: 2e-5, lr_scheduler_type: 'linear', warmup_steps: 0, max_steps: 4, max_grad_norm: 10 },
    ...{ per_device_train_batch_size: 2, per_device_eval_batch_size: 2, gradient_accumulation_steps: 8 },
    ...{ weight_decay: 0, adam_beta1: 0.9, adam_beta2: 0.999, adam_epsilon: 1e-8, seed: 42 },
    ...{ save_strategy: 'steps', save_steps: 100, save_total_limit: 2 },
    ...{ output_dir: 'output', logging_steps: 1, disable_tqdm: true, report_to: 'none' },
  });
});

test("the page names TRL's name of every setting", async () => {
  const settings = { learningRate: 1, epochs: 1, batchSize: 16 };
  const loss = z.object(preferenceLossShape).parse({ lossType: ['sigmoid', 'sft'], lossWeights: [1, 1] });
  const plans = (['dpo', 'sft'] as const).map((method) =>
    planTrl(
      job({ method, loss, settings, loadBestModelAtEnd: true, pairs: { train: pairs(32), dev: pairs(2) } }),
      './base',
    ),
  );
  const rows = Object.entries(TRL_ARGUMENTS).map(([name, rule]): [string, string] => {
    const names = new Set(plans.flatMap((plan) => Object.keys(rule(plan))));
    return [name, [...names].map((told) => `\`${told}\``).join(', ')];
  });
  rows.push(...Object.entries(NOT_PASSED).map(([name, why]): [string, string] => [name, `none: ${why}`]));
  const page = await readFile(new URL('../../../docs/preference-training.md', import.meta.url), 'utf8');
  const section = page.split(/^## /m).find((text) => text.startsWith('Names in TRL'))!;
  const written = [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|$/gm)].map(([, name, told]) => [name, told]);
  expect(written).toEqual(rows);
});

test('the best adapter is one that was evaluated and saved', () => {
  const settings = { learningRate: 1, epochs: 3, batchSize: 2, saveSteps: 100, evalSteps: 30 };
  const split = { train: pairs(64), dev: pairs(2) };
  const best = argumentsOf({
    pairs: split,
    settings: { ...settings, metricForBestModel: 'margin' },
    loadBestModelAtEnd: true,
  });
  expect(best).toMatchObject({ eval_strategy: 'steps', eval_steps: 30, save_steps: 30, load_best_model_at_end: true });
  expect(best.metric_for_best_model).toBe('eval_rewards/margins');
  const last = argumentsOf({ pairs: split, settings });
  expect(last).toMatchObject({ save_steps: 100, metric_for_best_model: 'eval_loss', greater_is_better: false });
  expect(last).not.toHaveProperty('load_best_model_at_end');
  expect(argumentsOf({ settings, loadBestModelAtEnd: true })).not.toHaveProperty('load_best_model_at_end');
});

test('SFT has the arguments of DPO that it knows, and no others', () => {
  const told = argumentsOf({ method: 'sft' });
  expect(told).toMatchObject({ completion_only_loss: true, packing: false, max_length: 612 });
  for (const name of ['beta', 'loss_type', 'loss_weights', 'label_smoothing', 'disable_dropout']) {
    expect(told).not.toHaveProperty(name);
  }
});

test('fractions, absent clipping and single target modules become what TRL understands', () => {
  const told = argumentsOf({
    settings: { learningRate: 1, epochs: 2, batchSize: 16, warmupSteps: 0.3, lrScheduler: 'constant' },
    lora: { ...LORA, loraTargetModules: ['q_proj'] },
  });
  expect(told).toMatchObject({ warmup_steps: 2, lr_scheduler_type: 'constant_with_warmup', max_grad_norm: 1e9 });
  const [pattern] = told.lora_target_modules as string[];
  expect('model.layers.0.self_attn.q_proj').toMatch(new RegExp(`^${pattern}$`));
  expect('model.layers.0.self_attn.qq_proj').not.toMatch(new RegExp(`^${pattern}$`));
});

test.each([
  [
    'a batch that cannot be divided evenly',
    { engine: { perDeviceTrainBatchSize: 3 } },
    /batchSize: 16 examples per step.*1 processes, 3 at/,
  ],
  ['patience', { settings: { learningRate: 1, earlyStoppingPatience: 2 } }, /earlyStoppingPatience/],
  [
    'a metric that TRL does not report',
    { pairs: { train: pairs(16), dev: pairs(1) }, settings: { learningRate: 1, metricForBestModel: 'tokensChosen' } },
    /metricForBestModel.*tokensChosen/,
  ],
  ['no examples', { pairs: { train: [], dev: [] } }, /no examples/],
  ['ZeRO on CPUs', { engine: { hardware: 'cpu' as const, zero2: true } }, /zero2/],
  ['machines that cannot find each other', { engine: { machines: 2 } }, /mainProcessIp/],
  ['an unknown setting of the engine', { engine: { procesess: 2 } as object }, /procesess/],
])('%s is refused', (_, own, message) => {
  expect(() => argumentsOf(own)).toThrow(UsageError);
  expect(() => argumentsOf(own)).toThrow(message);
});

test('examples are in the order of every epoch', () => {
  const settings = trainingSettingsSchema.parse({ learningRate: 1, epochs: 2, batchSize: 4 });
  const order = exampleOrder(10, settings);
  const whole = Array.from({ length: 10 }, (_, index) => index);
  const sorted = (part: number[]) => [...part].sort((a, b) => a - b);
  expect(order.length).toBe(20);
  expect(sorted(order.slice(0, 10))).toEqual(whole);
  expect(sorted(order.slice(10))).toEqual(whole);
  expect(order.slice(10)).not.toEqual(order.slice(0, 10));
});

test.each([
  ['one GPU', {}, { distributed_type: 'NO', num_processes: 1, mixed_precision: 'bf16', use_cpu: false }],
  ['one CPU process', { hardware: 'cpu' }, { distributed_type: 'NO', mixed_precision: 'no', use_cpu: true }],
  [
    'CPU processes, started as GPUs are',
    { hardware: 'cpu', processes: 2 },
    { distributed_type: 'MULTI_GPU', num_processes: 2, use_cpu: false },
  ],
  ['GPUs', { processes: 8 }, { distributed_type: 'MULTI_GPU', num_processes: 8, num_machines: 1 }],
  ['ZeRO', { processes: 8, zero2: true }, { distributed_type: 'DEEPSPEED', deepspeed_config: { zero_stage: 2 } }],
] as const)('accelerate on %s', (_, given, expected) => {
  expect(accelerateConfig(parseTrlSettings(given))).toMatchObject(expected);
});

test('accelerate on several machines: each has its rank and the address of the first one', () => {
  const settings = parseTrlSettings({ machines: 2, processes: 4, mainProcessIp: 'first', mainProcessPort: 4000 });
  const shared = { num_machines: 2, num_processes: 8, main_process_ip: 'first', main_process_port: 4000 };
  expect(accelerateConfig(settings, 0)).toMatchObject({ machine_rank: 0, ...shared });
  expect(accelerateConfig(settings, 1)).toMatchObject({ machine_rank: 1, ...shared });
});

test('YAML 1.1 reads numbers as numbers, and text as text', () => {
  const long = 'word '.repeat(50);
  const yaml = toYaml({
    a: 1e-8,
    b: [2.5e-9, 1e21, -3e-7],
    c: 0.001,
    d: 2e-5,
    e: [1, 'x: #y', 'no', '1e-3'],
    f: { zero_stage: 2, off: 'on' },
    g: null,
    h: true,
    i: long,
  });
  // What PyYAML 6 reads as the values above.
  expect(yaml.split('\n')).toEqual([
    ...['a: 1.0e-8', 'b:', '  - 2.5e-9', '  - 1.0e+21', '  - -3.0e-7', 'c: 0.001', 'd: 0.00002'],
    ...['e:', '  - 1', '  - "x: #y"', '  - "no"', '  - "1e-3"', 'f:', '  zero_stage: 2', '  "off": "on"'],
    ...['g: null', 'h: true', `i: "${long}"`, ''],
  ]);
});
