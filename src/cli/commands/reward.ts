import { access, constants } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { BeirDataset, openTrainingSource, readGoldTexts } from '../../data/index.ts';
import { ModelStore } from '../../models/index.ts';
import { CorpusSearch, defaultRetrievalSettings, exactRetrievalSettings, openEncoder } from '../../retrieve/index.ts';
import { checkRewards, openRewards, type RewardResult, rewardCandidates } from '../../reward/index.ts';
import { counted, isThere, systemFault } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles, recordFiles } from '../command-files.ts';
import { formatTable } from '../table.ts';
import { trainingSourceOptions } from '../training-source-options.ts';

/** A search reward sets the depth by the cutoff of its measure. */
const { depth: _ofTheMeasure, ...searching } = exactRetrievalSettings;

const options = z.object({
  ...trainingSourceOptions,
  candidates: z
    .string()
    .optional()
    .describe('file from `llm-qe candidates` (default: candidates.jsonl in the folder of the data)')
    .meta({ valueName: 'FILE' }),
  answers: z
    .string()
    .optional()
    .describe(
      'file from `llm-qe answers` (default, if a reward needs answers: answers.jsonl in the folder of the data)',
    )
    .meta({ valueName: 'FILE' }),
  out: z
    .string()
    .optional()
    .describe('file to write (default: rewards.jsonl in the folder of the candidates)')
    .meta({ valueName: 'FILE' }),
  reward: z
    .array(z.string())
    .min(1)
    .default(['rank-gold', 'rank-answer'])
    .describe(
      'rank-gold, rank-answer, similarity-gold, similarity-answer, zScore-gold, zScore-answer, change-MEASURE, or the path of a module; NAME=0.5 sets its weight',
    )
    .meta({ valueName: 'NAME[=WEIGHT]' }),
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('search method of change-MEASURE'),
  ...searching,
  batch: z.coerce.number().int().positive().default(32).describe('number of queries to embed and search together'),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'reward',
  summary: 'reward the candidates of each training query',
  description:
    'Writes rewards.jsonl, one line per candidate. The default is the published reward: 1 / rank by cosine similarity to the\ngold document, plus 1 / rank by similarity to the answer, among the candidates of a query. change-MEASURE (for example\nchange-nDCG@10) searches the complete corpus with and without the candidate, as the evaluation does. Progress is saved in a\njournal: the same command resumes, and computes only the rewards of queries whose texts, encoder or rewards changed.',
  options,
  examples: [
    ['llm-qe reward --dataset data/wordnet', 'the published reward'],
    [
      'llm-qe reward --dataset data/wordnet --reward change-nDCG@10 --reward similarity-answer=0.2',
      'a mixture: gain in search, and similarity to the answer',
    ],
    ['llm-qe reward --triples echo/dpo.jsonl --encoder hf:facebook/contriever', 'as published, on triples'],
    ['llm-qe reward --dataset data/wordnet --reward ./brevity.mjs --reward rank-gold', 'with a custom reward'],
  ],
  files({ dataset, triples, candidates, answers, reward, encoder, out }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    const base = dataset ?? dirname(triples ?? '.');
    const rewarded = candidates ?? join(base, 'candidates.jsonl');
    return {
      inputs: {
        ...inputs,
        ...recordFiles('--candidates', rewarded),
        ...Object.fromEntries(reward.map((name) => [`--reward ${name}`, name])),
        ...modelFiles('--encoder', encoder),
        ...{ '--triples': triples, '--answers': answers ?? join(base, 'answers.jsonl') },
      },
      inputFolders,
      outputs: recordFiles('--out', out ?? join(dirname(rewarded), 'rewards.jsonl')),
    };
  },
  async run(given, context) {
    const source = await openTrainingSource({ ...given, withGold: false, signal: context.signal });
    const base = given.dataset ?? dirname(given.triples!);
    const candidates = given.candidates ?? join(base, 'candidates.jsonl');
    const settings = defaultRetrievalSettings(given);
    const store = new ModelStore({ offline: given.offline, progress: context.progress });
    const dataset = given.dataset === undefined ? undefined : await BeirDataset.open(given.dataset);
    const out = given.out ?? join(dirname(candidates), 'rewards.jsonl');
    await checkInputs(given, candidates, join(base, 'answers.jsonl'));
    const search = dataset && new CorpusSearch(dataset, settings, { ...context, store });
    const encoder = await (search?.encoder() ?? openEncoder(settings, store, context.signal, context.progress));
    try {
      const rewards = await openRewards({ ...given, ...settings }, search, context);
      const needed = rewards.mixture.some(({ reward }) => reward.needsAnswer);
      const result = await rewardCandidates({
        queries: source(),
        goldTexts: dataset && (await readGoldTexts(dataset, source(), context.signal)),
        candidates,
        answers: given.answers ?? (needed ? join(base, 'answers.jsonl') : undefined),
        encoder,
        expansionRole: given.expansionRole,
        mixture: rewards.mixture,
        out,
        batch: given.batch,
        signal: context.signal,
        progress: context.progress,
      }).finally(() => rewards.close());
      print(result, given, context);
    } finally {
      await (search ?? encoder).close();
    }
  },
});

/** Checks what can be checked before a model is downloaded. @throws UsageError, DataError */
async function checkInputs(given: Options, candidates: string, usualAnswers: string): Promise<void> {
  const isAnswered = given.answers !== undefined || (await isThere(usualAnswers));
  await checkRewards(given.reward, { isJudged: given.dataset !== undefined, isAnswered, loadsCode: false });
  for (const file of [candidates, given.answers].filter((path) => path !== undefined)) await readable(file);
}

async function readable(file: string): Promise<void> {
  await access(file, constants.R_OK).catch((error: unknown) => {
    throw systemFault(error, file);
  });
}

function print({ file, summary, reused, seconds }: RewardResult, given: Options, context: CommandContext): void {
  context.json({ file, ...summary, reused, seconds });
  if (given.json) return;
  const { queries, candidates, empty, duplicates, dropped, encoder, rewards } = summary;
  context.say(
    `${counted(candidates, 'candidate')} of ${counted(queries, 'query')} rewarded; cosine similarities by ${encoder.id}`,
  );
  context.say(
    formatTable(
      ['reward', 'weight'],
      rewards.map(({ name, weight }) => [name, String(weight)]),
    ),
  );
  context.say(
    `${counted(reused, 'query')} reused; ${duplicates} of the candidates duplicate others, ${empty} without text skipped`,
  );
  for (const [reason, count] of Object.entries(dropped)) {
    if (count > 0) context.warn(`${counted(count, 'query is', 'queries are')} skipped: ${reason}`);
  }
  if (queries > reused) context.say(`${seconds.toFixed(1)} s`);
  context.say(`wrote ${file}`);
}
