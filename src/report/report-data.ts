import type { Comparison } from '../evaluate/index.ts';
import type { SettingSections } from './whole-page.ts';

/** One evaluated search, a row of the report's table. */
export interface ReportArm {
  name: string;
  /** A line that describes the search. */
  description: string;
  /** Mean of each measure over the queries, by display name ("nDCG@10"). */
  measures: Record<string, number>;
  /** Median wall time per query, searched one at a time, in milliseconds, without the LLM; undefined if not measured. */
  milliseconds?: number | undefined;
}

/** A relevant document and its ranks. A rank is 1-based, and null beyond the searched depth. */
export interface ReportDocument {
  id: string;
  text: string;
  grade: number;
  rankBefore: number | null;
  rankAfter: number | null;
}

/** The effect of expansion on one query. */
export interface ReportQuery {
  id: string;
  text: string;
  expansions: string[];
  before: number;
  after: number;
  relevant: ReportDocument[];
}

/** What the LLM cost, as means over the expanded queries. */
export interface ReportCost {
  promptTokens: number;
  completionTokens: number;
  /** Fraction of the passages that were cut at the token limit. */
  cutAtLimit: number;
  /** Time from prompt to end of a query's passages, in milliseconds, with other queries in parallel. */
  generationMilliseconds: number;
}

/** Everything the page shows, as plain data; `report.json` next to the page holds the same. */
export interface ReportData {
  title: string;
  dataset: { name: string; split: string; documents: number; queries: number };
  /** Rows of the table, in order. */
  arms: ReportArm[];
  /** The first one is the main comparison, which the plot and the examples show. */
  comparisons: Comparison[];
  queries: ReportQuery[];
  /** Sentences on how the results were made, shown below the card: expansions, alpha, a small sample. */
  made: string[];
  cost: ReportCost | undefined;
  /** Settings, versions and hashes in sections, as [name, value] pairs. */
  settings: SettingSections;
  /** What a reader should know before quoting the results. */
  remarks: string[];
}
