import { z } from 'zod';
import { BeirDataset, readExpansions } from '../../data/index.ts';
import { decide, type GateDecision, loadTopics, type Topics, withExpansions } from '../../evaluate/index.ts';
import { writeJsonl } from '../../files/index.ts';
import { Gate } from '../../gate/index.ts';
import { percent } from '../../report/index.ts';
import { CorpusSearch, combinationOf, defaultRetrievalSettings, retrievalSettings } from '../../retrieve/index.ts';
import { counted, DEFAULT_SEED, UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { datasetFiles, modelFiles } from '../command-files.ts';
import { openRemembering } from '../remembering-search.ts';

/** The gate gives the weight and says which search it was trained for. */
const { alpha: _alpha, queryRepeats: _queryRepeats, ...searching } = retrievalSettings;

const options = z.object({
  gate: z.string().describe('gate.json from `llm-qe gate train`').meta({ valueName: 'FILE' }),
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  split: z.string().default('test').describe('split whose queries are decided on').meta({ valueName: 'NAME' }),
  queries: z.string().optional().describe('another queries file for this data set').meta({ valueName: 'FILE' }),
  limit: z.coerce.number().int().positive().optional().describe('decide on a random sample of this many queries'),
  expansions: z
    .string()
    .optional()
    .describe('expansions of the queries, or of those the gate wants expanded: also decide on their weight')
    .meta({ valueName: 'FILE' }),
  ...searching,
  seed: z.coerce.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of the sample'),
  out: z
    .string()
    .optional()
    .describe('write the decisions: one {query, expand, weight, probability, reason} per line')
    .meta({ valueName: 'FILE' }),
  queriesOut: z
    .string()
    .optional()
    .describe('write the queries to expand, for `llm-qe expand --queries`: the others cost no LLM call')
    .meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'gate apply',
  summary: 'decide query by query whether, and how much, to expand',
  description:
    'Searches with the raw queries and lets the gate decide which of them to expand, before anything is written. With --expansions,\nit also decides on the weight of the expansions. The search must be the one that the gate was trained for.',
  options,
  examples: [
    [
      'llm-qe gate apply --gate gate.json --dataset data/scifact --queries-out to-expand.jsonl',
      'which queries are worth an expansion',
    ],
    ['llm-qe expand --dataset data/scifact --split all --queries to-expand.jsonl', 'expands only those'],
    [
      'llm-qe gate apply --gate gate.json --dataset data/scifact --expansions data/scifact/expansions.jsonl --out decisions.jsonl',
      'the weight of each expansion',
    ],
  ],
  files({ gate, dataset, queries, expansions, encoder, out, queriesOut }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    return {
      inputs: {
        ...{ ...inputs, '--gate': gate, '--queries': queries, '--expansions': expansions },
        ...modelFiles('--encoder', encoder),
      },
      inputFolders,
      outputs: { '--out': out, '--queries-out': queriesOut },
    };
  },
  async run(given, context) {
    refuseNoOutput(given);
    const gate = await Gate.open(given.gate);
    const dataset = await BeirDataset.open(given.dataset);
    const topics = await loadGatedTopics(dataset, given);
    const { queryRepeats } = await combinationOf(given.expansions);
    const settings = { ...defaultRetrievalSettings(), ...given, queryRepeats };
    const kind = gate.data.madeFor.retriever;
    const encoder = await openRemembering(kind, [dataset], settings, context);
    const search = new CorpusSearch(dataset, settings, { ...context, encoder });
    try {
      for (const words of gate.compareWith(await search.retriever(kind))) context.warn(words);
      const started = performance.now();
      const decisions = await decide(search, gate, topics, { keepSelf: given.keepSelf, signal: context.signal });
      const milliseconds = (performance.now() - started) / topics.queries.length;
      if (given.out !== undefined) await writeJsonl(given.out, decisions);
      const chosen = topics.queries.filter((_query, at) => decisions[at]!.expand);
      if (given.queriesOut !== undefined) {
        await writeJsonl(
          given.queriesOut,
          chosen.map(({ id, text }) => ({ _id: id, text })),
        );
      }
      report(decisions, milliseconds, given, context);
    } finally {
      await search.close();
      await encoder?.close();
    }
  },
});

/** @throws UsageError if the decisions would go nowhere */
function refuseNoOutput({ out, queriesOut, json }: Options): void {
  if (out !== undefined || queriesOut !== undefined || json) return;
  throw new UsageError('the decisions would be neither written nor printed', {
    fix: 'Pass --out decisions.jsonl, --queries-out FILE for `llm-qe expand --queries`, or --json, which prints them.',
  });
}

async function loadGatedTopics(dataset: BeirDataset, given: Options): Promise<Topics> {
  const { split, limit, seed, queries, expansions } = given;
  const topics = await loadTopics(dataset, split, { limit, seed, queriesFile: queries });
  return withExpansions(topics, expansions === undefined ? new Map() : await readExpansions(expansions));
}

function report(
  decisions: readonly GateDecision[],
  millisecondsPerQuery: number,
  { out, queriesOut, expansions }: Options,
  { json, say }: { json(document: unknown): void; say(line: string): void },
): void {
  const queries = decisions.length;
  const expand = decisions.filter((one) => one.expand).length;
  const weighted = decisions.filter(({ weight }) => weight > 0);
  const meanWeight = weighted.reduce((sum, { weight }) => sum + weight, 0) / Math.max(1, weighted.length);
  json({
    ...{ queries, expand, saved: (queries - expand) / queries, millisecondsPerQuery },
    ...(expansions !== undefined && { weighted: weighted.length, meanWeight }),
    ...(out === undefined && { decisions }),
    files: { ...(out !== undefined && { decisions: out }), ...(queriesOut !== undefined && { queries: queriesOut }) },
  });
  say(
    `${counted(queries, 'query')}: expand ${expand}, leave ${queries - expand} (${percent((queries - expand) / queries)} of the LLM calls saved)`,
  );
  if (expansions !== undefined) say(`${weighted.length} get a weight above 0, ${meanWeight.toFixed(2)} on average`);
  say(`${millisecondsPerQuery.toFixed(1)} ms per query, with its searches and without writing`);
  if (out !== undefined) say(`wrote ${out}`);
  if (queriesOut !== undefined) say(`wrote ${queriesOut}`);
}
