import { z } from 'zod';
import { DEFAULT_SEED } from '../../system/index.ts';

/** Every setting for choosing pairs: default, help, validation and type. The defaults are the published ones. */
export const pairSettings = {
  pairsPerQuery: z
    .number()
    .int()
    .positive()
    .default(1)
    .describe('pairs per query: best against worst, then second best against second worst, and so on'),
  minSimilarity: z
    .number()
    .default(0.6)
    .describe(
      'drop queries whose best summed similarity (gold + answer; gold only unless all queries have answers) is below this; -2 keeps all',
    ),
  similarityQuantile: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe(
      'replaces minSimilarity: drop this fraction of the queries, those with the lowest best summed similarity',
    ),
  minMargin: z
    .number()
    .nonnegative()
    .default(0)
    .describe('minimum reward difference between chosen and rejected; equal rewards never make a pair'),
  maxLengthRatio: z
    .number()
    .min(1)
    .optional()
    .describe('length matching: maximum ratio of the word counts of the longer and the shorter side'),
  maxOverlap: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('near duplicates: maximum fraction of words that the two sides share'),
  dropQuotes: z.boolean().default(false).describe('never choose a candidate that quotes the gold document'),
  pairs: z.number().int().positive().default(30_000).describe('total number of pairs to draw; all if there are fewer'),
  dev: z.number().nonnegative().default(0.1).describe('dev pairs among them: a number, or a fraction below 1'),
  seed: z.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of the draw'),
};

const schema = z.object(pairSettings);
export type PairSettings = z.output<typeof schema>;

/** Fills in the defaults. */
export function defaultPairSettings(overrides: z.input<typeof schema> = {}): PairSettings {
  return schema.parse(overrides);
}
