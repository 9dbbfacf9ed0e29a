import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { DataError, systemFault } from '../system/index.ts';

const count = z.number().int().nonnegative();

/** Why a query earned no rewards. */
export const UNREWARDED = ['no answer', 'only empty candidates'] as const;

/** What `llm-qe reward` did: `rewards.json`, beside `rewards.jsonl`. */
export const rewardSummarySchema = z.object({
  /** Content key of encoder, settings and rewards. */
  key: z.string(),
  rewards: z.array(z.object({ name: z.string(), weight: z.number() })),
  /** Cosine, always; a search reward searches as its own settings say. */
  similarity: z.literal('cosine'),
  encoder: z.object({ id: z.string(), fingerprint: z.string() }),
  expansionRole: z.enum(['query', 'document']),
  queries: count,
  candidates: count,
  /** Candidates without text, which were left out. */
  empty: count,
  /** Candidates whose text another one of the query has too. */
  duplicates: count,
  /** Queries that were left out, by reason. */
  dropped: z.record(z.enum(UNREWARDED), count),
});
export type RewardSummary = z.output<typeof rewardSummarySchema>;

/** Where the summary of a file of rewards stands. */
export function summaryFile(rewards: string): string {
  return `${rewards.replace(/\.jsonl$/, '')}.json`;
}

/** Reads the summary beside a file of rewards; undefined where there is none. @throws DataError when it is broken */
export async function readRewardSummary(rewards: string): Promise<RewardSummary | undefined> {
  const file = summaryFile(rewards);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw systemFault(error, file);
  }
  const mend = 'Run `llm-qe reward` again: it writes this file anew and repeats nothing.';
  try {
    return rewardSummarySchema.parse(JSON.parse(text));
  } catch (error) {
    throw new DataError('the summary of the rewards is broken', { file, mend, cause: error });
  }
}
