import { join } from 'node:path';
import { z } from 'zod';
import { BeirDataset, openRetrieverSource, REFUSAL_WORDS, ROW_REFUSALS } from '../../data/index.ts';
import { ModelStore } from '../../models/index.ts';
import {
  DROP_REASONS,
  DROP_WORDS,
  defaultRetrievalSettings,
  exactRetrievalSettings,
  type MineNegativesResult,
  mineNegatives,
  miningSchema,
  miningSettings,
  openCorpus,
  openEncoder,
} from '../../retrieve/index.ts';
import { counted, inGroup, isThere } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles, recordFiles } from '../command-files.ts';
import { forceOption } from '../open-generator.ts';
import { formatTable } from '../table.ts';
import { trainingSourceOptions } from '../training-source-options.ts';

const { triples: _file, ...source } = trainingSourceOptions;
const { depth: _depth, keepSelf: _self, similarity, ...searching } = exactRetrievalSettings;

const options = z.object({
  rows: z
    .string()
    .optional()
    .describe('training rows: retriever.jsonl, triples, or any other layout of `train retriever`')
    .meta({ valueName: 'FILE' }),
  ...source,
  dataset: source.dataset.describe("instead of rows: the queries of a data set in BEIR's layout"),
  corpus: z
    .string()
    .optional()
    .describe(
      'where negatives come from: a folder with corpus.jsonl, or such a file (default: the data set, or the documents of the rows)',
    )
    .meta({ valueName: 'DIR|FILE' }),
  out: z.string().describe('file to write: the rows with their negatives').meta({ valueName: 'FILE' }),
  ...inGroup('Negatives:', miningSettings),
  ...searching,
  ...inGroup('Search:', { similarity: similarity.default('cosine') }),
  force: forceOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'mine',
  summary: 'mine hard negatives for training rows by searching a corpus',
  description:
    'Searches the corpus for each row and writes the rows with the best documents that are not relevant. Whatever any row of the query\nor any split of the data set judges relevant, and every equal text, is left out. What was dropped, and why, is printed and\nwritten to the manifest. If interrupted, the same command resumes.',
  options,
  examples: [
    [
      'llm-qe mine --rows runs/data/retriever.jsonl --corpus data/scifact --out runs/data/mined.jsonl',
      'the three best documents that are not relevant',
    ],
    [
      'llm-qe mine --rows triples.jsonl --out mined.jsonl --retriever both --relative-margin 0.05 --range-max 100 --sampling random',
      'from the documents of the rows, with the margin of NV-Retriever',
    ],
    [
      'llm-qe mine --dataset data/scifact --split train --encoder bge-small-en-v1.5 --negatives 8 --scores --out mined.jsonl',
      "with the encoder's similarities, for a student (train retriever --method kl)",
    ],
  ],
  files: ({ rows, dataset, corpus, out, encoder }) => ({
    inputs: {
      ...{ ...datasetFiles(dataset).inputs, '--rows': rows },
      ...(corpus !== undefined && { '--corpus': corpus, ...datasetFiles(corpus).inputs }),
      ...modelFiles('--encoder', encoder),
    },
    inputFolders: { ...datasetFiles(dataset).inputFolders, ...datasetFiles(corpus).inputFolders },
    outputs: recordFiles('--out', out),
  }),
  async run(given, context) {
    const { signal, progress } = context;
    const corpus = given.corpus ?? given.dataset;
    const retrieval = defaultRetrievalSettings({ ...given, keepSelf: true });
    const result = await mineNegatives({
      source: await openRetrieverSource({ ...given, allowNoQuery: true, signal }),
      corpus: corpus === undefined ? undefined : await openCorpus(corpus),
      judgements: judgementsOf([given.dataset, given.corpus], signal),
      out: given.out,
      settings: miningSchema.parse(given),
      retrieval,
      openEncoder: () => openEncoder(retrieval, new ModelStore({ offline: given.offline, progress }), signal, progress),
      force: given.force,
      signal,
      progress,
    });
    print(result, given, context);
  },
});

/** Judgements of every split of the folders that hold some. */
async function* judgementsOf(folders: readonly (string | undefined)[], signal: AbortSignal) {
  for (const folder of new Set(folders)) {
    if (folder === undefined || !(await isThere(join(folder, 'qrels')))) continue;
    const dataset = await BeirDataset.open(folder);
    for (const split of await dataset.splits()) yield await dataset.qrels(split, signal);
  }
}

function print(result: MineNegativesResult, { negatives }: Options, context: CommandContext): void {
  context.json(result);
  const { rows, reused, short, none, candidates, dropped, documents, source, file } = result;
  context.say(
    `${counted(result.negatives, 'negative')} for ${counted(rows, 'row')} from ${counted(documents, 'document')}, ${counted(reused, 'row')} reused`,
  );
  const reasons = DROP_REASONS.filter((reason) => dropped[reason] > 0);
  const table = reasons.map((reason) => [DROP_WORDS[reason], String(dropped[reason])]);
  if (table.length > 0) context.say(formatTable([`dropped of ${candidates} candidates`, 'number'], table));
  for (const refusal of ROW_REFUSALS) {
    if (source.leftOut[refusal] > 0)
      context.warn(`left out: ${counted(source.leftOut[refusal], 'row')} ${REFUSAL_WORDS[refusal]}`);
  }
  if (short > 0)
    context.warn(
      `${counted(short, 'row has', 'rows have')} fewer than ${negatives} mined negatives, ${none} of them none`,
    );
  context.say(`wrote ${file}`);
}
