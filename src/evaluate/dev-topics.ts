import { type BeirDataset, readExpansions } from '../data/index.ts';
import { DataError, UsageError } from '../system/index.ts';
import { loadTopics, type Topics, withExpansions } from './topics.ts';

/** Names under which data sets hold development queries. */
const DEV_NAMES = ['dev', 'validation', 'valid', 'val'];

export interface DevSplit {
  split: string;
  /** Why another split than the development split is used. */
  reason?: string | undefined;
}

/**
 * Chooses the split to tune or train on: the one that the user names, the development split, or the training split with a reason.
 * Test queries are never chosen: whatever is tuned on them looks better on them than it is.
 * @throws UsageError if there is neither
 */
export async function chooseDevSplit(dataset: BeirDataset, asked: string | undefined): Promise<DevSplit> {
  if (asked !== undefined) {
    const isTest = /^test/i.test(asked);
    return {
      split: asked,
      reason: isTest ? `the user named ${asked} as the development split: figures on it are no evidence` : undefined,
    };
  }
  const splits = await dataset.splits();
  const dev = DEV_NAMES.find((name) => splits.includes(name));
  if (dev !== undefined) return { split: dev };
  if (splits.includes('train')) return { split: 'train', reason: 'the data set has no development split' };
  throw new UsageError(
    `the data set ${dataset.name} has no development split: what is tuned on ${splits.join(', ') || 'the queries evaluated'} would look better there than it is`,
    {
      file: dataset.folder,
      fix: 'Divide the judgements with `llm-qe data split`, or pass --dev-split NAME if one of the splits is for development.',
    },
  );
}

/** Development queries that have expansions. */
export interface DevTopics extends DevSplit {
  topics: Topics;
  /** Queries of the split that the file does not expand; they are left out. */
  lacking: number;
  /** The most expansions that a query has. */
  mostTexts: number;
}

/**
 * Loads the queries of the development split that a file expands: a sample of them is enough.
 * @throws DataError if the file expands fewer than two of them; UsageError as {@link chooseDevSplit}
 */
export async function loadDevTopics(dataset: BeirDataset, file: string, asked: string | undefined): Promise<DevTopics> {
  const chosen = await chooseDevSplit(dataset, asked);
  const all = await loadTopics(dataset, chosen.split);
  const expansions = await readExpansions(file);
  const written = all.queries.filter(({ id }) => expansions.has(id));
  if (written.length < 2) {
    throw new DataError(
      `expands ${written.length === 0 ? 'no query' : 'only one query'} of split ${chosen.split} of ${dataset.name}`,
      {
        file,
        fix: `Run \`llm-qe expand --dataset ${dataset.folder} --split ${chosen.split} --out FILE\`, and pass that file.`,
      },
    );
  }
  const topics = withExpansions(
    { ...all, queries: written, qrels: new Map(written.map(({ id }) => [id, all.qrels.get(id)!])) },
    expansions,
  );
  return {
    ...{ ...chosen, topics, lacking: all.queries.length - written.length },
    mostTexts: topics.queries.reduce((most, one) => Math.max(most, one.expansions.length), 0),
  };
}
