import { VERDICT_THRESHOLDS, verdictOn } from '../../evaluate/index.ts';
import {
  bootstrapInterval,
  compareValues,
  evaluateRun,
  type Qrels,
  type Run,
  type ScoredDocument,
} from '../../measures/index.ts';
import { counted } from '../../system/index.ts';
import type { ArmFigures, JudgeFigures, PairFigures, RetrieverName } from '../shapes/judge.ts';
import type { PooledArm } from './pool.ts';
import type { JudgingSession } from './session.ts';

const MEASURED_DEPTH = 10;
/** Expansion is not recommended if it hurts this share of the queries or more, whatever it gains on average. */
const MOST_HURT = 1 / 3;
/** Below this share of judged results, the numbers come with a warning. */
const WELL_JUDGED = 0.9;

const NAMES: Record<RetrieverName, string> = { dense: 'dense', bm25: 'BM25', rrf: 'fused' };

/** What the figures need of a session. */
export type Judged = Pick<JudgingSession, 'settings' | 'ledger' | 'readyRows' | 'prepared'>;

/** An arm over all judged queries: its run, and its value for each query. */
interface ScoredArm extends ArmFigures {
  values: number[];
}

/**
 * What a judge's grades say of the arms so far. Queries with at least one grade count. A result without a grade counts as not
 * relevant, as in trec_eval; how many there are is told as `judged`.
 * @param judge undefined: all judges together, see {@link qrelsOf}
 */
export function figuresOf(session: Judged, judge: string | undefined): JudgeFigures {
  const { settings } = session;
  const depth = Math.min(MEASURED_DEPTH, settings.depth);
  const measure = `nDCG@${depth}`;
  const qrels = qrelsOf(session, judge);
  const rows = session.readyRows.filter((row) => qrels.has(settings.queries[row]!.id));
  const latency = latencyOf(session);
  if (rows.length === 0) return { measure, queries: 0, arms: [], pairs: [], latency, notes: [] };
  const { arms: shape } = session.prepared(rows[0]!);
  const arms = shape.map((_arm, at) => scoreArm(session, rows, at, { qrels, measure, depth }));
  const pairs = arms.flatMap((arm) => {
    const raw = arms.find(({ retriever, isExpanded }) => retriever === arm.retriever && !isExpanded);
    return arm.isExpanded && raw ? [compare(raw, arm, { measure, p95: latency?.p95 })] : [];
  });
  const notes = notesOn(arms, rows.length, session);
  return { measure, queries: rows.length, arms: arms.map(({ values: _, ...arm }) => arm), pairs, latency, notes };
}

/**
 * The grades as judgements of trec_eval. Without a judge those of all: where they differ, the mean, rounded half up.
 */
export function qrelsOf({ ledger, settings, readyRows }: Judged, judge: string | undefined): Qrels {
  const qrels: Qrels = new Map();
  for (const row of readyRows) {
    const all = (judge === undefined ? ledger.judges : [judge]).map((one) => ledger.gradesOf(one, row));
    const documents = [...new Set(all.flatMap((grades) => [...grades.keys()]))].sort();
    if (documents.length === 0) continue;
    const grades = documents.map((document) => {
      const given = all.map((one) => one.get(document)).filter((grade) => grade !== undefined);
      return [document, Math.floor(given.reduce((sum, grade) => sum + grade, 0) / given.length + 0.5)] as const;
    });
    qrels.set(settings.queries[row]!.id, new Map(grades));
  }
  return qrels;
}

function scoreArm(
  session: Judged,
  rows: readonly number[],
  at: number,
  { qrels, measure, depth }: { qrels: Qrels; measure: string; depth: number },
): ScoredArm {
  const idOf = (row: number) => session.settings.queries[row]!.id;
  const arms = rows.map((row) => session.prepared(row).arms[at]!);
  const run: Run = new Map(rows.map((row, place) => [idOf(row), inOrder(arms[place]!.hits)]));
  const { perQuery } = evaluateRun(qrels, run, { measures: [measure], complete: true });
  const values = rows.map((row) => perQuery.get(idOf(row))?.[measure] ?? 0);
  const { low, high } = bootstrapInterval(values);
  const [found, judged] = [countHits(arms, depth), rows.map((row, place) => judgedHits(row, arms[place]!))];
  function judgedHits(row: number, { hits }: PooledArm): number {
    return hits.slice(0, depth).filter(({ id }) => qrels.get(idOf(row))?.has(id)).length;
  }
  const { retriever, isExpanded } = arms[0]!;
  return {
    name: `${NAMES[retriever]}, ${isExpanded ? 'expanded' : 'raw'}`,
    ...{ retriever, isExpanded, values, mean: meanOf(values), interval: [low, high] },
    judged: found === 0 ? 1 : judged.reduce((sum, count) => sum + count, 0) / found,
  };
}

/** Scores that keep the order of the search, ties included: trec_eval would order these by id. */
function inOrder(hits: readonly ScoredDocument[]): ScoredDocument[] {
  return hits.map(({ id }, at) => ({ id, score: hits.length - at }));
}

function countHits(arms: readonly PooledArm[], depth: number): number {
  return arms.reduce((sum, { hits }) => sum + Math.min(hits.length, depth), 0);
}

function compare(
  raw: ScoredArm,
  expanded: ScoredArm,
  { measure, p95 }: { measure: string; p95: number | undefined },
): PairFigures {
  const { delta, interval, randomization, helped, hurt, unchanged } = compareValues(raw.values, expanded.values);
  const range: [number, number] = [interval.low, interval.high];
  const counts = { helped, hurt, unchanged };
  const { kind } = verdictOn({ ...counts, delta, interval: range, randomization: randomization.p, measure });
  const queries = raw.values.length;
  const decision =
    kind === 'few' ? 'too few queries' : isWorth(kind, hurt, queries) ? 'recommended' : 'not recommended';
  const told = { retriever: raw.retriever, ...counts, delta, interval: range, p: randomization.p, decision } as const;
  return { ...told, sentence: sentenceOn({ ...told, queries, kind, mean: raw.mean, measure, p95 }) };
}

/** The rule: a real gain by the project's own verdict (interval above 0, p small enough for the number of queries), and few hurt. */
function isWorth(kind: string, hurt: number, queries: number): boolean {
  return kind === 'gain' && hurt < MOST_HURT * queries;
}

interface Told extends Omit<PairFigures, 'sentence'> {
  queries: number;
  kind: string;
  mean: number;
  measure: string;
  p95: number | undefined;
}

/** Such as `Expansion of dense search helps 31 and hurts 12 of 60 queries: nDCG@10 +4.0 % [+1.1 %, +7.2 %], +180 ms at p95: recommended.` */
function sentenceOn(told: Told): string {
  const { retriever, helped, hurt, queries, measure, p95, decision } = told;
  const time = p95 === undefined ? '' : `, +${timeOf(p95)} at p95`;
  const counts = `Expansion of ${NAMES[retriever]} search helps ${helped} and hurts ${hurt} of ${counted(queries, 'query')}`;
  return `${counts}: ${measure} ${changeOf(told)}${time}: ${decision}${reasonOf(told)}.`;
}

/** Seconds, where milliseconds would have five digits. */
function timeOf(milliseconds: number): string {
  return milliseconds < 10_000 ? `${Math.round(milliseconds)}\u00a0ms` : `${(milliseconds / 1000).toFixed(1)}\u00a0s`;
}

/** The change in percent of the raw queries' mean, in points if that is 0; with its interval, unless one query is all there is. */
function changeOf({ delta, interval: [low, high], mean, queries }: Told): string {
  const show =
    mean > 0 ? (value: number) => `${signed((100 * value) / mean, 1)}\u00a0%` : (value: number) => signed(value, 3);
  return queries < 2 ? show(delta) : `${show(delta)} [${show(low)}, ${show(high)}]`;
}

function reasonOf({ kind, hurt, queries, interval: [low, high] }: Told): string {
  if (kind === 'few') {
    return queries < VERDICT_THRESHOLDS.leastQueries
      ? ` to tell (at least ${VERDICT_THRESHOLDS.leastQueries}, better ${VERDICT_THRESHOLDS.fewQueries})`
      : ` to tell such a difference from chance (judge ${VERDICT_THRESHOLDS.fewQueries} or more)`;
  }
  if (kind === 'loss') return ' (it makes results worse)';
  if (kind === 'gain') return hurt < MOST_HURT * queries ? '' : ' (it hurts a third of the queries or more)';
  return low <= 0 && high >= 0 ? ' (the interval includes 0)' : ' (chance is not ruled out)';
}

function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? '−' : '+'}${text}`;
}

function notesOn(arms: readonly ScoredArm[], queries: number, session: Judged): string[] {
  const notes: string[] = [];
  const least = Math.min(...arms.map(({ judged }) => judged));
  if (least < WELL_JUDGED) {
    notes.push(
      `Results without a grade count as not relevant. The search with the fewest grades has ${Math.round(100 * least)} % of its first results graded.`,
    );
  }
  const all = session.settings.queries.length;
  if (queries < all) notes.push(`Only queries with a grade count: ${queries} of ${all}.`);
  return notes;
}

/** What expansion took for the queries of the session, in milliseconds: those left alone took none. */
function latencyOf(session: Judged): JudgeFigures['latency'] {
  const times = session.readyRows
    .map((row) => session.prepared(row).expansion?.milliseconds)
    .filter((one) => one !== undefined)
    .sort((a, b) => a - b);
  if (times.length === 0) return undefined;
  const rankOf = (share: number) => times[Math.max(0, Math.ceil(share * times.length) - 1)]!;
  return { median: rankOf(0.5), p95: rankOf(0.95), queries: times.length };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
