import { CUTOFFS, evaluateRun, type RunEvaluation, relevantSelves, type SelfRetrieval } from '../measures/index.ts';
import type { Retrieval, Retriever } from '../retrieve/index.ts';
import type { Topics } from './topics.ts';

/** The published measures (method, stage 12). */
const FAMILIES = ['nDCG', 'MAP', 'Recall', 'P', 'MRR', 'R_cap', 'Hole'];

/** The reported measures in words, for a help text. */
export const MEASURES_IN_WORDS = `${FAMILIES.join(', ')}, each with @k for a k of ${CUTOFFS.join(', ')}`;

/** All measures that the method reports, by display name ("nDCG@10"). */
export const REPORTED_MEASURES = FAMILIES.flatMap((family) => CUTOFFS.map((cutoff) => `${family}@${cutoff}`));

/** The four measures that tables show. */
export const TABLE_MEASURES = ['nDCG@10', 'Recall@100', 'MRR@10', 'MAP@100'];

/** One search method, to be evaluated on one set of topics. */
export interface ArmPlan {
  name: string;
  description: string;
  retriever: Retriever;
  topics: Topics;
}

/** An evaluated search method. */
export interface Arm extends ArmPlan {
  retrieval: Retrieval;
  /** Means and per-query values by display name; a judged query that found nothing counts as zero. */
  scores: RunEvaluation;
  /** How documents with the id of the query were treated; `describeSelfRetrieval` describes it. */
  selfRetrieval: SelfRetrieval;
}

export interface ArmOptions {
  depth: number;
  dropSelf: boolean;
  signal?: AbortSignal | undefined;
}

/** Searches and scores one arm. */
export async function runArm(plan: ArmPlan, options: ArmOptions): Promise<Arm> {
  const keepSelfOf = relevantSelves(plan.topics.qrels);
  const retrieval = await plan.retriever.retrieve(plan.topics.queries, { ...options, keepSelfOf });
  const scores = evaluateRun(plan.topics.qrels, retrieval.run, { measures: REPORTED_MEASURES, complete: true });
  const selfRetrieval = { dropped: options.dropSelf, kept: keepSelfOf.size, queries: plan.topics.qrels.size };
  return { ...plan, retrieval, scores, selfRetrieval };
}

/** Returns the mean wall time per query, in milliseconds, for embedding and search. */
export function millisecondsPerQuery({ retrieval, topics }: Arm): number {
  return (retrieval.encodeMilliseconds + retrieval.searchMilliseconds) / Math.max(1, topics.queries.length);
}
