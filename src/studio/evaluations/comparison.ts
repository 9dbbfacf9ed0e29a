import { type Comparison, type QueryValues, toComparison, verdictOn } from '../../evaluate/index.ts';
import { compareValues, countEffects, rankBiasedOverlap } from '../../measures/index.ts';
import { divideQueries } from '../../suites/index.ts';
import type { QueryComparison, QueryEffect, QuerySlice } from '../shapes/queries.ts';
import { type Asked, type Chosen, choose } from './choose.ts';
import { codeFor, commandFor } from './command.ts';
import type { OpenEvaluation } from './open-evaluation.ts';

export interface OverlapOptions {
  persistence: number;
  depth: number;
}

/** Two arms, query by query, in the order in which they were evaluated. */
export interface ComparedQueries {
  ids: string[];
  /** Undefined without judgements. */
  values: { before: number[]; after: number[] } | undefined;
}

/** The queries that count: those of the record, or else those that are judged. One that an arm found nothing for counts as 0. */
export async function comparedQueries(evaluation: OpenEvaluation, { a, b, measure }: Chosen): Promise<ComparedQueries> {
  const queries = await evaluation.queries([a, b]);
  const [inA, inB] = [await evaluation.values(a, measure), await evaluation.values(b, measure)];
  if (inA === undefined || inB === undefined) return { ids: queries, values: undefined };
  const { qrels } = evaluation;
  const ids = queries.filter((id) => inA.has(id) || inB.has(id) || (qrels?.get(id)?.size ?? 0) > 0);
  if (ids.length === 0) return { ids: queries, values: undefined };
  const listOf = (values: QueryValues) => ids.map((id) => values.get(id) ?? 0);
  return { ids, values: { before: listOf(inA), after: listOf(inB) } };
}

/** Two arms of an evaluation, as the screen shows them. */
export async function compareQueriesOf(
  evaluation: OpenEvaluation,
  asked: Asked,
  overlap: OverlapOptions,
): Promise<QueryComparison> {
  const chosen = choose(evaluation, asked);
  const { ids, values } = await comparedQueries(evaluation, chosen);
  const texts = ids.map((id) => evaluation.textOf(id));
  const overlaps = await overlapsOf(evaluation, chosen, ids, overlap);
  return {
    evaluation: evaluation.source.id,
    arms: evaluation.files.arms.map(({ name, description }) => ({ name, description })),
    ...{ ...chosen, measures: evaluation.measures, ids, texts },
    ...{ before: values?.before ?? null, after: values?.after ?? null, overlap: overlaps ?? null, ...overlap },
    effect: values === undefined ? null : effectOf(values, chosen, evaluation.files.seed),
    slices: values === undefined ? [] : slicesOf(texts, values),
    ...{ command: commandFor(evaluation, chosen) ?? null, code: codeFor(evaluation, chosen) ?? null },
    notes: notesOn(evaluation, values !== undefined, overlaps !== undefined, texts),
  };
}

/** The comparison as tables and reports hold it. */
export function comparisonOf(
  { before, after }: NonNullable<ComparedQueries['values']>,
  { a, b, measure }: Chosen,
  seed: number,
): { comparison: Comparison; meanA: number; meanB: number } {
  const compared = compareValues(before, after, { seed });
  const { meanA, meanB } = compared;
  return { comparison: toComparison({ arm: b, baseline: a, measure }, compared), meanA, meanB };
}

function effectOf(values: NonNullable<ComparedQueries['values']>, chosen: Chosen, seed: number): QueryEffect {
  const { comparison, meanA, meanB } = comparisonOf(values, chosen, seed);
  const { delta, interval, randomization, tTest, helped, hurt, unchanged } = comparison;
  const { kind, words, reason } = verdictOn(comparison);
  return {
    ...{ meanA, meanB, delta, interval, randomization, tTest, helped, hurt, unchanged },
    verdict: { kind, words, reason },
  };
}

function slicesOf(texts: readonly string[], { before, after }: NonNullable<ComparedQueries['values']>): QuerySlice[] {
  const queries = texts.map((text, row) => ({ text, row }));
  return divideQueries(queries).map(({ kind, name, members }) => {
    const rows = members.map(({ row }) => row);
    const mean = (values: readonly number[]) => rows.reduce((sum, row) => sum + values[row]!, 0) / rows.length;
    const { helped, hurt } = countEffects(rows.map((row) => after[row]! - before[row]!));
    return { kind, name, before: mean(before), after: mean(after), helped, hurt, rows };
  });
}

async function overlapsOf(
  evaluation: OpenEvaluation,
  { a, b }: Chosen,
  ids: readonly string[],
  { persistence: p, depth }: OverlapOptions,
): Promise<number[] | undefined> {
  if ((await evaluation.run(a)) === undefined || (await evaluation.run(b)) === undefined) return undefined;
  const overlaps: number[] = [];
  for (const id of ids) {
    const [one, other] = [await evaluation.ranking(a, id), await evaluation.ranking(b, id)];
    const first = (hits: typeof one) => hits.slice(0, depth).map((hit) => hit.id);
    overlaps.push(rankBiasedOverlap(first(one), first(other), { p, depth }));
  }
  return overlaps;
}

function notesOn(evaluation: OpenEvaluation, isJudged: boolean, isRanked: boolean, texts: readonly string[]): string[] {
  const { dataset } = evaluation.files;
  const named = dataset.name === '' ? 'The data set' : `The data set ${dataset.name}`;
  const notes: string[] = [];
  if (evaluation.set === undefined) {
    notes.push(
      `${named} is not at hand: start the studio with --corpus FOLDER to see its documents and all judgements.`,
    );
  }
  if (!isJudged) notes.push('There are no judgements, so only the rankings are compared.');
  if (!isRanked) notes.push('The run of an arm was not kept, so the rankings cannot be compared.');
  if (texts.some((text) => text === ''))
    notes.push('The texts of some queries are not known; their ids stand for them.');
  return notes;
}
