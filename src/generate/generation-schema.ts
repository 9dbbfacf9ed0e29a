import { z } from 'zod';
import type { Generation } from './generator.ts';

/** A {@link Generation} that comes from a file or from another machine. */
export const generationSchema = z.object({
  id: z.string(),
  text: z.string(),
  finish: z.enum(['stop', 'length']),
  promptTokens: z.number(),
  completionTokens: z.number(),
  milliseconds: z.number(),
  logProbability: z.number().optional(),
  promptCut: z.boolean().optional(),
  promptTooLong: z.boolean().optional(),
  stopped: z.boolean().optional(),
  filtered: z.boolean().optional(),
  reasoning: z.string().optional(),
}) satisfies z.ZodType<Generation>;
