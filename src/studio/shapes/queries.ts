/** `GET /api/queries`: the evaluations in the folder of the runs. */
export interface EvaluationList {
  /** The folder, as it was given. */
  folder: string;
  evaluations: ListedEvaluation[];
}

export interface ListedEvaluation {
  /** Its path below the folder of all runs. */
  id: string;
  kind: 'alignment' | 'benchmark' | 'runs';
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** `GET /api/queries/comparison`: two arms, query by query. Columns of one length belong together // [queries] */
export interface QueryComparison {
  evaluation: string;
  arms: { name: string; description: string }[];
  a: string;
  b: string;
  measures: string[];
  measure: string;
  ids: string[];
  texts: string[];
  /** Values of A and of B; null without judgements. */
  before: number[] | null;
  after: number[] | null;
  /** Rank-biased overlap of the two rankings; null unless both runs were kept. */
  overlap: number[] | null;
  /** What the overlap was computed with. */
  persistence: number;
  depth: number;
  /** Null without judgements. */
  effect: QueryEffect | null;
  slices: QuerySlice[];
  /** How to get the same on the command line, and in a program; null if a file for it is not at hand. */
  command: string | null;
  code: string | null;
  /** What is missing, in sentences. */
  notes: string[];
}

/** The mean change, as `llm-qe evaluate` computes it. */
export interface QueryEffect {
  meanA: number;
  meanB: number;
  delta: number;
  /** 95 % bootstrap interval of the mean change. */
  interval: [number, number];
  /** Of the paired randomisation test and of the t-test, two-sided. */
  randomization: number;
  tTest: number;
  helped: number;
  hurt: number;
  unchanged: number;
  verdict: { kind: 'gain' | 'loss' | 'none' | 'few'; words: string; reason: string };
}

/** Queries that have something in common. */
export interface QuerySlice {
  kind: string;
  name: string;
  before: number;
  after: number;
  helped: number;
  hurt: number;
  /** Places of its queries in the columns. */
  rows: number[];
}

/** `GET /api/queries/query`: one query in all arms. */
export interface QueryView {
  id: string;
  text: string;
  arms: QueryArm[];
  /** Documents that are judged relevant, the best grades first, with their ranks by the place of the arm. */
  relevant: { id: string; grade: number; ranks: (number | null)[] }[];
  /** How many more are judged relevant. */
  moreRelevant: number;
  /** By id; only of what is shown, and only if the corpus is at hand. */
  documents: Record<string, { title: string; text: string }>;
  hasDocuments: boolean;
  isJudged: boolean;
}

export interface QueryArm {
  name: string;
  /** Of the measure; null without judgements. */
  value: number | null;
  expansions: string[];
  /** Whether its run was kept. */
  hasRun: boolean;
  hits: QueryHit[];
}

export interface QueryHit {
  id: string;
  score: number;
  /** Null if it was not judged. */
  grade: number | null;
  /** Rank, from 1, in the arm that this one is compared with; null if it is not there. */
  otherRank: number | null;
}
