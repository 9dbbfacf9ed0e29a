import { comparePolicies, type Gate, type PolicyReport, readAfter, readBefore } from '../gate/index.ts';
import type { CorpusSearch, ExpandedQuery } from '../retrieve/index.ts';
import { counted, DataError } from '../system/index.ts';
import { type Arm, type ArmPlan, runArm } from './arms.ts';
import { ChosenAlphaRetriever } from './choose-alpha.ts';
import { valuesOfCombinations } from './combination-values.ts';
import { bestOf } from './cross-validate.ts';
import { combinationOfWeight, featureOptionsOf } from './gate-examples.ts';
import type { Topics } from './topics.ts';

/** What a gate decided on one query. */
export interface GateDecision {
  query: string;
  /** Whether it had an expansion written. */
  expand: boolean;
  /** Weight of the expansions; 0 if there are none. */
  weight: number;
  /** Calibrated probability of the last decision that was made. */
  probability: number;
  reason: string;
}

export interface DecideOptions {
  keepSelf: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Lets a gate decide on queries: first whether to expand, then on the weight of the expansions that there are. A query without
 * expansions gets the first decision alone, and the weight 0.
 */
export async function decide(
  search: CorpusSearch,
  gate: Gate,
  topics: Topics,
  options: DecideOptions,
): Promise<GateDecision[]> {
  const { probe, madeFor } = gate.data;
  const kind = madeFor.retriever;
  const featureOptions = featureOptionsOf(topics, options);
  const before = await readBefore(search, kind, topics.queries, featureOptions);
  const first = new Map(topics.queries.map(({ id, text }) => [id, gate.before(text, before.features.get(id))]));
  const written = topics.queries.filter(({ id, expansions }) => first.get(id)!.expand && expansions.length > 0);
  const features =
    written.length === 0
      ? new Map<string, undefined>()
      : await readAfter(search, kind, written, { ...featureOptions, before, probe });
  return topics.queries.map(({ id, text }): GateDecision => {
    const { expand, probability, reason } = first.get(id)!;
    const known = features.get(id);
    if (known === undefined) return { query: id, expand, weight: 0, probability, reason };
    return { query: id, expand, ...gate.after(text, known) };
  });
}

export interface GatedOptions extends DecideOptions {
  /** Ids of the queries that the file of expansions holds; undefined if it holds all. */
  written?: ReadonlySet<string> | undefined;
  measure: string;
  depth: number;
  seed: number;
}

/** A gate beside never and always expanding, and beside an oracle that knows the best weight of each query. */
export interface GatedEvaluation {
  gate: Arm;
  oracle: Arm;
  report: PolicyReport;
  decisions: GateDecision[];
  /** Queries that the gate left and that have no text: the other policies search them as they are. */
  withoutText: number;
  /** Wall time of the gate's decisions per query: its searches, vectors and models, without writing. */
  millisecondsPerQuery: number;
}

/**
 * Evaluates a gate.
 * @param search with an encoder that remembers vectors
 * @param arms raw queries, and all queries expanded, over the same topics
 * @throws UsageError if the gate was trained for another kind of search
 */
export async function evaluateGated(
  search: CorpusSearch,
  gate: Gate,
  { never, always }: { never: Arm; always: Arm },
  options: GatedOptions,
): Promise<GatedEvaluation> {
  const { topics } = always;
  const { measure, seed } = options;
  gate.compareWith(always.retriever);
  const { written } = options;
  const withoutText = written === undefined ? 0 : topics.queries.filter(({ id }) => !written.has(id)).length;
  const started = performance.now();
  const decisions = await decide(search, gate, topics, options);
  const millisecondsPerQuery = (performance.now() - started) / Math.max(1, topics.queries.length);
  refuseMissingTexts(decisions, written, topics);
  const { weights, constant, madeFor } = gate.data;
  const kind = madeFor.retriever;
  const values = await valuesOfCombinations(search, topics, weights.map(combinationOfWeight), { ...options, kind });
  const measureOf = (id: string, at: number) => values[at]!.get(id) ?? 0;
  const best = new Map(
    topics.queries.map(({ id }) => [id, weights[bestOf(weights.map((_weight, at) => measureOf(id, at)))]!]),
  );
  const weightOf = new Map(decisions.map(({ query, weight }) => [query, weight]));
  const gated = await runWeighted(search, always, weightOf, { ...options, name: 'gate' });
  const oracle = await runWeighted(search, always, best, { ...options, name: 'oracle' });
  const ofArm = (arm: Arm, id: string) => arm.scores.perQuery.get(id)?.[measure] ?? 0;
  const report = comparePolicies(
    topics.queries.map(({ id }, at) => ({
      ...{ never: ofArm(never, id), always: ofArm(always, id), constant: measureOf(id, weights.indexOf(constant)) },
      ...{ gate: ofArm(gated, id), oracle: ofArm(oracle, id), isWritten: decisions[at]!.expand },
    })),
    seed,
  );
  return { gate: gated, oracle, report, decisions, withoutText, millisecondsPerQuery };
}

/**
 * A query that the gate leaves needs no text; one that it has expanded does.
 * @param written ids of the queries that the file of expansions holds
 * @throws DataError that names the first query without one
 */
function refuseMissingTexts(
  decisions: readonly GateDecision[],
  written: ReadonlySet<string> | undefined,
  { split, queries }: Topics,
): void {
  if (written === undefined) return;
  const missing = decisions.filter(({ query, expand }) => expand && !written.has(query));
  if (missing.length === 0) return;
  const wanted = decisions.filter(({ expand }) => expand).length;
  throw new DataError(
    `no expansion for this query of split ${split}, which the gate wants expanded; ${wanted - missing.length} of its ${wanted} have one, of ${counted(queries.length, 'query')}`,
    {
      id: missing[0]!.query,
      fix: 'Run `llm-qe expand` for this split; for the queries that the gate wants alone, pass it `--queries` with the file of `llm-qe gate apply --queries-out`.',
    },
  );
}

/**
 * Searches and scores with the weights that a gate decides on.
 * @throws UsageError if the gate was trained for another kind of search
 */
export async function runGatedArm(
  search: CorpusSearch,
  gate: Gate,
  plan: ArmPlan,
  options: DecideOptions & { depth: number },
): Promise<{ arm: Arm; warnings: string[] }> {
  const warnings = gate.compareWith(plan.retriever);
  const decisions = await decide(search, gate, plan.topics, options);
  const weights = new Map(decisions.map(({ query, weight }) => [query, weight]));
  return { arm: await runWeighted(search, plan, weights, { ...options, name: 'gate' }), warnings };
}

/** Searches each query with its own weight; one of weight 0 without its expansions. */
async function runWeighted(
  search: CorpusSearch,
  { topics, retriever, description }: ArmPlan,
  weights: ReadonlyMap<string, number>,
  { name, depth, keepSelf, signal }: DecideOptions & { name: string; depth: number },
): Promise<Arm> {
  const queries = topics.queries.map((query): ExpandedQuery => {
    return weights.get(query.id) === 0 ? { ...query, expansions: [] } : query;
  });
  const words = `by ${name}`;
  const choice = { source: name, alphaOf: weights, words };
  const weighted = await ChosenAlphaRetriever.open(search, retriever.name, choice);
  const plan = { name, description, retriever: weighted, topics: { ...topics, queries } };
  return runArm(plan, { depth, dropSelf: !keepSelf, signal });
}
