import type { RunProcess } from './recipes.ts';

export type RunState = 'running' | 'finished' | 'stopped' | 'unknown';

/** A run in the list of runs. */
export interface ListedRun {
  name: string;
  state: RunState;
  stages: { name: string; finished: boolean; seconds: number }[];
  hasReport: boolean;
  faults: string[];
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** `GET /api/runs` */
export interface RunList {
  /** The folder of all runs, as it was given. */
  folder: string;
  runs: ListedRun[];
}

/** Names and values, as text. */
export type Facts = [name: string, value: string][];

/** How far a stage is that has begun and not ended. */
export interface StageProgress {
  /** The file that grows, relative to the stage's folder. */
  file: string;
  /** In the plural. */
  unit: string;
  done: number;
  /** Undefined if it is not known. */
  total?: number | undefined;
  /** Milliseconds since 1970. */
  changedAt: number;
}

export interface RunStage {
  name: string;
  /** Within the folder of the run. */
  folder: string;
  finished: boolean;
  /** Of all attempts that ended. */
  seconds: number;
  /** The version of llm-qe that made it. */
  version: string;
  outputs: { name: string; file: string; bytes: number }[];
  settings: Facts;
  result: Facts;
  progress: StageProgress[];
  /** Whether it writes metrics of a training. */
  hasCurves: boolean;
}

/** `GET /api/runs/NAME`, and the event `run` of `GET /api/runs/NAME/live`. */
export interface RunPage {
  name: string;
  state: RunState;
  /** In the order of their beginning. */
  stages: RunStage[];
  hasReport: boolean;
  /** Whether its report holds scores; an alignment has them in the evaluations of its stages. */
  hasScores: boolean;
  faults: string[];
  changedAt: number;
  /** What the manifest says; undefined without one. */
  manifest?: { command: string; version: string; settings: Facts } | undefined;
  process?: RunProcess | undefined;
}

/** A metric of a training: values by step, `null` where it was not a number. */
export interface Curve {
  name: string;
  split: 'train' | 'dev';
  points: [step: number, value: number | null][];
}

/** `GET /api/runs/NAME/curves` */
export interface TrainingCurves {
  /** The last step. */
  steps: number;
  /** Whether some points are left out, because there are more than a screen can show. */
  isThinned: boolean;
  curves: Curve[];
}

/** A part of a long list. */
export interface Rows<T> {
  /** Of the whole list, or of those found by the filter. */
  total: number;
  /** Number of the first of `rows`, from 0. */
  from: number;
  rows: T[];
  /** Whether the search ended before the end of the list, because enough was found. */
  isCut: boolean;
}

/** `GET /api/runs/NAME/candidates` */
export interface CandidateRow {
  id: string;
  queryId: string;
  /** The text of the query; undefined if no output of the run holds it. */
  query?: string | undefined;
  text: string;
  temperature: number;
  finish?: string | undefined;
  isDuplicate: boolean;
  /** Undefined if it was not rewarded. */
  reward?:
    | {
        total: number;
        rewards: Record<string, number>;
        ranks: { gold?: number | undefined; answer?: number | undefined };
      }
    | undefined;
}

/** `GET /api/runs/NAME/pairs` */
export interface PairRow {
  id: string;
  queryId: string;
  /** As in {@link CandidateRow}. */
  query?: string | undefined;
  prompt: string;
  chosen: string;
  rejected: string;
  chosenReward?: number | undefined;
  rejectedReward?: number | undefined;
}

/** `GET /api/runs/NAME/audit` */
export interface PairAudit {
  facts: Facts;
}

/** `GET /api/runs/NAME/texts`: what each arm wrote for a test query, and what it scored. */
export interface TextRow {
  id: string;
  query: string;
  texts: Record<string, string[]>;
  values: Record<string, number>;
}

export interface ShownTest {
  arm: string;
  baseline: string;
  delta: number;
  interval: [number, number];
  /** Of the randomisation test. */
  p: number;
  /** The same, corrected by Holm's method, where it was. */
  holm?: number | undefined;
  helped: number;
  hurt: number;
  unchanged: number;
  verdict: { kind: 'gain' | 'loss' | 'none' | 'few'; name: string; reason: string };
}

/** `GET /api/runs/NAME/evaluation` */
export interface Scores {
  dataset: string;
  documents: number;
  queries: number;
  measure: string;
  judgements: {
    /** An encoder's name, or bm25; undefined where each arm is a search of its own. */
    judge?: string | undefined;
    /** Names of all measures. */
    measures: string[];
    arms: {
      name: string;
      description: string;
      alpha?: number | undefined;
      /** Of its expansions, on average. */
      words?: number | undefined;
      measures: Record<string, number>;
    }[];
    tests: ShownTest[];
  }[];
}

/** `GET /api/runs/NAME/against?other=NAME` */
export interface RunDifference {
  a: string;
  b: string;
  /** Settings that differ; undefined where a run has none. */
  settings: { name: string; a?: string | undefined; b?: string | undefined }[];
  /** Number of settings that are the same. */
  same: number;
  /** Why there are no scores to compare. */
  why?: string | undefined;
  measure?: string | undefined;
  /** Test queries that both have. */
  queries: number;
  /** Queries that only one has. */
  alone: number;
  arms: (ShownTest & { meanA: number; meanB: number })[];
}
