import { z } from 'zod';
import { DEFAULT_SEED, UsageError } from '../../system/index.ts';

/** Where candidates come from. */
export const MINING_RETRIEVERS = ['dense', 'bm25', 'both'] as const;

/** Settings of the choice of negatives; names and meanings as in sentence-transformers' `mine_hard_negatives`. */
export const miningSettings = {
  retriever: z
    .enum(MINING_RETRIEVERS)
    .default('dense')
    .describe('where candidates come from; both: dense and BM25, fused by reciprocal rank'),
  negatives: z.number().int().positive().default(3).describe('negatives per row'),
  rangeMin: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('leave out this many of the best candidates, counted after the other filters'),
  rangeMax: z
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      'use candidates up to this rank (default: --range-min + --negatives, or + 10 x --negatives with a filter by score, + the positives of a query)',
    ),
  sampling: z
    .enum(['top', 'random'])
    .default('top')
    .describe('take the best candidates of the range, or draw from it at random'),
  seed: z.number().int().min(0).default(DEFAULT_SEED).describe('seed of --sampling random'),
  maxScore: z.number().optional().describe('leave out candidates with a greater score'),
  minScore: z.number().optional().describe('leave out candidates with a lower score'),
  absoluteMargin: z
    .number()
    .optional()
    .describe('leave out candidates whose similarity is greater than that of the positive minus this'),
  relativeMargin: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe(
      'leave out candidates whose similarity is greater than 1 - X of that of the positive; 0.05 is the 95 % of NV-Retriever',
    ),
  querySide: z
    .enum(['query', 'mean'])
    .default('mean')
    .describe('search with the query alone, or with its expansions as well, if it has any'),
  keepNegatives: z.boolean().default(false).describe('keep the negatives that a row has, and add to them'),
  scores: z
    .boolean()
    .default(false)
    .describe("also write the encoder's similarities, for students trained with --method kl or margin-mse"),
};

export const miningSchema = z.object(miningSettings);
export type MiningInput = z.input<typeof miningSchema>;
export type MiningSettings = z.output<typeof miningSchema>;

/** Whether the similarity of the positives is needed. */
export function comparesWithPositive({ absoluteMargin, relativeMargin, scores }: MiningSettings): boolean {
  return absoluteMargin !== undefined || relativeMargin !== undefined || scores;
}

/** Whether every candidate needs a score. */
export function needsScores(settings: MiningSettings): boolean {
  return comparesWithPositive(settings) || settings.maxScore !== undefined || settings.minScore !== undefined;
}

/**
 * Returns the number of candidates that are left after all filters to choose from, as sentence-transformers sets it.
 * @param mostPositives of one query
 * @throws UsageError for settings that do not go together
 */
export function rangeOf(settings: MiningSettings, mostPositives: number): { rangeMin: number; rangeMax: number } {
  const { rangeMin, negatives, absoluteMargin, relativeMargin, maxScore, minScore, retriever } = settings;
  const filters = absoluteMargin !== undefined || relativeMargin !== undefined || maxScore !== undefined;
  const rangeMax = settings.rangeMax ?? rangeMin + negatives * (filters ? 10 : 1) + mostPositives;
  if (rangeMax - rangeMin < negatives) {
    throw new UsageError(`${negatives} negatives do not fit into ranks ${rangeMin} to ${rangeMax}`, {
      fix: 'Lower --negatives or --range-min, or raise --range-max.',
    });
  }
  if (maxScore !== undefined && minScore !== undefined && minScore > maxScore) {
    throw new UsageError(`--min-score ${minScore} is above --max-score ${maxScore}: no candidate is left`, {
      fix: 'Swap them, or omit one.',
    });
  }
  if (retriever === 'bm25' && comparesWithPositive(settings)) {
    throw new UsageError('--retriever bm25 has no similarities: margins and --scores need an encoder', {
      fix: 'Use --retriever dense or both, or omit --absolute-margin, --relative-margin and --scores.',
    });
  }
  return { rangeMin, rangeMax };
}
