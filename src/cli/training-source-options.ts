import { z } from 'zod';
import { DEFAULT_SEED } from '../system/index.ts';

/** Options of every command that works through training queries. */
export const trainingSourceOptions = {
  dataset: z.string().optional().describe("folder of a data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  split: z.string().default('train').describe('the split of it whose queries are taken').meta({ valueName: 'NAME' }),
  triples: z
    .string()
    .optional()
    .describe('instead of a data set: a file of triples, as `llm-qe data merge` writes it')
    .meta({ valueName: 'FILE' }),
  limit: z.coerce.number().int().positive().optional().describe('a seeded sample of this many queries'),
  sampleSeed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of the sample of queries'),
};
