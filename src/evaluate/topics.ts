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
  const queries = topics.queries.map(({ id, text }) => ({
    id,
    text,
    expansions: (expansions.get(id) ?? []).map((one) => one.text).filter((passage) => passage.trim() !== ''),
  }));
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
  const expansions = await readExpansions(file);
  for (const { id } of topics.queries) {
    if (expansions.has(id)) continue;
    throw new DataError(`no expansion for this query of split ${topics.split}`, {
      file,
      id,
      fix: 'Run `llm-qe expand` for this data set and split; it writes only what is missing.',
    });
  }
  return withExpansions(topics, expansions);
}
