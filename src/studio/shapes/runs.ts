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
  faults: string[];
  changedAt: number;
  /** What the manifest says; undefined without one. */
  manifest?: { command: string; version: string; settings: Facts } | undefined;
}
