import { z } from 'zod';
import { manifestFileOf, readStageManifest } from '../files/index.ts';
import { DataError } from '../system/index.ts';

const count = z.number().int().nonnegative();

/** Why a query has no rewards. */
export const UNREWARDED = ['no candidates', 'no answer', 'only empty candidates'] as const;

/** The summary of `llm-qe reward`: the result in `rewards.manifest.json`, next to `rewards.jsonl`. */
export const rewardSummarySchema = z.object({
  rewards: z.array(z.object({ name: z.string(), weight: z.number() })),
  /** Always the cosine; a search reward uses the similarity of its own settings. */
  similarity: z.literal('cosine'),
  encoder: z.object({ id: z.string(), fingerprint: z.string() }),
  expansionRole: z.enum(['query', 'document']),
  queries: count,
  candidates: count,
  /** Candidates without text, which were skipped. */
  empty: count,
  /** Candidates whose text equals that of another candidate of the query. */
  duplicates: count,
  /** Skipped queries, by reason. `no candidates` is known only if a manifest records how many were requested. */
  dropped: z.partialRecord(z.enum(UNREWARDED), count),
});
export type RewardSummary = z.output<typeof rewardSummarySchema>;

/**
 * Reads the summary in the manifest of a file of rewards; undefined if there is none.
 * @throws DataError if it is damaged
 */
export async function readRewardSummary(rewards: string): Promise<RewardSummary | undefined> {
  const manifest = await readStageManifest(rewards);
  if (manifest === undefined) return undefined;
  const parsed = rewardSummarySchema.safeParse(manifest.result);
  if (parsed.success) return parsed.data;
  throw new DataError('is not the manifest of a file of rewards', {
    file: manifestFileOf(rewards),
    fix: 'Run `llm-qe reward` again. It rewrites this file and repeats no other work.',
    cause: parsed.error,
  });
}
