import { z } from 'zod';
import { readQrels, readRun } from '../../data/index.ts';
import {
  ALL_MEASURES,
  CUTOFFS,
  evaluateRun,
  parseMeasure,
  type RunEvaluation,
  trecName,
} from '../../measures/index.ts';
import { counted } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';

const options = z.object({
  qrels: z.string().describe('judgements: BEIR TSV or TREC qrels').meta({ valueName: 'FILE' }),
  run: z.string().describe('run in TREC format').meta({ valueName: 'FILE' }),
  measure: z
    .array(z.string())
    .default([])
    .describe('a measure, such as nDCG@10 or ndcg_cut_10 (default: all measures)')
    .meta({ valueName: 'NAME' }),
  perQuery: z.boolean().default(false).describe('also print the values of each query'),
  complete: z.boolean().default(false).describe('average over all judged queries: one that the run lacks counts as 0'),
  relevanceLevel: z.coerce.number().int().min(1).default(1).describe('lowest grade that counts as relevant'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'score',
  summary: 'score a run against judgements, exactly as trec_eval does',
  description:
    'Reads scores as 32-bit floats, and breaks ties by descending document id. By default, the averages are over the ' +
    'queries that are in both files; with --complete, over all judged queries.',
  options,
  examples: [
    ['llm-qe score --qrels qrels/test.tsv --run run.trec', 'all measures'],
    ['llm-qe score --qrels qrels/test.tsv --run run.trec --measure nDCG@10 --per-query', 'one measure, query by query'],
    ['llm-qe score --qrels qrels/test.tsv --run run.trec --json', "JSON, with trec_eval's names"],
  ],
  async run({ qrels, run, measure, perQuery, complete, relevanceLevel }, context) {
    const measures = measure.length === 0 ? ALL_MEASURES : [...new Set(measure.map(trecName))];
    const judgements = await readQrels(qrels);
    const result = evaluateRun(judgements, await readRun(run), { measures, complete, relevanceLevel });
    context.json({
      all: result.mean,
      perQuery: perQuery ? Object.fromEntries(result.perQuery) : {},
      queries: result.queries,
      missing: result.missing.length,
      unjudged: result.unjudged.length,
      complete,
    });
    context.say(describeQueries(result));
    if (perQuery) sayPerQuery(result, measures, context);
    for (const line of measure.length === 0 ? formatGrid(result.mean) : formatList(result.mean)) context.say(line);
  },
});

/** Describes which queries the averages cover: the one reason why two correct evaluations of a run can disagree. */
function describeQueries({ queries, missing, unjudged, complete }: RunEvaluation): string {
  const notes = [];
  if (missing.length > 0) {
    notes.push(`${missing.length} judged but not in the run: ${complete ? 'counted as 0' : 'skipped'}`);
  }
  if (unjudged.length > 0) notes.push(`${unjudged.length} in the run but not judged: skipped`);
  return `${counted(queries, 'query')}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`;
}

/** A line for each query and measure, as `trec_eval -q` prints them. */
function sayPerQuery({ perQuery }: RunEvaluation, measures: readonly string[], { say }: CommandContext): void {
  for (const [query, values] of perQuery) {
    for (const name of measures) say(`${name.padEnd(22)}\t${query}\t${format(name, values[name]!)}`);
  }
}

function formatList(mean: Record<string, number>): string[] {
  return Object.entries(mean).map(([name, value]) => `${name.padEnd(22)}\tall\t${format(name, value)}`);
}

/** Lays out the measures as a grid: one row per family, one column per cutoff. */
function formatGrid(mean: Record<string, number>): string[] {
  const grid = new Map<string, Map<number, string>>();
  for (const [name, value] of Object.entries(mean)) {
    const { displayName, cutoff } = parseMeasure(name);
    const family = displayName.replace(/@\d+$/, '');
    const row = grid.get(family) ?? new Map<number, string>();
    grid.set(family, row.set(cutoff, format(name, value)));
  }
  const columns = [...CUTOFFS, Number.POSITIVE_INFINITY];
  const header = columns.map((k) => (Number.isFinite(k) ? `@${k}` : 'all').padStart(9)).join('');
  const lines = [`${''.padEnd(12)}${header}`];
  for (const [family, row] of grid) {
    const cells = columns.map((k) => (row.get(k) ?? '').padStart(9)).join('');
    lines.push(`${family.padEnd(12)}${cells}`.trimEnd());
  }
  return lines;
}

function format(name: string, value: number): string {
  return parseMeasure(name).summed ? String(value) : value.toFixed(4);
}
