import { basename } from 'node:path';
import { z } from 'zod';
import { readQrels, readRun } from '../../data/index.ts';
import { type Comparison, toComparison, verdictOn } from '../../evaluate/index.ts';
import {
  compareRuns,
  displayName,
  holmCorrection,
  type QueryChange,
  type Run,
  type RunComparison,
} from '../../measures/index.ts';
import { counted, DEFAULT_SEED } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { sayVerdict } from '../print-comparisons.ts';

const moreRuns = (side: string) =>
  z
    .array(z.string())
    .default([])
    .describe(
      `another run of the same system as RUN_${side}, for example with another seed; each query counts with its mean over these runs`,
    )
    .meta({ valueName: 'FILE' });

const options = z.object({
  runA: z.string().describe('the baseline run, in TREC format'),
  runB: z.string().describe('the run to compare with it, in TREC format'),
  alsoA: moreRuns('A'),
  alsoB: moreRuns('B'),
  qrels: z.string().describe('judgements: BEIR TSV or TREC qrels').meta({ valueName: 'FILE' }),
  measure: z
    .array(z.string())
    .min(1)
    .default(['nDCG@10'])
    .describe('a measure, such as nDCG@10 or ndcg_cut_10')
    .meta({ valueName: 'NAME' }),
  missing: z
    .enum(['refuse', 'zero', 'common'])
    .default('refuse')
    .describe('if a judged query is in only one run: refuse to compare, count it as 0, or compare only common queries'),
  relevanceLevel: z.coerce.number().int().min(1).default(1).describe('lowest grade that counts as relevant'),
  samples: z.coerce.number().int().min(100).max(10_000_000).default(10_000).describe('samples of the resampling tests'),
  seed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of the resampling tests'),
  top: z.coerce.number().int().min(0).default(5).describe('how many of the most helped and most hurt queries to list'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

/** A comparison with its p values corrected for the number of measures compared. */
interface Corrected extends RunComparison {
  tTestHolm: number;
  randomizationHolm: number;
}

export const command = defineCommand({
  name: 'compare',
  summary: 'compare two runs query by query, with paired tests',
  description:
    "Reports both means, their difference with a bootstrap interval, the p values of Student's paired t-test and of the " +
    'paired randomisation test (both two-sided), how many queries were helped and hurt, and which changed most. With ' +
    "several measures, the p values are also reported with Holm's correction.",
  arguments: [
    { key: 'runA', required: true },
    { key: 'runB', required: true },
  ],
  options,
  examples: [
    ['llm-qe compare raw.trec expanded.trec --qrels qrels/test.tsv', 'nDCG@10 of the second run against the first'],
    [
      'llm-qe compare raw.trec expanded.trec --qrels qrels/test.tsv --measure nDCG@10 --measure Recall@100 --missing zero',
      'two measures; a query missing from one run counts as 0',
    ],
    [
      'llm-qe compare zero-1.trec dpo-1.trec --also-a zero-2.trec --also-b dpo-2.trec --qrels qrels/test.tsv',
      'two systems with two seeds each: each query counts with its mean over the seeds',
    ],
  ],
  async run({ runA, runB, alsoA, alsoB, qrels, measure, top, ...settings }, context) {
    const measures = [...new Set(measure.map(displayName))];
    const judgements = await readQrels(qrels);
    const [a, b] = [await readRuns([runA, ...alsoA]), await readRuns([runB, ...alsoB])];
    const comparisons = correct(measures.map((name) => compareRuns(judgements, a, b, { ...settings, measure: name })));
    context.json({
      ...{ runA, runB, alsoA, alsoB },
      queries: comparisons[0]!.queries,
      missing: { policy: settings.missing, a: comparisons[0]!.missingInA.length, b: comparisons[0]!.missingInB.length },
      comparisons: comparisons.map((comparison) => toDocument(comparison, top, comparisons.length > 1)),
    });
    const names = { arm: 'B', baseline: 'A' };
    const { say } = context;
    sayQueries(comparisons[0]!, settings.missing, context);
    for (const comparison of comparisons) {
      say('');
      sayVerdict(judgeable(comparison, names, comparisons.length > 1), context.say);
      sayMeans(comparison, [nameOf(runA, alsoA), nameOf(runB, alsoB)], context);
      sayTests(comparison, comparisons.length > 1, context);
      sayMovers(comparison, top, context);
    }
  },
});

async function readRuns(files: readonly string[]): Promise<Run[]> {
  const runs: Run[] = [];
  for (const file of files) runs.push(await readRun(file));
  return runs;
}

function nameOf(file: string, more: readonly string[]): string {
  return `${basename(file)}${more.length === 0 ? '' : ` and ${more.length} more`}`;
}

function correct(comparisons: RunComparison[]): Corrected[] {
  const tTest = holmCorrection(comparisons.map((comparison) => comparison.tTest.p));
  const randomization = holmCorrection(comparisons.map((comparison) => comparison.randomization.p));
  return comparisons.map((comparison, place) => ({
    ...comparison,
    tTestHolm: tTest[place]!,
    randomizationHolm: randomization[place]!,
  }));
}

/** Converts a comparison to the form that a verdict needs. With several measures, the verdict uses the corrected p. */
function judgeable(comparison: Corrected, names: { arm: string; baseline: string }, several: boolean): Comparison {
  const flat = toComparison({ ...names, measure: comparison.measure }, comparison);
  return several ? { ...flat, holm: comparison.randomizationHolm } : flat;
}

function toDocument(comparison: Corrected, top: number, several: boolean) {
  const { measure, meanA, meanB, delta, tTest, randomization, interval, helped, hurt, unchanged } = comparison;
  return {
    measure,
    meanA,
    meanB,
    delta,
    tTest: { t: tTest.t, df: tTest.df, p: tTest.p, pHolm: comparison.tTestHolm },
    randomization: { p: randomization.p, pHolm: comparison.randomizationHolm, exact: randomization.exact },
    interval: { low: interval.low, high: interval.high, confidence: interval.confidence },
    helped,
    hurt,
    unchanged,
    verdict: verdictOn(judgeable(comparison, { arm: 'B', baseline: 'A' }, several)),
    gains: largestGains(comparison, top),
    losses: largestLosses(comparison, top),
  };
}

function largestGains({ changes, helped }: RunComparison, top: number): QueryChange[] {
  return changes.slice(0, Math.min(top, helped));
}

/** The largest loss first. */
function largestLosses({ changes, hurt }: RunComparison, top: number): QueryChange[] {
  return changes.slice(changes.length - Math.min(top, hurt)).reverse();
}

function sayQueries({ queries, missingInA, missingInB }: RunComparison, policy: string, { say }: CommandContext): void {
  const differing = missingInA.length + missingInB.length;
  const treatment = policy === 'zero' ? 'counted as 0' : 'skipped';
  const note = `judged queries missing from run A: ${missingInA.length}, from run B: ${missingInB.length}`;
  say(`${counted(queries, 'query')}${differing === 0 ? '' : ` (${note}; ${treatment})`}`);
}

function sayMeans(comparison: RunComparison, runs: [string, string], { say }: CommandContext): void {
  const { measure, meanA, meanB, delta, interval } = comparison;
  const relative = meanA === 0 ? '' : ` (${signed((100 * delta) / meanA, 1)} %)`;
  const percent = `${Math.round(interval.confidence * 100)} %`;
  say(measure);
  say(`  A              ${meanA.toFixed(4)}  ${runs[0]}`);
  say(`  B              ${meanB.toFixed(4)}  ${runs[1]}`);
  say(
    `  B - A         ${signed(delta)}${relative}, ${percent} interval ${signed(interval.low)} to ${signed(interval.high)}`,
  );
}

function sayTests(comparison: Corrected, several: boolean, { say }: CommandContext): void {
  const { tTest, randomization, helped, hurt, unchanged } = comparison;
  const corrected = (p: number) => (several ? `, with Holm's correction ${formatP(p)}` : '');
  const draws = randomization.exact ? 'exact' : `${randomization.samples} draws`;
  say(`  t-test         p ${formatP(tTest.p)}${corrected(comparison.tTestHolm)}`);
  say(`  randomisation  p ${formatP(randomization.p)}${corrected(comparison.randomizationHolm)} (${draws})`);
  say(`  queries        ${helped} helped, ${hurt} hurt, ${unchanged} unchanged`);
}

function sayMovers(comparison: RunComparison, top: number, { say }: CommandContext): void {
  const movers = [
    { what: 'gained most', changes: largestGains(comparison, top) },
    { what: 'lost most', changes: largestLosses(comparison, top) },
  ];
  for (const { what, changes } of movers) {
    if (changes.length > 0) say(`  ${what}`);
    for (const { query, a, b, delta } of changes) {
      say(`    ${signed(delta)}  ${a.toFixed(4)} -> ${b.toFixed(4)}  ${query}`);
    }
  }
}

function signed(value: number, digits = 4): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(digits)}`;
}

function formatP(p: number): string {
  return p >= 0.0001 ? p.toFixed(4) : p.toExponential(1);
}
