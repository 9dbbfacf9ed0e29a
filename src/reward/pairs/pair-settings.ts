import { z } from 'zod';

/** Every setting of the choice of pairs, once: defaults, help, validation and type. The defaults are the published ones. */
export const pairSettings = {
  pairsPerQuery: z
    .number()
    .int()
    .positive()
    .default(1)
    .describe('pairs a query: best against worst, then the next best against the next worst, and so on'),
  minSimilarity: z
    .number()
    .default(0.6)
    .describe(
      'drop a query whose best summed similarity (gold + answer; gold alone unless all queries have answers) is below this; -2 keeps all',
    ),
  similarityQuantile: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('instead: drop this share of the queries, those with the lowest best summed similarity'),
  minMargin: z
    .number()
    .nonnegative()
    .default(0)
    .describe('least difference of the rewards of chosen and rejected; equal rewards never make a pair'),
  maxLengthRatio: z
    .number()
    .min(1)
    .optional()
    .describe('length matching: the longer side has at most so many times the words of the other'),
  maxOverlap: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('near duplicates: largest share of words that the two sides may have in common'),
  dropQuotes: z.boolean().default(false).describe('never choose a candidate that quotes the gold document'),
  pairs: z
    .number()
    .int()
    .positive()
    .default(30_000)
    .describe('pairs drawn in all; all there are where there are fewer'),
  dev: z.number().nonnegative().default(0.1).describe('pairs of them for development: a number, or a share below 1'),
  seed: z.number().int().nonnegative().default(42).describe('seed of the draw'),
};

const schema = z.object(pairSettings);
export type PairSettings = z.output<typeof schema>;

/** Fills in the defaults. */
export function defaultPairSettings(overrides: z.input<typeof schema> = {}): PairSettings {
  return schema.parse(overrides);
}
