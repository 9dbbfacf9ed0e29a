import { z } from 'zod';

const armSchema = z.object({ alpha: z.number().optional(), value: z.number() });

/** The result of a round: the measure of each arm on the dev queries, at its best alpha. */
export const roundResultSchema = z.object({
  /** Display name of the measure. */
  measure: z.string(),
  arms: z.record(z.string(), armSchema),
  /** The arm whose value chooses the best round. */
  chosenBy: z.string(),
  value: z.number(),
});
export type RoundResult = z.output<typeof roundResultSchema>;
