import { z } from 'zod';
import { CANDIDATE_SAMPLES, CANDIDATE_TEMPERATURES, samplingSchema } from '../../generate/index.ts';
import { DEFAULT_ENCODER, DEFAULT_GENERATOR } from '../../models/index.ts';
import { retrievalSettings } from '../../retrieve/index.ts';
import { pairSettings } from '../../reward/index.ts';
import { serverAddressSchema, serverOrNameSchema } from '../../servers/index.ts';
import { DEFAULT_SEED, type RenamedSettings } from '../../system/index.ts';
import {
  generatorTrainingShape,
  RENAMED_GENERATOR_SETTINGS,
  RENAMED_TRL_SETTINGS,
  trlShape,
} from '../../train/index.ts';

/**
 * A recipe: every setting of an alignment, once. Names and defaults are those of the commands that run its stages; the
 * defaults are the published ones if the paper states one.
 */

const share = z.number().min(0).max(1);
const positive = z.number().int().positive();
const seed = z.number().int().min(0).max(0x7fffffff);

const wordnet = z.strictObject({
  kind: z.literal('wordnet').describe('questions about WordNet nouns, glosses as documents; made on the spot'),
  corpus: positive.default(20_000).describe('documents'),
  train: positive.default(400).describe('training queries'),
  dev: positive.default(300).describe('development queries'),
  test: positive.default(1000).describe('test queries'),
  seed: seed.default(13).describe('seed of the data set'),
});

const beir = z.strictObject({
  kind: z.literal('beir').describe("a data set in BEIR's layout"),
  folder: z.string().min(1).describe('its folder'),
  triples: z.string().optional().describe('JSONL of triples to train on, in place of the train split'),
  trainSplit: z.string().default('train').describe('split whose queries are trained on'),
  devSplit: z.string().default('dev').describe('split that alpha is tuned on'),
  testSplit: z.string().default('test').describe('split that is reported'),
});

const writer = {
  servers: z.array(serverAddressSchema).default([]).describe('OpenAI-compatible servers that write in its place'),
  serverModel: z.string().optional().describe("the model's name on these servers"),
  concurrency: positive.default(16).describe('calls to servers at once'),
  sequences: positive.default(32).describe('texts the embedded runtime writes side by side'),
  gpu: z
    .boolean()
    .default(false)
    .describe('let the embedded runtime use the graphics card; without one it stays on the processor'),
  context: positive.optional().describe('tokens of prompt and text together (default: 512 more than maxTokens)'),
};

const { temperature: _varies, ...drawing } = samplingSchema.shape;

const { k1, b, queryRepeats, depth, keepSelf } = retrievalSettings;
const { encoderModel, precision, pooling, maxLength, similarity, expansionRole } = retrievalSettings;
const { queryPrefix, documentPrefix, batchSize, maxWait } = retrievalSettings;

const { method: _ofTheStage, devSize: _pairsAreDivided, ...training } = generatorTrainingShape;
const { beta: _b, lossType: _t, lossWeights: _w, labelSmoothing: _s, ...supervised } = training;

const published = { 'rank-gold': 1, 'rank-answer': 1 };

export const recipeSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dots, dashes and underscores only')
    .describe('names the run folder'),
  description: z.string().optional(),
  seed: seed.default(DEFAULT_SEED).describe('of every stage that is given no seed of its own'),
  rates: z
    .strictObject({
      generation: z.number().positive().optional().describe('tokens that the servers write per second'),
      embedded: z.number().positive().optional().describe('tokens that the embedded runtime writes per second'),
      training: z
        .number()
        .positive()
        .optional()
        .describe('tokens trained on per second, forward and backward together'),
    })
    .prefault({})
    .describe('what the machines do; only --plan reads it, and it is no part of the hash'),
  data: z.discriminatedUnion('kind', [wordnet, beir]),
  generator: z
    .strictObject({ model: z.string().default(DEFAULT_GENERATOR).describe('the LLM that is aligned'), ...writer })
    .prefault({}),
  answerGenerator: z
    .strictObject({ model: z.string().optional().describe('its name; servers need none'), ...writer })
    .refine(({ model, servers }) => model !== undefined || servers.length > 0, 'names neither a model nor servers')
    .optional()
    .describe('another LLM that writes the answers (default: the same)'),
  encoder: z
    .strictObject({
      model: serverOrNameSchema.default(DEFAULT_ENCODER).describe('rewards and judges'),
      ...{ queryPrefix, documentPrefix, batchSize, maxWait },
      ...{ encoderModel, precision, pooling, maxLength, similarity, expansionRole },
    })
    .prefault({}),
  prompt: z
    .string()
    .default('q2d')
    .describe('a published prompt (q2d, q2q, q2e, q2c), a text that holds {query}, or a file with one'),
  candidates: z
    .strictObject({
      queries: positive.optional().describe('training queries, a seeded sample (default: all)'),
      sampleSeed: seed.optional().describe('seed of that sample'),
      samples: positive.default(CANDIDATE_SAMPLES).describe('candidates at each temperature'),
      temperatures: z
        .array(z.number().min(0).max(10))
        .min(1)
        .default([...CANDIDATE_TEMPERATURES]),
      ...drawing,
      seed: seed.optional(),
    })
    .prefault({}),
  answers: z
    .strictObject({
      enabled: z.boolean().default(true).describe('without them only rewards that read no answer can be used'),
      prompt: z.string().default('q2a').describe('q2a, or a file that holds {query} and {document}'),
      ...samplingSchema.shape,
      seed: seed.optional(),
    })
    .prefault({}),
  reward: z
    .strictObject({
      weights: z.record(z.string(), z.number()).default(published).describe('weight of each reward; 0 leaves it out'),
      retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('what change-MEASURE searches with'),
      alpha: z.number().min(0).max(1).default(0.5).describe('weight of the candidate in that search'),
    })
    .prefault({}),
  pairs: z.strictObject({ ...pairSettings, seed: seed.optional() }).prefault({}),
  dpo: z.strictObject({ ...training, seed: seed.optional() }).prefault({}),
  sft: z
    .strictObject({
      enabled: z.boolean().default(true).describe('the baseline: learn to write what was chosen'),
      ...supervised,
      seed: seed.optional(),
    })
    .prefault({}),
  trl: z.strictObject(trlShape).prefault({}).describe('what TRL computes on, where it trains (--engine trl)'),
  expansion: z
    .strictObject({
      ...samplingSchema.shape,
      samples: positive.default(1).describe('expansions a query (N); their vectors are averaged'),
      seeds: z.array(seed).min(1).optional().describe('generation seeds; scores are means over them'),
      servers: z
        .array(z.url())
        .default([])
        .describe('OpenAI-compatible servers that write all arms in place of the embedded runtime'),
      serverModels: z
        .strictObject({ zeroShot: z.string().optional(), sft: z.string().optional(), aligned: z.string().optional() })
        .prefault({})
        .describe('the name of each arm there: that of the base, and those of its adapters'),
    })
    .prefault({}),
  evaluation: z
    .strictObject({
      dataset: z
        .strictObject({
          folder: z.string().min(1),
          devSplit: z.string().default('dev'),
          testSplit: z.string().default('test'),
        })
        .optional()
        .describe("another data set in BEIR's layout to tune and test on"),
      dev: positive.optional().describe('development queries, a seeded sample (default: all)'),
      test: positive.optional().describe('test queries, a seeded sample (default: all)'),
      seed: seed.optional().describe('of these samples and of the randomised tests'),
      alphas: z
        .array(share)
        .min(1)
        .default([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
        .describe('weights of the expansion that each arm is tuned over, on dev'),
      armAlphas: z
        .strictObject({ zeroShot: share.optional(), sft: share.optional(), aligned: share.optional() })
        .prefault({})
        .describe('alphas that were tuned before: such an arm is not tuned again'),
      measure: z.string().default('nDCG@10').describe('tuned and tested'),
      ...{ depth, keepSelf, k1, b, queryRepeats },
      controls: z.boolean().default(false).describe('arms that tell style and length from content'),
      judges: z
        .array(z.string())
        .default([])
        .describe('other searches that score the same expansions: bm25, or an encoder'),
    })
    .prefault({}),
});

/** Names that keys had before, by section. */
export const RENAMED_KEYS: Readonly<Record<string, RenamedSettings>> = {
  dpo: RENAMED_GENERATOR_SETTINGS,
  sft: RENAMED_GENERATOR_SETTINGS,
  trl: RENAMED_TRL_SETTINGS,
};

/** A recipe with nothing left open but what a default would have to know the data for. */
export type Recipe = z.output<typeof recipeSchema>;
