/** A run in the list of runs. */
export interface ListedRun {
  name: string;
  state: 'running' | 'finished' | 'stopped' | 'unknown';
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
