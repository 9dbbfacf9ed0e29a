import type { Comparison } from '../evaluate/index.ts';
import type { SettingSections } from './whole-page.ts';

/** One way of searching that was evaluated, as a row of the report's table. */
export interface ReportArm {
  name: string;
  /** A line that says what was searched with what. */
  description: string;
  /** Mean of each measure over the queries, by display name ("nDCG@10"). */
  measures: Record<string, number>;
  /** Median wall time of one query searched by itself, in milliseconds, without the LLM; undefined if it was not measured. */
  milliseconds?: number | undefined;
}

/** A relevant document and where it was found; a rank is 1-based, and null beyond the searched depth. */
export interface ReportDocument {
  id: string;
  text: string;
  grade: number;
  rankBefore: number | null;
  rankAfter: number | null;
}

/** What expansion did to one query. */
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
  /** Share of the passages that were cut at the token limit. */
  cutAtLimit: number;
  /** How long a query's passages took from prompt to end, in milliseconds, with other queries' under way beside them. */
  generationMilliseconds: number;
}

/** Everything the page shows; plain data, so that `report.json` beside the page holds the same. */
export interface ReportData {
  title: string;
  dataset: { name: string; split: string; documents: number; queries: number };
  /** Rows of the table, in order. */
  arms: ReportArm[];
  /** The first one is the main comparison: the plot and the examples are about it. */
  comparisons: Comparison[];
  queries: ReportQuery[];
  /** Sentences on how the figures were made, below the card: expansions, alpha, a small sample. */
  made: string[];
  cost: ReportCost | undefined;
  /** Settings, versions and hashes in sections, as [name, value] pairs. */
  settings: SettingSections;
  /** What a reader should know before quoting a figure. */
  remarks: string[];
}
