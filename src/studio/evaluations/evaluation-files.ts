import type { QueryValues } from '../../evaluate/index.ts';
import type { Qrels } from '../../measures/index.ts';

/** What a folder with an evaluation is, by who wrote it. */
export type EvaluationKind = 'alignment' | 'benchmark' | 'runs';

/** A folder with an evaluation, as the listing of the runs finds it. */
export interface EvaluationSource {
  /** Its path below the folder of all runs, with `/`. */
  id: string;
  kind: EvaluationKind;
  folder: string;
  /** The folder directly below the folder of all runs. */
  runFolder: string;
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** One search of an evaluation, and where its results are. */
export interface ArmFiles {
  name: string;
  description: string;
  /** The TREC run; undefined if only values were kept. */
  run: string | undefined;
  /** Values that were recorded, by measure and query. */
  values: ReadonlyMap<string, QueryValues>;
  /** The texts that it searched with in addition, by query; read when they are asked for. */
  expansions: (query: string) => Promise<string[]>;
}

/** An evaluation, before its runs are read. */
export interface EvaluationFiles {
  arms: ArmFiles[];
  /** Baseline and arm that its report compares. */
  pair: readonly [a: string, b: string] | undefined;
  measure: string;
  /** Of the tests. */
  seed: number;
  /** The text of each evaluated query, if it was recorded. */
  texts: ReadonlyMap<string, string> | undefined;
  /** Judgements that were recorded, for when the data set is not at hand. */
  relevant: Qrels | undefined;
  /** What is known of the data set. */
  dataset: { name: string; split: string; documents: number | undefined; folders: string[] };
}

/** A JSON file of an evaluation that is larger than this is not read. */
export const MOST_JSON_BYTES = 2 ** 28;

export const noTexts = async (): Promise<string[]> => [];
