export type { Qrels, Run, ScoredDocument } from './records.ts';
