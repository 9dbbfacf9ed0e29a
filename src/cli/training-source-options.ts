import { z } from 'zod';
import { DEFAULT_SEED } from '../system/index.ts';

/** Options of every command that processes training queries. */
export const trainingSourceOptions = {
  dataset: z.string().optional().describe("folder of a data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  split: z.string().default('train').describe('split whose queries are used').meta({ valueName: 'NAME' }),
  triples: z
    .string()
    .optional()
    .describe('instead of a data set: a file of triples from `llm-qe data merge` or `llm-qe data split`')
    .meta({ valueName: 'FILE' }),
  limit: z.coerce.number().int().positive().optional().describe('use a random sample of this many queries'),
  sampleSeed: z.coerce.number().int().min(0).default(DEFAULT_SEED).describe('seed of the sample drawn by --limit'),
};
