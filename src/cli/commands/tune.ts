import { join } from 'node:path';
import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import {
  combinationInWords,
  type DevTopics,
  loadDevTopics,
  type TunedPoint,
  type Tuning,
  tuneCombination,
  verdictOn,
  writeTunedFile,
} from '../../evaluate/index.ts';
import { madeFor } from '../../gate/index.ts';
import { readExpansionFacts } from '../../report/index.ts';
import { CorpusSearch, defaultRetrievalSettings, retrievalSettings } from '../../retrieve/index.ts';
import { counted, packageVersion, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { datasetFiles, modelFiles } from '../command-files.ts';
import { warnOfDefaultWriter } from '../default-writer.ts';
import { crossValidationSeed, sayDevTopics } from '../dev-split-words.ts';
import { numberList } from '../number-list.ts';
import { comparisonTable } from '../print-comparisons.ts';
import { formatTable } from '../table.ts';
import { textPlot } from '../text-plot.ts';

/** What is tuned, and so not set. */
const { alpha: _alpha, queryRepeats: _queryRepeats, ...searching } = retrievalSettings;

const DEFAULT_ALPHAS = Array.from({ length: 11 }, (_none, at) => at / 10);
const DEFAULT_REPEATS = [1, 2, 5, 10, 20];
const MOST_TEXTS = 1000;

/** Combinations in the table; the JSON and the file hold all. */
const SHOWN = 10;

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  expansions: z
    .string()
    .optional()
    .describe(
      'file with expansions of the development queries, or of a sample of them (default: expansions.jsonl in the data set)',
    )
    .meta({ valueName: 'FILE' }),
  retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('search method; rrf fuses the other two'),
  devSplit: z
    .string()
    .optional()
    .describe('split to tune on (default: dev; the training split if there is none; never test)')
    .meta({ valueName: 'NAME' }),
  alphas: numberList({ from: 0, to: 1, what: 'weights' })
    .default(DEFAULT_ALPHAS)
    .describe('weights of the expansions to try, for dense and rrf')
    .meta({ valueName: 'LIST' }),
  samples: numberList({ from: 1, to: MOST_TEXTS, what: 'numbers of expansions' })
    .optional()
    .describe('numbers of expansions per query to try (default: 1, 2, 4, 8 and so on, to as many as there are)')
    .meta({ valueName: 'LIST' }),
  repeats: numberList({ from: 1, to: MOST_TEXTS, what: 'numbers of repeats' })
    .default(DEFAULT_REPEATS)
    .describe('how often BM25 may repeat the query before its expansions, for bm25 and rrf')
    .meta({ valueName: 'LIST' }),
  measure: z.string().default('nDCG@10').describe('the measure to maximise').meta({ valueName: 'NAME' }),
  ...searching,
  seed: crossValidationSeed,
  out: z.string().default('tuned.json').describe('file for `llm-qe evaluate --tuned`').meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

const fileOf = ({ dataset, expansions }: Pick<Options, 'dataset' | 'expansions'>) =>
  expansions ?? join(dataset, 'expansions.jsonl');

export const command = defineCommand({
  name: 'tune',
  summary: 'choose alpha, the number of expansions and the query repeats on development queries',
  description:
    'Tries all combinations on the development queries, by one embedding of each text and one pass over the corpus, and writes the\nbest one. Among equally good combinations, it takes the one that trusts the expansions least; raw queries are always among the\nchoices. The gain on the queries that the choice was made on is too good to be true: the cross-validated gain beside it is what\nnew queries may show.',
  options,
  examples: [
    [
      'llm-qe tune --dataset data/scifact --expansions dev/expansions.jsonl',
      'alpha and the number of expansions, dense',
    ],
    [
      'llm-qe evaluate --dataset data/scifact --expansions expansions.jsonl --tuned tuned.json',
      'the test queries with what was chosen',
    ],
    ['llm-qe tune --dataset data/scifact --retriever bm25 --repeats 1,3,5', 'query repeats of BM25'],
  ],
  files(given) {
    const { inputs, inputFolders } = datasetFiles(given.dataset);
    return {
      inputs: { ...inputs, '--expansions': fileOf(given), ...modelFiles('--encoder', given.encoder) },
      inputFolders,
      outputs: { '--out': given.out },
    };
  },
  async run(given, context) {
    const dataset = await BeirDataset.open(given.dataset);
    const file = fileOf(given);
    const dev = await loadDevTopics(dataset, file, given.devSplit);
    sayDevTopics(dev, dataset.name, context);
    refuseMoreTexts(given, dev.mostTexts, file);
    warnOfDefaultWriter(await readExpansionFacts(file), dataset, context);
    const settings = { ...defaultRetrievalSettings(), ...given };
    const search = new CorpusSearch(dataset, settings, { signal: context.signal, progress: context.progress });
    try {
      const tuning = await tuneCombination(search, dev.topics, {
        ...{ kind: given.retriever, alphas: given.alphas, queryRepeats: given.repeats },
        texts: given.samples ?? doublings(dev.mostTexts),
        ...{ measure: given.measure, depth: given.depth, keepSelf: given.keepSelf, seed: given.seed },
        signal: context.signal,
      });
      const found = {
        ...{ version: packageVersion(), dataset: dataset.name, split: dev.split, queries: dev.topics.queries.length },
        ...{ measure: given.measure, seed: given.seed },
        madeFor: madeFor(await search.retriever(given.retriever)),
        ...tuning,
      };
      await writeTunedFile(given.out, found);
      context.json({ ...found, reason: dev.reason, file: given.out });
      if (!given.json) print(tuning, dev, given, context);
    } finally {
      await search.close();
    }
  },
});

/** @throws UsageError for a number of expansions that no query has */
function refuseMoreTexts({ samples = [] }: Options, most: number, file: string): void {
  const tooMany = samples.find((one) => one > most);
  if (tooMany === undefined) return;
  throw new UsageError(`--samples ${tooMany}: a query has at most ${counted(most, 'expansion')}`, {
    file,
    fix: `Pass numbers up to ${most}, or omit --samples; \`llm-qe expand --samples\` writes more.`,
  });
}

/** 1, 2, 4, 8 and so on, and the number itself. */
function doublings(most: number): number[] {
  const numbers: number[] = [];
  for (let one = 1; one < most; one *= 2) numbers.push(one);
  return [...numbers, Math.max(1, most)];
}

function print(tuning: Tuning, { topics }: DevTopics, given: Options, { say }: CommandContext): void {
  const { best, points, inSample, crossValidated, chosenByParts } = tuning;
  say(`${topics.dataset}, ${topics.split} split, ${counted(topics.queries.length, 'query')}, ${given.retriever}`);
  say(tableOf(points, given.measure));
  say('');
  say(curveOf(tuning, given));
  say('');
  say(`best: ${combinationInWords(best)}`);
  say(comparisonTable([inSample, crossValidated]));
  say(
    `tuned: on the queries it was chosen on. Cross-validated: each query by the other parts (${verdictOn(crossValidated).words}).`,
  );
  if (chosenByParts.length > 1) {
    say(`The parts chose differently: ${chosenByParts.map(combinationInWords).join('; ')}.`);
  }
  say(`wrote ${given.out}`);
}

/** The best combinations, and the raw queries. */
function tableOf(points: readonly TunedPoint[], measure: string): string {
  const [raw] = points;
  const ranked = points.slice(1).sort((a, b) => b.value - a.value);
  const rows = [raw!, ...ranked.slice(0, SHOWN)].map((point) => [combinationInWords(point), point.value.toFixed(4)]);
  return formatTable(['', measure], rows);
}

/** The measure by alpha, or by query repeats for BM25, at the best number of expansions (and repeats). */
function curveOf({ best, points }: Tuning, { retriever, measure }: Options): string {
  const like = best.texts > 0 ? best : points.slice(1).reduce((one, other) => (other.value > one.value ? other : one));
  const isLexical = retriever === 'bm25';
  const chosen = points.filter((point) => {
    if (point.texts === 0) return true;
    return point.texts === like.texts && (isLexical || point.queryRepeats === like.queryRepeats);
  });
  const labelled = chosen.map((point) => {
    const label = point.texts === 0 ? 'raw' : isLexical ? `x ${point.queryRepeats}` : String(point.alpha);
    return { label, value: point.value };
  });
  const fixed = [
    counted(like.texts, 'expansion'),
    !isLexical && like.queryRepeats && `query repeats ${like.queryRepeats}`,
  ];
  const by = isLexical ? 'query repeats' : 'alpha';
  return textPlot(`${measure} by ${by} (${fixed.filter((one) => typeof one === 'string').join(', ')})`, labelled);
}
