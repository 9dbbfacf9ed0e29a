import { join } from 'node:path';
import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import { type DevTopics, gateExamples, loadDevTopics } from '../../evaluate/index.ts';
import {
  fewestQueries,
  GATE_FORMAT,
  type GateData,
  type GateExample,
  type HarmControl,
  holdOut,
  learnSafeGate,
  madeFor,
  writeGateFile,
} from '../../gate/index.ts';
import { percent, pValue, readExpansionFacts } from '../../report/index.ts';
import { CorpusSearch, combinationOf, defaultRetrievalSettings, retrievalSettings } from '../../retrieve/index.ts';
import { counted, packageVersion, throwIfAborted, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles } from '../command-files.ts';
import { crossValidationSeed, sayDevTopics } from '../dev-split-words.ts';
import { harmedTable, policyTable, policyTests } from '../print-policies.ts';
import { openRemembering } from '../remembering-search.ts';

/** The gate gives the weight, so alpha is what always expanding is compared with. */
const { alpha: _alpha, queryRepeats: _queryRepeats, ...searching } = retrievalSettings;

/** The measure that a gate maximises. */
const MEASURE = 'nDCG@10';

/** Weights that a gate may give in a dense search. */
const DENSE_WEIGHTS = [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
/** A lexical search expands or does not. */
const LEXICAL_WEIGHTS = [0, 1];
const PROBE = 0.5;
/** With fewer queries in all, a gate is not to be trusted. */
const FEWEST_QUERIES = 50;

const options = z.object({
  further: z.array(z.string()).default([]).describe('further data sets: the same as repeating --dataset'),
  dataset: z
    .array(z.string())
    .min(1)
    .describe("folder of a data set, in BEIR's layout, whose development queries the gate learns from")
    .meta({ valueName: 'DIR' }),
  expansions: z
    .array(z.string())
    .default([])
    .describe(
      'file with expansions of its development queries, one for each data set, in their order (default: expansions.jsonl in each data set)',
    )
    .meta({ valueName: 'FILE' }),
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('search method; rrf fuses the other two'),
  devSplit: z
    .array(z.string())
    .default([])
    .describe(
      'split to learn from, once for all data sets or once for each, in their order (default: dev; the training split if there is none; never test)',
    )
    .meta({ valueName: 'NAME' }),
  ...searching,
  harmAtMost: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe(
      'share of queries that the gate may make worse, with 95 % confidence; half of the queries then test its threshold, and nothing is learned from them',
    )
    .meta({ valueName: 'SHARE' }),
  seed: crossValidationSeed,
  out: z.string().default('gate.json').describe('file for `llm-qe evaluate --gate`').meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

/** Data sets, the files with their expansions, and the splits. @throws UsageError if their numbers differ, or a data set is named twice */
function pairsOf({
  dataset,
  further,
  expansions,
  devSplit,
}: Pick<Options, 'dataset' | 'further' | 'expansions' | 'devSplit'>) {
  const folders = [...dataset, ...further];
  if (expansions.length > 0 && expansions.length !== folders.length) {
    throw new UsageError(
      `${counted(expansions.length, 'file')} of expansions for ${counted(folders.length, 'data set')}`,
      {
        fix: 'Pass --expansions once for each --dataset, in the same order, or not at all.',
      },
    );
  }
  if (devSplit.length > 1 && devSplit.length !== folders.length) {
    throw new UsageError(`${counted(devSplit.length, 'split')} for ${counted(folders.length, 'data set')}`, {
      fix: 'Pass --dev-split once for all data sets, or once for each --dataset, in the same order.',
    });
  }
  return folders.map((folder, at) => {
    const split = devSplit.length === 1 ? devSplit[0] : devSplit[at];
    return { folder, split, file: expansions[at] ?? join(folder, 'expansions.jsonl') };
  });
}

export const command = defineCommand({
  name: 'gate train',
  summary: 'learn when, and how much, to expand a query',
  description:
    'Learns from development queries of one or more data sets whose expansions were written before. The gate decides twice: before\nwriting, which saves calls of the LLM, and after writing, on the weight of the expansions. For each data set, a gate that\nlearned from the others is tried on it; the table shows what it reaches there beside never and always expanding, the best\nconstant weight, and an oracle.',
  arguments: [{ key: 'further', required: false, variadic: true }],
  options,
  examples: [
    ['llm-qe gate train --dataset data/a --dataset data/b --dataset data/c --out gate.json', 'from three data sets'],
    [
      'llm-qe gate train --dataset data/a --dataset data/b --harm-at-most 0.05',
      'at most 5 % of the queries made worse, with 95 % confidence',
    ],
    [
      'llm-qe gate train --dataset data/a --expansions a-dev/expansions.jsonl --retriever bm25',
      'from one data set, for BM25',
    ],
    ['llm-qe evaluate --dataset data/d --expansions expansions.jsonl --gate gate.json', 'how it does on other queries'],
  ],
  files(given) {
    const pairs = given.dataset.length === 0 ? [] : pairsOf(given);
    const each = pairs.map(({ folder }) => datasetFiles(folder));
    return {
      inputs: {
        ...Object.assign({}, ...each.map(({ inputs }, at) => renamed(inputs, pairs[at]!.folder))),
        ...Object.fromEntries(pairs.map(({ file, folder }) => [`the expansions of ${folder}`, file])),
        ...modelFiles('--encoder', given.encoder),
      },
      inputFolders: Object.assign({}, ...each.map(({ inputFolders }, at) => renamed(inputFolders, pairs[at]!.folder))),
      outputs: { '--out': given.out },
    };
  },
  async run(given, context) {
    const collections = await openCollections(given, context);
    warnOfFewQueries(collections, context);
    const settings = { ...defaultRetrievalSettings(), ...given };
    const encoder = await openRemembering(
      given.retriever,
      collections.map(({ dataset }) => dataset),
      settings,
      context,
    );
    try {
      const weights = given.retriever === 'bm25' ? LEXICAL_WEIGHTS : DENSE_WEIGHTS;
      const examples: GateExample[] = [];
      let made: GateData['madeFor'] | undefined;
      for (const { dataset, file, dev } of collections) {
        const { queryRepeats } = await combinationOf(file);
        const search = new CorpusSearch(dataset, { ...settings, queryRepeats }, { ...context, encoder });
        try {
          const { signal } = context;
          const { retriever: kind, depth, keepSelf } = given;
          const found = await gateExamples(search, dev.topics, {
            kind,
            weights,
            probe: PROBE,
            measure: MEASURE,
            depth,
            keepSelf,
            signal,
          });
          examples.push(...found);
          made ??= madeFor(await search.retriever(kind));
        } finally {
          await search.close();
        }
      }
      throwIfAborted(context.signal);
      const gate = await train(examples, { collections, weights, made: made! }, given);
      await writeGateFile(given.out, gate);
      context.json({ ...gate, file: given.out });
      if (!given.json) print(gate, given, context);
    } finally {
      await encoder?.close();
    }
  },
});

interface Collection {
  dataset: BeirDataset;
  file: string;
  dev: DevTopics;
}

async function openCollections(given: Options, context: CommandContext): Promise<Collection[]> {
  const collections: Collection[] = [];
  for (const { folder, file, split } of pairsOf(given)) {
    const dataset = await BeirDataset.open(folder);
    if (collections.some((one) => one.dataset.name === dataset.name)) {
      throw new UsageError(`two data sets are called ${dataset.name}`, {
        file: folder,
        fix: 'Name each data set once; rename one of two folders with the same name.',
      });
    }
    const dev = await loadDevTopics(dataset, file, split);
    sayDevTopics(dev, dataset.name, context);
    collections.push({ dataset, file, dev });
  }
  return collections;
}

function warnOfFewQueries(collections: readonly Collection[], { warn }: CommandContext): void {
  const queries = collections.reduce((sum, { dev }) => sum + dev.topics.queries.length, 0);
  if (queries >= FEWEST_QUERIES) return;
  warn(
    `only ${queries} training ${queries === 1 ? 'query' : 'queries'}: the gate is not to be trusted; train it with ${FEWEST_QUERIES} or more`,
  );
}

async function train(
  examples: readonly GateExample[],
  {
    collections,
    weights,
    made,
  }: { collections: readonly Collection[]; weights: readonly number[]; made: GateData['madeFor'] },
  { seed, retriever, harmAtMost }: Options,
): Promise<GateData> {
  const writers = new Set<string>();
  for (const { file } of collections) writers.add((await readExpansionFacts(file))?.generator ?? 'unknown');
  const always = retriever === 'bm25' ? 1 : await alwaysWeight(collections[0]!.file, weights);
  return {
    ...{ kind: 'gate', format: GATE_FORMAT, version: packageVersion(), measure: MEASURE, seed },
    ...{ madeFor: made, writers: [...writers], weights: [...weights], probe: PROBE },
    trainedOn: collections.map(({ dataset, dev }) => ({
      ...{ dataset: dataset.name, split: dev.split, queries: dev.topics.queries.length },
      ...(dev.reason !== undefined && { reason: dev.reason }),
    })),
    ...learnSafeGate(examples, { weights, seed, harmAtMost }),
    heldOut: holdOut(examples, { weights, always, seed, harmAtMost }),
  };
}

/** The weight with which the expansions are combined without a gate, as near as the weights have it. */
async function alwaysWeight(file: string, weights: readonly number[]): Promise<number> {
  const { alpha } = await combinationOf(file);
  const wanted = typeof alpha === 'number' ? alpha : PROBE;
  return weights.reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best));
}

function renamed(files: Record<string, string | undefined>, folder: string): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [`${name} (${folder})`, file]));
}

function print(gate: GateData, { retriever, out }: Options, { say }: CommandContext): void {
  const { heldOut, policy, constant, trainedOn, harm } = gate;
  say(
    trainedOn.length > 1
      ? 'each data set left out, by a gate that learned from the others:'
      : 'ten parts of the data set, each left out (this says nothing of other data sets):',
  );
  say(
    policyTable(
      heldOut.map(({ collection, ...report }) => [collection, report]),
      gate.measure,
    ),
  );
  say('');
  say(policyTests(heldOut.map(({ collection, ...report }) => [collection, report])));
  say('');
  say(harmedTable(heldOut.map(({ collection, ...report }) => [collection, report])));
  say('');
  say(policyInWords(policy, constant, retriever));
  if (harm !== undefined) say(harmInWords(harm));
  say(`wrote ${out}`);
}

function policyInWords(
  { writeFrom, weightFrom, ramp, highest }: GateData['policy'],
  constant: number,
  retriever: string,
): string {
  const best = `best constant weight on the training queries: ${constant}`;
  if (writeFrom > 1 || weightFrom > 1) return `The gate learned never to expand (${best}).`;
  const rise = ramp === 0 ? '' : `, rising over ${ramp}`;
  const what = retriever === 'bm25' ? 'expands' : `gives weight ${highest}`;
  return `The gate asks the LLM only if the probability of a gain is at least ${writeFrom}, and ${what} only if it is then at least ${weightFrom}${rise} (${best}).`;
}

/** What limits the harm, and what that says. */
function harmInWords({ atMost, queries, tested, isStricter }: HarmControl): string {
  const limit = `${percent(atMost)} of the queries`;
  const tests = `Learn then Test on ${counted(queries, 'query')} that nothing was learned from`;
  const [passed, failed] = [tested.filter(({ p }) => p <= 0.05).at(-1), tested.find(({ p }) => p > 0.05)];
  const fewest = fewestQueries(atMost);
  if (tested.length === 0) return `It harms no query, so no more than ${limit}.`;
  if (queries < fewest) {
    return `It never expands: to show that at most ${limit} are harmed takes ${fewest} queries or more that nothing was learned from, and there are ${queries}.`;
  }
  const why = failed && `; from ${failed.weightFrom} on, ${failed.harmed} would be harmed, p ${pValue(failed.p)}`;
  if (passed === undefined) return `It never expands, so that at most ${limit} are harmed (${tests}${why}).`;
  const stricter = isStricter ? ', with a stricter threshold than it learned' : '';
  return `With 95 % confidence it harms at most ${limit} drawn as these${stricter} (${tests}: ${passed.harmed} harmed, p ${pValue(passed.p)}${why ?? ''}).`;
}
