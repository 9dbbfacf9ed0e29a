import { type BeirDataset, checkJudgedQueries, type Expansion, readExpansions, sampleRows } from '../data/index.ts';
import type { Qrels } from '../measures/index.ts';
import type { ExpandedQuery } from '../retrieve/index.ts';
import { DataError, DEFAULT_SEED } from '../system/index.ts';

/** The judged queries of one split, with their expansions. */
export interface Topics {
  dataset: string;
  split: string;
  queries: ExpandedQuery[];
  qrels: Qrels;
}

export interface TopicOptions {
  /** Use a seeded sample of this many queries. */
  limit?: number | undefined;
  seed?: number | undefined;
  /** Another queries file, such as BEIR's `queries_q2d.jsonl`, whose expansions are then used. */
  queriesFile?: string | undefined;
}

/**
 * Loads the queries that a split judges, in the order of the queries file.
 *
 * @throws DataError if the split judges no query, or one that the data set does not hold
 */
export async function loadTopics(dataset: BeirDataset, split: string, options: TopicOptions = {}): Promise<Topics> {
  const all = await dataset.queries({ file: options.queriesFile });
  const qrels = await dataset.qrels(split);
  checkJudgedQueries(dataset, split, qrels, all);
  const judged = [...all.values()].filter(({ id }) => qrels.has(id));
  const chosen = sample(judged, options);
  return {
    dataset: dataset.name,
    split,
    queries: chosen.map(({ id, text, expansions }) => ({ id, text, expansions: expansions ?? [] })),
    qrels: new Map(chosen.map(({ id }) => [id, qrels.get(id)!])),
  };
}

/** Draws a seeded sample in the order of the file. */
function sample<T>(items: readonly T[], { limit, seed = DEFAULT_SEED }: TopicOptions): T[] {
  const rows = sampleRows(items.length, limit, seed);
  return items.filter((_item, row) => rows?.has(row) ?? true);
}

/** Returns the topics with expansions, joined by query id. Empty expansions are skipped. */
export function withExpansions(topics: Topics, expansions: ReadonlyMap<string, readonly Expansion[]>): Topics {
  const queries = topics.queries.map(({ id, text }) => {
    const written = (expansions.get(id) ?? []).filter((one) => one.text.trim() !== '');
    const recorded = written.map((one) => one.logProbability).filter((one) => one !== undefined);
    const logProbability = recorded.reduce((sum, one) => sum + one, 0) / recorded.length;
    return {
      ...{ id, text, expansions: written.map((one) => one.text) },
      ...(recorded.length > 0 && { logProbability }),
    };
  });
  return { ...topics, queries };
}

/**
 * Returns the topics with texts in place of their queries: the expansions of a file, joined by blanks. If another program wrote them,
 * each query stands before them as often as it did in that program's file. A query without a text keeps its own.
 *
 * @throws DataError that names the first topic that the file lacks
 */
export async function replaceQueries(topics: Topics, file: string): Promise<Topics> {
  const expansions = await expansionsOf(topics, file);
  const queries = topics.queries.map(({ id, text }) => {
    const written = (expansions.get(id) ?? []).filter((one) => one.text.trim() !== '');
    const parts = written.flatMap((one) => [...Array<string>(one.queryRepeats ?? 0).fill(text), one.text]);
    return { id, text: parts.length === 0 ? text : parts.join(' '), expansions: [] };
  });
  return { ...topics, queries };
}

/** Returns the topics without expansions. */
export function withoutExpansions(topics: Topics): Topics {
  return withExpansions(topics, new Map());
}

/**
 * Joins an expansions file to topics.
 *
 * @throws DataError that names the first topic without an expansion: a file made for other queries would otherwise look
 * as if expansion had no effect
 */
export async function joinExpansions(topics: Topics, file: string): Promise<Topics> {
  return withExpansions(topics, await expansionsOf(topics, file));
}

async function expansionsOf(topics: Topics, file: string): Promise<Map<string, Expansion[]>> {
  const expansions = await readExpansions(file);
  const missing = topics.queries.filter(({ id }) => !expansions.has(id));
  if (missing.length === 0) return expansions;
  const [there, all] = [topics.queries.length - missing.length, topics.queries.length];
  throw new DataError(`no expansion for this query of split ${topics.split}; ${there} of ${all} queries have one`, {
    file,
    id: missing[0]!.id,
    fix: `Run \`llm-qe expand\` for this data set and split; it writes only what is missing.${there > 0 ? ' If it was run with --limit, pass the same --limit and --seed here.' : ''}`,
  });
}
