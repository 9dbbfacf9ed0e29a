import { z } from 'zod';
import { UsageError } from '../system/index.ts';
import type { Sampling } from './generator.ts';

/** Sampling settings with the published defaults (method, stage 11). */
export const samplingSchema = z.object({
  temperature: z.number().min(0).max(10).default(1),
  topP: z.number().gt(0).max(1).default(0.9),
  topK: z.number().int().min(0).default(0),
  maxTokens: z.number().int().min(1).default(512),
}) satisfies z.ZodType<Sampling>;

/** Fills in the defaults. @throws UsageError that names the invalid setting */
export function checkSampling(sampling: Partial<Sampling>): Sampling {
  const checked = samplingSchema.safeParse(sampling);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0]!;
  throw new UsageError(`sampling setting ${issue.path.join('.')}: ${issue.message}`, { fix: 'Correct the setting.' });
}
