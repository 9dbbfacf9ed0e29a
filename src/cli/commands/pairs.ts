import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { BeirDataset, openTrainingSource, PAIR_LAYOUTS, readGoldTexts } from '../../data/index.ts';
import { readStageManifest } from '../../files/index.ts';
import { PromptTemplate, TASKS } from '../../generate/index.ts';
import { writeAuditPage } from '../../report/index.ts';
import { buildPairs, type PairResult, pairSettings } from '../../reward/index.ts';
import { counted, systemFault, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, recordFiles } from '../command-files.ts';
import { choosePrompt } from '../open-generator.ts';
import { formatTable } from '../table.ts';
import { trainingSourceOptions } from '../training-source-options.ts';

const file = (description: string) => z.string().optional().describe(description).meta({ valueName: 'FILE' });

const options = z.object({
  ...trainingSourceOptions,
  candidates: file('file from `llm-qe candidates` (default: candidates.jsonl in the folder of the data)'),
  rewards: file('file from `llm-qe reward` (default: rewards.jsonl in the folder of the candidates)'),
  answers: file('answers, for the audit (default: answers.jsonl in the folder of the data, if it exists)'),
  task: z
    .enum(TASKS)
    .optional()
    .describe('published prompt of the pairs (default: the one recorded in the manifest of the candidates)'),
  prompt: file('instead of --task: file with your own prompt, which must contain {query}'),
  ...pairSettings,
  layout: z
    .enum(PAIR_LAYOUTS)
    .default('trl')
    .describe("layout of the pairs: TRL's conversational format, or that of the published data"),
  out: file('training pairs to write (default: pairs.jsonl in the folder of the candidates)'),
  devOut: file('development pairs to write (default: <out>-dev.jsonl)'),
  audit: file('audit to write (default: audit.json in the folder of the pairs)'),
  report: file('also write the audit as an HTML page'),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'pairs',
  summary: 'build preference pairs from rewards, and audit them',
  description:
    'Writes pairs.jsonl, pairs-dev.jsonl and audit.json. The defaults are the published settings: the best against the worst\ncandidate of each query whose best summed similarity is at least 0.6; 30,000 pairs drawn with seed 42; a tenth of them for\ndevelopment. All pairs of a query go to the same part.',
  options,
  examples: [
    ['llm-qe pairs --dataset data/wordnet --report audit.html', 'the published settings, with the audit as a page'],
    [
      'llm-qe pairs --dataset data/wordnet --similarity-quantile 0.2 --min-margin 0.5 --pairs-per-query 4 --max-length-ratio 1.5',
      'four pairs per query, clear margins, similar lengths; drop the worst fifth of the queries',
    ],
    ['llm-qe pairs --triples echo/dpo.jsonl --layout conversations', 'in the layout of the published data'],
  ],
  files(given) {
    const { inputs, inputFolders } = datasetFiles(given.dataset);
    const { candidates, rewards, answers, out, devOut, auditOut } = placesOf(given);
    const { triples, prompt, report } = given;
    return {
      inputs: {
        ...{ ...inputs, ...recordFiles('--candidates', candidates), ...recordFiles('--rewards', rewards) },
        ...{ '--answers': answers, '--triples': triples, '--prompt': prompt },
      },
      inputFolders,
      outputs: { '--out': out, '--dev-out': devOut, '--audit': auditOut, '--report': report },
    };
  },
  async run(given, context) {
    const source = await openTrainingSource({ ...given, withGold: false, signal: context.signal });
    const places = placesOf(given);
    const files = { ...places, answers: given.answers ?? (await existing(places.answers)) };
    const dataset = given.dataset === undefined ? undefined : await BeirDataset.open(given.dataset);
    const result = await buildPairs({
      ...files,
      queries: source,
      goldTexts: dataset && (await readGoldTexts(dataset, source(), context.signal)),
      prompt: await pairPrompt(given, files.candidates),
      settings: given,
      layout: given.layout,
      signal: context.signal,
      progress: context.progress,
    });
    if (given.report !== undefined) await writeAuditPage(given.report, result.audit);
    print(result, given, context);
  },
});

/** Returns the paths of all files, given or default. */
function placesOf(given: Options) {
  const base = given.dataset ?? dirname(given.triples ?? '.');
  const candidates = given.candidates ?? join(base, 'candidates.jsonl');
  const out = given.out ?? join(dirname(candidates), 'pairs.jsonl');
  return {
    candidates,
    rewards: given.rewards ?? join(dirname(candidates), 'rewards.jsonl'),
    answers: given.answers ?? join(base, 'answers.jsonl'),
    out,
    devOut: given.devOut ?? `${out.replace(/\.jsonl$/, '')}-dev.jsonl`,
    auditOut: given.audit ?? join(dirname(out), 'audit.json'),
  };
}

async function existing(path: string): Promise<string | undefined> {
  return access(path).then(
    () => path,
    () => undefined,
  );
}

/**
 * Returns the prompt that the candidates were made with. A prompt given by option must be the same: training has to use the
 * prompt of sampling. If no manifest records the prompt, the option is required.
 *
 * @throws UsageError if the prompt is unknown or another one
 */
async function pairPrompt(given: Options, candidates: string): Promise<PromptTemplate> {
  const named =
    given.prompt === undefined && given.task === undefined
      ? undefined
      : await choosePrompt({ task: given.task ?? 'q2d', prompt: given.prompt });
  const manifest = await readStageManifest(candidates);
  const made = z.object({ name: z.string(), text: z.string() }).safeParse(manifest?.settings.prompt).data;
  if (made === undefined && named === undefined) {
    await access(candidates).catch((error: unknown) => Promise.reject(systemFault(error, candidates)));
    throw new UsageError('no manifest records which prompt the candidates were made with', {
      file: candidates,
      fix: 'Pass the prompt: --task q2d (or q2q, q2e, q2c), or --prompt FILE.',
    });
  }
  if (made === undefined) return named!;
  if (named === undefined || named.text === made.text) return new PromptTemplate(made.name, made.text);
  throw new UsageError(`the candidates were made with prompt ${made.name}, not with ${named.name}`, {
    file: candidates,
    fix: 'Omit --task and --prompt.',
  });
}

function print({ files, removed, audit }: PairResult, given: Options, context: CommandContext): void {
  const { examples: _long, quotes: _texts, ...facts } = audit;
  context.json({ files, removed, ...facts });
  if (given.json) return;
  const { queries, pairs, candidates, sides, agreement, answers, threshold, similarity } = audit;
  context.say(
    `${counted(pairs.train, 'pair')} for training, ${pairs.dev} for development, from ${queries.kept} of ${counted(queries.all, 'query')}`,
  );
  const dropped = Object.entries(queries.dropped).map(([reason, count]) => [reason, String(count)]);
  if (dropped.length > 0) context.say(formatTable(['queries dropped', 'number'], dropped));
  context.say(
    formatTable(
      ['audit', ''],
      [
        [`minimum similarity of a query (${similarity})`, threshold.toFixed(3)],
        ['margin of a pair, median', sides.margin.median.toFixed(3)],
        [
          'words of chosen and rejected, mean',
          `${sides.chosenWords.mean.toFixed(1)}, ${sides.rejectedWords.mean.toFixed(1)}`,
        ],
        ['candidates that quote the gold document', percent(candidates.quoting)],
        ['chosen that quote it', percent(sides.chosenQuotes)],
        ['candidates that are duplicates', percent(candidates.duplicates)],
        ...(agreement === undefined ? [] : [["Kendall's tau of the two rankings, mean", agreement.mean.toFixed(3)]]),
        ...(answers.count === 0 ? [] : [['answers copied from the gold document', percent(answers.copied)]]),
      ],
    ),
  );
  if (pairs.train + pairs.dev < given.pairs) {
    context.say(`fewer than the requested ${counted(given.pairs, 'pair')}: there are no more`);
  }
  for (const path of Object.values(files)) if (path !== undefined) context.say(`wrote ${path}`);
  if (removed !== undefined) context.say(`removed ${removed}, the development pairs of an earlier run`);
  if (given.report !== undefined) context.say(`report: ${given.report}`);
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}
