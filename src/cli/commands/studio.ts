import { z } from 'zod';
import { defaultRetrievalSettings, retrievalSettings } from '../../retrieve/index.ts';
import { type OtherWriter, openStudio, ProgressFeed, Studio } from '../../studio/index.ts';
import { inGroup, workerFile } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { openBrowser } from '../open-browser.ts';
import { choosePrompt, type GeneratorChoice, generatorOptions, openGenerator, samplingOf } from '../open-generator.ts';

const { encoder, queryPrefix, documentPrefix, precision, pooling, maxLength, similarity } = retrievalSettings;

const options = z.object({
  port: z.coerce.number().int().min(0).max(65_535).default(8091).describe('port to listen on; 0: any that is free'),
  runs: z.string().default('runs').describe('folder of the runs').meta({ valueName: 'DIR' }),
  corpus: z
    .array(z.string())
    .default([])
    .describe("corpus to search: a folder in BEIR's layout, or a JSONL file; named after the folder or file")
    .meta({ valueName: 'DIR|FILE' }),
  open: z.boolean().default(true).describe('only print the address; do not open the browser'),
  readOnly: z.boolean().default(false).describe('only look: start, stop and resume no runs, and store no judgements'),
  alpha: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('weight of the expansions with which the screens begin')
    .meta({ valueName: 'NUMBER' }),
  ...inGroup('Encoder:', { encoder, queryPrefix, documentPrefix, precision, pooling, maxLength, similarity }),
  ...generatorOptions,
  maxTokens: generatorOptions.maxTokens.default(128),
  ...inGroup('Language model:', {
    secondGenerator: z
      .string()
      .optional()
      .describe('Try screen: another model to compare with --generator')
      .meta({ valueName: 'NAME|FILE|URL' }),
    secondAdapter: z
      .string()
      .optional()
      .describe(
        'Try screen: a LoRA adapter of the second model; without --second-generator, of the model of --generator',
      )
      .meta({ valueName: 'DIR|FILE' }),
  }),
});

export const command = defineCommand({
  name: 'studio',
  summary: 'a local web page: try out expansions, start and watch runs, look at queries, judge, export',
  description:
    'Only this machine can reach the page, and only with the token in the address that is printed. It loads nothing from other hosts.\nModels are opened when they are first needed. Runs are started as processes of their own. Ctrl-C ends the studio, not the runs.',
  options,
  examples: [
    ['llm-qe studio', 'the runs of this folder'],
    ['llm-qe studio --corpus docs.jsonl', 'also try out queries on your own documents, and judge the results'],
    ['llm-qe studio --runs shared/runs --read-only', 'look at the runs of others'],
  ],
  graceMilliseconds: 12_000,
  async run(given, context) {
    const { queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, offline, threads } = given;
    const studio = new Studio({
      ...{ runs: given.runs, corpora: given.corpus, generators: given.generator, samples: given.samples },
      ...{ program: [process.execPath, workerFile(import.meta.url, '../main.ts')], readOnly: given.readOnly },
      settings: defaultRetrievalSettings({
        ...{ encoder: given.encoder, queryPrefix, documentPrefix, precision, pooling, maxLength, similarity },
        ...{ alpha: given.alpha, offline, threads },
      }),
      openGenerator: () => openGenerator(given, context),
      generatorOptions: writingOptions(given),
      ...{ adapters: given.adapter, others: othersOf(given, context) },
      ...{ prompt: await choosePrompt(given), sampling: samplingOf(given), seed: given.seed },
      ...{ progress: new ProgressFeed(context.progress), signal: context.signal },
    });
    const opened = await openStudio(studio, { port: given.port, onError: (error) => context.warn(String(error)) });
    process.stderr.write(`studio on ${opened.url}\n`);
    if (given.open) openBrowser(opened.url);
    try {
      await new Promise<void>((resolve) => {
        if (context.signal.aborted) resolve();
        context.signal.addEventListener('abort', () => resolve(), { once: true });
      });
    } finally {
      await opened.close();
    }
  },
});

/** What the screen's commands must repeat, so that the same texts are written. */
function writingOptions({ model, chatTemplateKwargs, context, gpu }: GeneratorChoice): [string, string][] {
  return [
    ...(model === undefined ? [] : [['--model', model] as [string, string]]),
    ...(chatTemplateKwargs === undefined
      ? []
      : [['--chat-template-kwargs', JSON.stringify(chatTemplateKwargs)] as [string, string]]),
    ...(context === undefined ? [] : [['--context', `${context}`] as [string, string]]),
    ...(gpu ? [['--gpu', ''] as [string, string]] : []),
  ];
}

/** With an adapter, the same model without it is offered, too. */
function othersOf(
  given: GeneratorChoice & { secondGenerator?: string | undefined; secondAdapter?: string | undefined },
  context: CommandContext,
): OtherWriter[] {
  const { generator, adapter, secondGenerator, secondAdapter } = given;
  const other = (generators: string[], adapters: string[]): OtherWriter => ({
    ...{ generators, adapters },
    open: () => openGenerator({ ...given, generator: generators, adapter: adapters }, context),
  });
  const bare = adapter.length === 0 ? [] : [other(generator, [])];
  if (secondGenerator === undefined && secondAdapter === undefined) return bare;
  const second = secondGenerator === undefined ? generator : [secondGenerator];
  return [...bare, other(second, secondAdapter === undefined ? [] : [secondAdapter])];
}
