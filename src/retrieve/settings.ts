import { z } from 'zod';
import { ANALYZERS } from '../search/index.ts';
import { serverOrNameSchema } from '../servers/index.ts';
import { inGroup, LONGEST_WAIT_SECONDS } from '../system/index.ts';

/** The one option that forbids connections; not given, the environment decides (`whatForbids`). */
export const offlineOption = z
  .boolean()
  .optional()
  .describe(
    'make no connection: use only what the model store holds (default: LLM_QE_OFFLINE, HF_HUB_OFFLINE; --no-offline outweighs them)',
  );

/**
 * Every setting of a search, once: defaults, help, validation and type. The command line shows these as options, the
 * report prints them.
 */
export const retrievalSettings = inGroup('Search:', {
  encoder: serverOrNameSchema
    .default('all-minilm-l6-v2')
    .describe('encoder: a known model, a folder, hf:owner/name, or the URL of an embedding server')
    .meta({ valueName: 'NAME' }),
  encoderModel: z
    .string()
    .optional()
    .describe('model that the embedding server is asked for')
    .meta({ valueName: 'NAME' }),
  queryPrefix: z
    .string()
    .optional()
    .describe("put before every query and expansion (default: the encoder's own, or what its family is known to need)")
    .meta({ valueName: 'TEXT', mayBeBlank: true }),
  documentPrefix: z
    .string()
    .optional()
    .describe('put before every document (default: as for --query-prefix)')
    .meta({ valueName: 'TEXT', mayBeBlank: true }),
  batchSize: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('most texts in one call to an embedding server; fewer where it takes fewer (default 64)'),
  maxWait: z
    .number()
    .nonnegative()
    .default(LONGEST_WAIT_SECONDS)
    .describe('longest wait in seconds that a server may ask for; one that asks for more ends the command'),
  precision: z.enum(['f32', 'int8']).default('f32').describe('arithmetic of a local encoder'),
  pooling: z.enum(['mean', 'cls']).optional().describe("pooling, where it is not to be the checkpoint's own"),
  maxLength: z.number().int().positive().optional().describe('longest text in tokens; what is beyond is cut'),
  similarity: z.enum(['dot', 'cosine']).default('dot').describe('similarity of vectors'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('weight of the expansions: (1 - alpha)·E(query) + alpha·mean of E(expansions)'),
  expansionRole: z
    .enum(['query', 'document'])
    .default('query')
    .describe('role, and so prefix, under which an expansion is embedded'),
  k1: z.number().nonnegative().default(0.9).describe('BM25: saturation of term frequency'),
  b: z.number().min(0).max(1).default(0.4).describe('BM25: weight of document length'),
  analyzer: z
    .enum(ANALYZERS)
    .default('english')
    .describe('BM25: language of the texts; but for english without stop words; standard: words as they are'),
  queryRepeats: z
    .number()
    .int()
    .positive()
    .default(5)
    .describe('BM25: times the query stands before its expansions (Query2doc)'),
  rrfK: z.number().positive().default(60).describe('fusion: k of 1 / (k + rank)'),
  depth: z.number().int().positive().default(1000).describe('documents retrieved for each query'),
  keepSelf: z
    .boolean()
    .default(false)
    .describe(
      "keep a document whose id equals the query's (it is left out otherwise, unless the query judges it relevant)",
    ),
  threads: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('threads of the encoder and of the search (default: one a core)'),
  offline: offlineOption,
});

const schema = z.object(retrievalSettings);
export type RetrievalSettings = z.output<typeof schema>;

/** Fills in the defaults. */
export function defaultRetrievalSettings(overrides: z.input<typeof schema> = {}): RetrievalSettings {
  return schema.parse(overrides);
}
