import { join } from 'node:path';
import { z } from 'zod';
import { type PairReading, readPairs } from '../../data/index.ts';
import { DEFAULT_GENERATOR, ModelStore } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { counted, inGroup, sha256File, UsageError } from '../../system/index.ts';
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
import { generatorOptions } from '../open-generator.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  pairs: z
    .string()
    .describe("preference pairs: pairs.jsonl from `llm-qe pairs`, in TRL's or the published layout")
    .meta({ valueName: 'FILE' }),
  dev: z
    .string()
    .optional()
    .describe('held-out pairs (default: split off as --dev-size says)')
    .meta({ valueName: 'FILE' }),
  base: z
    .string()
    .default(DEFAULT_GENERATOR)
    .describe('chat model to train: a model name, a folder, a .gguf file, or hf:owner/name')
    .meta({ valueName: 'NAME|DIR|FILE' }),
  out: z.string().describe('folder for the result and the checkpoints').meta({ valueName: 'DIR' }),
  ...generatorTrainingShape,
  chatTemplateKwargs: generatorOptions.chatTemplateKwargs,
  engine: z
    .enum(['local', 'trl'])
    .default('local')
    .describe('train in this program, or with TRL (must be installed) on several GPUs or machines'),
  ...inGroup('With --engine trl:', trlShape),
  writeOnly: z
    .boolean()
    .default(false)
    .describe(
      'with --engine trl: only write data, configuration and script, to train elsewhere; TRL is not needed here',
    ),
  threads: z.coerce.number().int().min(1).optional().describe('processor threads (default: one per core)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** The options that are settings of the training. */
const settings = z.object(generatorTrainingShape);
/** The options that are settings of TRL's processes. */
const trlSettings = z.object(trlShape);

export const command = defineCommand({
  name: 'train generator',
  summary: 'align the language model: DPO on preference pairs, or SFT on the chosen side',
  description:
    "Writes OUT/adapter in PEFT's layout (OUT/model with --full), metrics.jsonl, checkpoints and manifest.json. The defaults\nare the published settings. If interrupted, the same command resumes. Equal pairs, base model and settings give a\nbyte-identical result.",
  options,
  renamed: { ...RENAMED_GENERATOR_SETTINGS, ...RENAMED_TRL_SETTINGS },
  examples: [
    ['llm-qe train generator --pairs pairs.jsonl --out runs/dpo', 'the default model, as published'],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/both --loss-type sigmoid --loss-type sft --loss-weights 1 --loss-weights 0.5',
      'DPO with an SFT term on the chosen side',
    ],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/dpo --engine trl --processes 8 --per-device-train-batch-size 2 --zero2',
      'the same with TRL on eight GPUs',
    ],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/dpo --engine trl --dtype bfloat16 --write-only',
      'only the files, to train on a cluster',
    ],
    [
      'llm-qe train generator --pairs pairs.jsonl --out runs/sft --method sft',
      'the SFT baseline: train on the chosen side only',
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
      throw new UsageError('--write-only works only with --engine trl', { fix: 'Add --engine trl.' });
    }
    const pairs = await readAll(given.pairs, given, context);
    const dev = given.dev === undefined ? undefined : await readAll(given.dev, given, context);
    const store = new ModelStore({ offline: given.offline, progress });
    const base = await store.resolve(given.base, { kind: 'generator', signal });
    const training: TrainGeneratorOptions = {
      base,
      pairs: pairs.pairs,
      devPairs: dev?.pairs,
      chatTemplateKwargs: given.chatTemplateKwargs,
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
  if (skipped !== '') warn(`pairs of ${file} are skipped (${skipped}), for example ${reading.examples.join('; ')}`);
  return reading;
}

function trainByTrl(
  training: TrainGeneratorOptions,
  given: Options,
  { say }: CommandContext,
): Promise<TrainGeneratorWithTrlResult> {
  const onCommands = (commands: readonly string[]) => {
    say(`on the other machines, in the folder ${given.out}, run:`);
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
  say(
    `wrote ${folder}: ${given.method} on ${counted(train.pairs, 'pair')}, ${dev.pairs} held out, ${counted(plan.steps, 'step')}`,
  );
  const count = commands.length;
  say(
    count === 1
      ? 'on a machine with TRL, in that folder, run:'
      : `on ${count} machines with TRL, in that folder, run (one command per machine, in this order):`,
  );
  for (const rank of commands.keys()) say(`  sh train.sh${count === 1 ? '' : ` ${rank}`}`);
  if (!plan.model.startsWith('.'))
    say(`  (put MODEL=FOLDER before it if the base model is not at ${plan.model} there)`);
  say('then copy the folder back, and run this command without --write-only to import the adapter');
}

function printTrl(result: TrainGeneratorWithTrlResult, given: Options, context: CommandContext): void {
  const { adapter, step, steps, best, train, dev, seconds, metricsFile: metrics } = result;
  context.json({ kind: 'adapter', path: adapter, step, steps, best, train, dev, seconds, metrics, engine: 'trl' });
  if (given.json) return;
  context.say(
    `${given.method} with TRL on ${counted(train.pairs, 'pair')}, ${dev.pairs} held out, ${counted(steps, 'step')}`,
  );
  if (best !== undefined) {
    context.say(formatTable(['best at step', best.metric], [[String(best.step), best.value.toFixed(4)]]));
  }
  context.say(`${seconds.toFixed(1)} s; the adapter is from step ${step}`);
  context.say(`wrote ${adapter}`);
  context.say(`wrote ${metrics}`);
}

function print(result: TrainGeneratorResult, given: Options, context: CommandContext): void {
  const { path, kind, step, training, train, dev, mode, seconds } = result;
  const { steps, stopped, best } = training;
  context.json({ kind, path, step, steps, stopped, best, train, dev, mode, seconds, metrics: result.metricsFile });
  if (given.json) return;
  context.say(
    `${given.method} on ${counted(train.pairs, 'pair')}, ${dev.pairs} held out, ${counted(steps, 'step')} (${stopped})`,
  );
  if (best !== undefined) {
    context.say(formatTable(['best at step', best.metric], [[String(best.step), best.value.toFixed(4)]]));
  }
  context.say(`${seconds.toFixed(1)} s; the ${kind} is from step ${step}`);
  context.say(`wrote ${path}`);
  context.say(`wrote ${result.metricsFile}`);
}
