import { z } from 'zod';
import { manifestFileOf, readStageManifest } from '../files/index.ts';
import { DataError } from '../system/index.ts';

const count = z.number().int().nonnegative();

/** Why a query earned no rewards. */
export const UNREWARDED = ['no candidates', 'no answer', 'only empty candidates'] as const;

/** What `llm-qe reward` did: the result in `rewards.manifest.json`, beside `rewards.jsonl`. */
export const rewardSummarySchema = z.object({
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
  /** Queries that were left out, by reason. Who has no candidates is known where a manifest says how many were asked for. */
  dropped: z.partialRecord(z.enum(UNREWARDED), count),
});
export type RewardSummary = z.output<typeof rewardSummarySchema>;

/** The summary in the manifest beside a file of rewards; undefined where there is none. @throws DataError when it is broken */
export async function readRewardSummary(rewards: string): Promise<RewardSummary | undefined> {
  const manifest = await readStageManifest(rewards);
  if (manifest === undefined) return undefined;
  const parsed = rewardSummarySchema.safeParse(manifest.result);
  if (parsed.success) return parsed.data;
  throw new DataError('is not the manifest of a file of rewards', {
    file: manifestFileOf(rewards),
    fix: 'Run `llm-qe reward` again: it writes this file anew and repeats nothing.',
    cause: parsed.error,
  });
}
