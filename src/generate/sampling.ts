import { z } from 'zod';
import type { Sampling } from './generator.ts';

/** Sampling settings with the published defaults (method, stage 11). */
export const samplingSchema = z.object({
  temperature: z.number().min(0).max(10).default(1),
  topP: z.number().gt(0).max(1).default(0.9),
  topK: z.number().int().min(0).default(0),
  maxTokens: z.number().int().min(1).default(512),
}) satisfies z.ZodType<Sampling>;
