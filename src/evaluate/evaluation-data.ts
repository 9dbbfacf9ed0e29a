import { z } from 'zod';
import { comparisonSchema } from './comparison.ts';

const armSchema = z.object({
  name: z.string(),
  /** Description of the arm for readers. */
  description: z.string(),
  alpha: z.number().optional(),
  tuning: z.array(z.object({ alpha: z.number(), value: z.number() })),
  measures: z.record(z.string(), z.number()),
  bySeed: z.array(z.number()),
  /** Mean words of its expansions. */
  words: z.number(),
});

/** Arms and the tests between them, for one search method. */
const judgementSchema = z.object({
  /** An encoder's name, or bm25. */
  judge: z.string(),
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  arms: z.array(armSchema),
  tests: z.array(comparisonSchema.required({ holm: true })),
});

/** Increase it when the format of `evaluation.json` changes, or the same runs would give other values, alphas or tests. */
export const EVALUATION_FORMAT = 2;

/** `evaluation.json`: all results of the evaluation, as plain data. */
export const evaluationSchema = z.object({
  dataset: z.object({ name: z.string(), documents: z.number(), dev: z.number(), test: z.number() }),
  measure: z.string(),
  seeds: z.array(z.number()),
  main: judgementSchema,
  judges: z.array(judgementSchema),
  /** Arms that separate the effect of content from that of style and length, by the main judge. */
  controls: judgementSchema.optional(),
  /** Every test query: what each arm wrote (under the first seed) and scored (a mean over seeds). */
  queries: z.array(
    z.object({
      id: z.string(),
      text: z.string(),
      relevant: z.array(z.string()),
      texts: z.record(z.string(), z.array(z.string())),
      values: z.record(z.string(), z.number()),
    }),
  ),
});
export type EvaluationData = z.output<typeof evaluationSchema>;
export type Judgement = z.output<typeof judgementSchema>;
export type JudgedArm = z.output<typeof armSchema>;
