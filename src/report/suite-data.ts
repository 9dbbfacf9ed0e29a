import type { Comparison } from '../evaluate/index.ts';
import type { MetaAnalysis } from '../measures/index.ts';

/** A system: a column of the suite's table. */
export interface SuiteColumn {
  name: string;
  /** What was asked for: `dense, alpha 0.3`. */
  description: string;
  /** Whether it searches with expansions. */
  expanded: boolean;
}

/** The result of one system on one set. */
export interface SuiteCell {
  /** Means over the queries, by display name. For a group of sets, means of the sets' means. */
  measures: Record<string, number>;
  /** Against the baseline; undefined for the baseline itself. `holm` is corrected over the sets. */
  test?: Comparison | undefined;
  /** Milliseconds per query for embedding and search, all queries together. */
  milliseconds: number;
  /** What the LLM read and wrote per query, and how long it took with other queries in parallel; undefined for raw queries. */
  tokens?: { prompt: number; completion: number; milliseconds: number } | undefined;
  /** The rule for documents with the id of the query, in words. */
  selfHits: string;
}

/** A set, or a group of sets: a row of the table. */
export interface SuiteRow {
  name: string;
  /** Names of the sets of a group. */
  parts?: string[] | undefined;
  documents: number;
  queries: number;
  /** By the name of the system; a system that failed has none. */
  cells: Record<string, SuiteCell>;
}

/** Means over rows, by system. */
export interface SuiteMean {
  /** `mean of 15`, `mean of 14, without msmarco`. */
  label: string;
  rows: string[];
  measures: Record<string, Record<string, number>>;
}

/**
 * A system against the baseline over the queries of all sets that both finished; each set counts equally. It tells of these sets, not of
 * others. `holm` is corrected over the systems.
 */
export interface SuiteOverall extends Comparison {
  sets: string[];
}

/** What all sets together say of a system against the baseline on other sets. Interval and p need at least three sets. */
export interface SuiteMeta extends Omit<MetaAnalysis, 'interval' | 'p'> {
  system: string;
  interval: MetaAnalysis['interval'] | undefined;
  p: number | undefined;
  /** Sets that were left out, because no query changed there. */
  unchanged: string[];
}

export type ParityVerdict = 'equal' | 'near' | 'off';

/** A raw baseline of a set, held against the score that others publish. */
export interface SuiteParity {
  set: string;
  system: string;
  /** Name of the published column. */
  published: string;
  source: string;
  measure: string;
  expected: number;
  got: number;
  verdict: ParityVerdict;
}

/** One query under the baseline and another system. */
export interface SuiteQuery {
  set: string;
  id: string;
  text: string;
  /** What the other system searched with in addition. */
  expansions: string[];
  before: number;
  after: number;
}

/** A kind of fewer queries is not told apart: its means are noise. */
export const FEWEST_OF_KIND = 10;

/** Queries that have something in common. */
export interface SuiteSlice {
  /** What divides the queries: `words in the query`. */
  kind: string;
  name: string;
  queries: number;
  before: number;
  after: number;
}

/** The baseline against one system, query by query over all sets. */
export interface SuiteComparison {
  system: string;
  baseline: string;
  queries: number;
  helped: number;
  hurt: number;
  /** Values under both, of all queries or of a seeded sample // [points] */
  points: [before: number, after: number][];
  /** The largest gains and losses, best first and worst first. */
  gains: SuiteQuery[];
  losses: SuiteQuery[];
  slices: SuiteSlice[];
}

/** Everything that the suite's tables and page show, as plain data. */
export interface SuiteData {
  suite: string;
  /** The measure that is compared. */
  measure: string;
  baseline: string;
  systems: SuiteColumn[];
  rows: SuiteRow[];
  means: SuiteMean[];
  /** One for each system that finished a set with the baseline. */
  overall: SuiteOverall[];
  meta: SuiteMeta[];
  parity: SuiteParity[];
  /** The first system with expansions against the baseline; undefined if there is no such pair. */
  comparison?: SuiteComparison | undefined;
  /** What failed, in sentences. */
  failures: string[];
  /** What a reader should know before quoting a number. */
  remarks: string[];
}
