import { z } from 'zod';
import { ENGINES } from '../../pipeline/index.ts';

/** How a run is started, apart from its recipe. */
export const runOptionsSchema = z.object({
  engine: z.enum(ENGINES).default('local'),
  threads: z.number().int().positive().max(4096).optional(),
  offline: z.boolean().default(false),
});
export type RunOptions = z.output<typeof runOptionsSchema>;
