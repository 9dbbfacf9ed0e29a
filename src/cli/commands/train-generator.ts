import { join } from 'node:path';
import { z } from 'zod';
import { type PairReading, readPairs } from '../../data/index.ts';
import { DEFAULT_GENERATOR, ModelStore } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { sha256File, UsageError } from '../../system/index.ts';
import {
  describeSkipped,
  generatorTrainingShape,
  prepareGeneratorForTrl,
  RENAMED_GENERATOR_SETTINGS,
  RENAMED_TRL_SETTINGS,
  type TrainGeneratorOptions,
  type TrainGeneratorResult,
  type TrainGeneratorWithTrlResult,
  trainGenerator,
  trainGeneratorWithTrl,
  trlShape,
} from '../../train/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  pairs: z
    .string()
    .describe("preference pairs (pairs.jsonl of `llm-qe pairs`, TRL's or the published layout)")
    .meta({ valueName: 'FILE' }),
  dev: z.string().optional().describe('held-out pairs; default --dev-size of the queries').meta({ valueName: 'FILE' }),
  base: z
    .string()
    .default(DEFAULT_GENERATOR)
    .describe('the chat model to train: a name of the store, a folder or a .gguf file')
    .meta({ valueName: 'NAME|DIR|FILE' }),
  out: z.string().describe('folder of the result and its checkpoints').meta({ valueName: 'DIR' }),
  ...generatorTrainingShape,
  engine: z
    .enum(['local', 'trl'])
    .default('local')
    .describe('what trains: this program, or TRL, which must be installed, on several GPUs or machines'),
  ...trlShape,
  writeOnly: z
    .boolean()
    .default(false)
    .describe('with --engine trl: write data, configuration and script, and train elsewhere; needs no TRL here'),
  threads: z.coerce.number().int().min(1).optional().describe('processor threads (default: one a core)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** Those of the options that are settings of the training. */
const settings = z.object(generatorTrainingShape);
/** Those that are settings of TRL's processes. */
const trlSettings = z.object(trlShape);

export const command = defineCommand({
  name: 'train generator',
  summary: 'align the language model: DPO on preference pairs, or SFT on the chosen side',
  description:
    "Writes OUT/adapter in PEFT's layout (OUT/model with --full), metrics.jsonl, checkpoints and manifest.json. The defaults\nare the published settings. The same command goes on where it was stopped, and equal pairs, base and settings end in\nequal bytes.",
  options,
  renamed: { ...RENAMED_GENERATOR_SETTINGS, ...RENAMED_TRL_SETTINGS },
  examples: [
    ['llm-qe train generator --pairs pairs.jsonl --out runs/dpo', 'the default model, as published'],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/both --loss-type sigmoid --loss-type sft --loss-weights 1 --loss-weights 0.5',
      'DPO that holds on to the chosen answers',
    ],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/dpo --engine trl --processes 8 --per-device-train-batch-size 2 --zero2',
      'the same by TRL on eight GPUs',
    ],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/dpo --engine trl --dtype bfloat16 --write-only',
      'the files for a cluster: TRL need not be here',
    ],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/sft --method sft',
      'the baseline: learn to write the chosen side',
    ],
  ],
  files: ({ pairs, dev, base, out }) => ({
    inputs: { '--pairs': pairs, '--dev': dev, '--base': base },
    outputs: Object.fromEntries(
      ['metrics.jsonl', 'manifest.json'].map((name) => [`${name} of --out`, join(out, name)]),
    ),
  }),
  async run(given, context) {
    const { signal, progress } = context;
    if (given.writeOnly && given.engine !== 'trl') {
      throw new UsageError('--write-only is for --engine trl', { fix: 'Add --engine trl.' });
    }
    const pairs = await readAll(given.pairs, given, context);
    const dev = given.dev === undefined ? undefined : await readAll(given.dev, given, context);
    const store = new ModelStore({ offline: given.offline, progress });
    const base = await store.resolve(given.base, { kind: 'generator', signal });
    const training: TrainGeneratorOptions = {
      base,
      pairs: pairs.pairs,
      devPairs: dev?.pairs,
      out: given.out,
      settings: settings.parse(given),
      threads: given.threads,
      about: {
        file: { path: given.pairs, sha256: await sha256File(given.pairs, signal), skipped: pairs.skipped },
        ...(given.dev !== undefined && {
          devFile: { path: given.dev, sha256: await sha256File(given.dev, signal), skipped: dev?.skipped },
        }),
      },
      warn: (line) => context.warn(line),
      signal,
      progress,
    };
    if (given.writeOnly) await printFiles(training, given, context);
    else if (given.engine === 'local') print(await trainGenerator(training), given, context);
    else printTrl(await trainByTrl(training, given, context), given, context);
  },
});

async function readAll(file: string, { method }: Options, { signal, warn }: CommandContext): Promise<PairReading> {
  const reading = await readPairs(file, { sides: method === 'sft' ? 'chosen' : 'both', signal });
  const skipped = describeSkipped(reading.skipped);
  if (skipped !== '') warn(`pairs of ${file} are left out (${skipped}), such as ${reading.examples.join('; ')}`);
  return reading;
}

function trainByTrl(
  training: TrainGeneratorOptions,
  given: Options,
  { say }: CommandContext,
): Promise<TrainGeneratorWithTrlResult> {
  const onCommands = (commands: readonly string[]) => {
    say(`on the other machines, in the folder ${given.out}:`);
    for (const line of commands) say(`  ${line}`);
  };
  return trainGeneratorWithTrl({ ...training, engine: trlSettings.parse(given), onCommands });
}

async function printFiles(
  training: TrainGeneratorOptions,
  given: Options,
  { json, say }: CommandContext,
): Promise<void> {
  const { folder, script, commands, plan, train, dev } = await prepareGeneratorForTrl({
    ...training,
    engine: trlSettings.parse(given),
  });
  json({ folder, script, commands, steps: plan.steps, train, dev, engine: 'trl' });
  if (given.json) return;
  say(`wrote ${folder}: ${given.method} on ${train.pairs} pairs, ${dev.pairs} held out, ${plan.steps} steps`);
  const count = commands.length;
  say(
    count === 1
      ? 'where TRL is, in that folder:'
      : `on ${count} machines where TRL is, in that folder, from the first to the last:`,
  );
  for (const rank of commands.keys()) say(`  sh train.sh${count === 1 ? '' : ` ${rank}`}`);
  if (!plan.model.startsWith('.')) say(`  MODEL=FOLDER before it if the base does not lie at ${plan.model} there`);
  say('then the same command without --write-only, on the folder as it came back, takes the adapter over');
}

function printTrl(result: TrainGeneratorWithTrlResult, given: Options, context: CommandContext): void {
  const { adapter, step, steps, best, train, dev, seconds, metricsFile: metrics } = result;
  context.json({ kind: 'adapter', path: adapter, step, steps, best, train, dev, seconds, metrics, engine: 'trl' });
  if (given.json) return;
  context.say(`${given.method} by TRL on ${train.pairs} pairs, ${dev.pairs} held out, ${steps} steps`);
  if (best !== undefined) {
    context.say(formatTable(['best at step', best.metric], [[String(best.step), best.value.toFixed(4)]]));
  }
  context.say(`${seconds.toFixed(1)} s; the adapter is that of step ${step}`);
  context.say(`wrote ${adapter}`);
  context.say(`wrote ${metrics}`);
}

function print(result: TrainGeneratorResult, given: Options, context: CommandContext): void {
  const { path, kind, step, training, train, dev, mode, seconds } = result;
  const { steps, stopped, best } = training;
  context.json({ kind, path, step, steps, stopped, best, train, dev, mode, seconds, metrics: result.metricsFile });
  if (given.json) return;
  context.say(`${given.method} on ${train.pairs} pairs, ${dev.pairs} held out, ${steps} steps (${stopped})`);
  if (best !== undefined) {
    context.say(formatTable(['best at step', best.metric], [[String(best.step), best.value.toFixed(4)]]));
  }
  context.say(`${seconds.toFixed(1)} s; the ${kind} is that of step ${step}`);
  context.say(`wrote ${path}`);
  context.say(`wrote ${result.metricsFile}`);
}
