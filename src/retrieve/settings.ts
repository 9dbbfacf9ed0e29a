import { z } from 'zod';
import { parsePassages } from '../data/index.ts';
import {
  ANALYZERS,
  BM25_FIELDS,
  FUSIONS,
  isEngineAddress,
  parseEngineAddress,
  VECTOR_FORMATS,
} from '../search/index.ts';
import { serverOrNameSchema } from '../servers/index.ts';
import { inGroup, LONGEST_WAIT_SECONDS, UsageError } from '../system/index.ts';
import { alphaSchema, DEFAULT_COMBINATION, queryRepeatsSchema } from './combination.ts';
import { feedbackSettings } from './feedback.ts';

const ALPHA_HELP =
  'weight of the expansions: (1 - alpha)·E(query) + alpha·mean of E(expansions); mean: query and expansions weigh the same; joined: the query is put before each expansion';
const ALPHA_VALUES = 'N|mean|joined';
const REPEATS_HELP =
  'BM25: how often to repeat the query before its expansions; per-text: once for each; characters:B or words:B: as often as the expansions are B times as long as the query';
const REPEATS_VALUES = 'N|per-text|characters:B|words:B';

/** The option that forbids connections. If it is not given, the environment decides (`whatForbids`). */
export const offlineOption = z
  .boolean()
  .optional()
  .describe(
    'make no connection: use only models in the store (default: as LLM_QE_OFFLINE, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE say; --no-offline overrides them)',
  );

/** How documents are divided into passages. */
export const passagesOption = z
  .string()
  .superRefine((text, context) => {
    try {
      parsePassages(text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      context.addIssue({ code: 'custom', message: `${error.message}. ${error.fix}` });
    }
  })
  .optional()
  .describe(
    'dense search: divide documents into passages of so many words, which overlap by so many, and rank a document by its best one; otherwise what is longer than the encoder reads is cut off',
  )
  .meta({ valueName: 'WORDS/OVERLAP' });

/** How document vectors are made, stored and searched, beyond whole documents and exact search. */
const indexSettings = inGroup('Search:', {
  passages: passagesOption,
  index: z
    .string()
    .transform(showIndex)
    .default('exact')
    .describe(
      'where document vectors are searched: exact, hnsw (an approximate graph, needs the package usearch), postgres://USER@HOST/DATABASE (with pgvector), or milvus:http://HOST:PORT; ?search=hnsw searches approximately there. hnsw takes vectors in f32 and f16, not int8',
    )
    .meta({ valueName: 'NAME|URL' }),
  bm25Index: z
    .string()
    .transform(showBm25Index)
    .default('local')
    .describe(
      'where BM25 searches: local, milvus:http://HOST:PORT, or postgres://USER@HOST/DATABASE (with pgvector, reads all documents for a query)',
    )
    .meta({ valueName: 'URL' }),
  hnswM: z.number().int().min(2).max(100).default(16).describe('HNSW: neighbours of a document in the graph'),
  hnswEfConstruction: z
    .number()
    .int()
    .min(4)
    .max(1000)
    .default(128)
    .describe('HNSW: candidates while the graph is built'),
  hnswEf: z
    .number()
    .int()
    .min(1)
    .default(64)
    .describe('HNSW: candidates of a search; at least the number of documents to retrieve'),
  vectors: z
    .enum(VECTOR_FORMATS)
    .default('f32')
    .describe(
      'storage of the document vectors: f16 and int8 take a half and a quarter of the space, and lose recall. int8 and --index hnsw cannot be combined',
    ),
  recallSample: z
    .number()
    .int()
    .nonnegative()
    .default(50)
    .describe(
      'queries that are also searched exactly in f32 if a search may miss documents, to state its recall; 0: none',
    ),
});

/** The address of an engine in settings has `***` in place of secrets; `parseEngineAddress` restores those it has read. */
function showIndex(index: string, context: z.RefinementCtx): string {
  return showPlace(index, ['exact', 'hnsw'], context);
}

function showBm25Index(index: string, context: z.RefinementCtx): string {
  const shown = showPlace(index, ['local'], context);
  if (!isEngineAddress(shown) || parseEngineAddress(shown).search === 'exact') return shown;
  context.addIssue({ code: 'custom', message: 'search=hnsw does not work with BM25. Omit it' });
  return z.NEVER;
}

function showPlace(index: string, names: readonly string[], context: z.RefinementCtx): string {
  try {
    if (isEngineAddress(index)) return parseEngineAddress(index).shown;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    context.addIssue({ code: 'custom', message: `${error.message}. ${error.fix}` });
    return z.NEVER;
  }
  if (names.includes(index)) return index;
  const known = [...names, 'the address of an engine'];
  const list = `${known.slice(0, -1).join(', ')} nor ${known.at(-1)}`;
  context.addIssue({ code: 'custom', message: `${JSON.stringify(index)} is neither ${list}` });
  return z.NEVER;
}

/**
 * Every setting of an exact search: default, help, validation and type in one place. The command line shows these as options;
 * the report prints them.
 */
export const exactRetrievalSettings = inGroup('Search:', {
  encoder: serverOrNameSchema
    .default('all-minilm-l6-v2')
    .describe('encoder: a model name, a folder, hf:owner/name, or the URL of an embedding server')
    .meta({ valueName: 'NAME' }),
  encoderModel: z.string().optional().describe('name of the model on the embedding server').meta({ valueName: 'NAME' }),
  queryPrefix: z
    .string()
    .optional()
    .describe("text put before every query and expansion (default: the encoder's own, or that of its family)")
    .meta({ valueName: 'TEXT', mayBeBlank: true }),
  documentPrefix: z
    .string()
    .optional()
    .describe("text put before every document (default: the encoder's own, or that of its family)")
    .meta({ valueName: 'TEXT', mayBeBlank: true }),
  batchSize: z
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      'maximum number of texts per call to an embedding server; lowered if the server accepts fewer (default 64)',
    ),
  maxWait: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      `maximum wait, in seconds, that a server may request; if it requests more, the command fails (default ${LONGEST_WAIT_SECONDS})`,
    ),
  precision: z.enum(['f32', 'int8']).default('f32').describe('arithmetic of a local encoder'),
  pooling: z.enum(['mean', 'cls']).optional().describe("pooling (default: the checkpoint's own)"),
  maxLength: z.number().int().positive().optional().describe('maximum length of a text in tokens; the rest is cut off'),
  similarity: z.enum(['dot', 'cosine']).default('dot').describe('similarity of vectors'),
  alpha: alphaSchema.default(DEFAULT_COMBINATION.alpha).describe(ALPHA_HELP).meta({ valueName: ALPHA_VALUES }),
  expansionRole: z
    .enum(['query', 'document'])
    .default('query')
    .describe('embed an expansion as a query or as a document, with the prefix for it'),
  k1: z.number().nonnegative().default(0.9).describe('BM25: saturation of term frequency'),
  b: z.number().min(0).max(1).default(0.4).describe('BM25: weight of document length'),
  analyzer: z
    .enum(ANALYZERS)
    .default('english')
    .describe('BM25: language of the texts (only english removes stop words); standard: no stemming'),
  queryRepeats: queryRepeatsSchema
    .default(DEFAULT_COMBINATION.queryRepeats)
    .describe(REPEATS_HELP)
    .meta({ valueName: REPEATS_VALUES }),
  fields: z
    .enum(BM25_FIELDS)
    .default('flat')
    .describe("BM25: title and text as one field, or multifield: the sum of both fields' scores"),
  fusion: z
    .enum(FUSIONS)
    .default('rrf')
    .describe('fusion: by reciprocal ranks, or by the mean of scores normalised to 0 to 1 over the hits (minmax)'),
  fusionWeight: z.number().min(0).max(1).default(0.5).describe('fusion: weight of dense search; BM25 has the rest'),
  rrfK: z.number().positive().default(60).describe('fusion by reciprocal ranks: k of 1 / (k + rank)'),
  depth: z.number().int().positive().default(1000).describe('documents to retrieve per query'),
  keepSelf: z
    .boolean()
    .default(false)
    .describe('keep documents with the same id as the query (by default removed, unless judged relevant to the query)'),
  threads: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('threads of the encoder and of the search (default: one per core)'),
  offline: offlineOption,
});

/** Options of commands that search with expansions from a file, which may say how they are to be combined. */
export const combinationOptions = inGroup('Search:', {
  alpha: alphaSchema
    .optional()
    .describe(`${ALPHA_HELP} (default: as the strategy of the expansions was published, otherwise 0.5)`)
    .meta({ valueName: ALPHA_VALUES }),
  queryRepeats: queryRepeatsSchema
    .optional()
    .describe(`${REPEATS_HELP} (default: as the strategy of the expansions was published, otherwise 5)`)
    .meta({ valueName: REPEATS_VALUES }),
});

/** Every setting of a search. */
export const retrievalSettings = { ...exactRetrievalSettings, ...feedbackSettings, ...indexSettings };

const schema = z.object(retrievalSettings);
export type RetrievalSettings = z.output<typeof schema>;

/** Fills in the defaults. */
export function defaultRetrievalSettings(overrides: z.input<typeof schema> = {}): RetrievalSettings {
  return schema.parse(overrides);
}
