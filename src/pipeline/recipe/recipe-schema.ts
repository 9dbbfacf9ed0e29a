import { z } from 'zod';
import { CANDIDATE_SAMPLES, CANDIDATE_TEMPERATURES, samplingSchema } from '../../generate/index.ts';
import { DEFAULT_ENCODER, DEFAULT_GENERATOR, templateVariablesSchema } from '../../models/index.ts';
import { miningSettings, retrievalSettings } from '../../retrieve/index.ts';
import { pairSettings } from '../../reward/index.ts';
import { serverAddressSchema, serverOrNameSchema } from '../../servers/index.ts';
import { DEFAULT_SEED, type RenamedSettings, withDefaults } from '../../system/index.ts';
import {
  generatorTrainingShape,
  RENAMED_GENERATOR_SETTINGS,
  RENAMED_TRAINING_SETTINGS,
  RENAMED_TRL_SETTINGS,
  retrieverTrainingShape,
  trlShape,
} from '../../train/index.ts';

/**
 * A recipe holds every setting of an alignment. Names and defaults are those of the commands that run its stages;
 * defaults are the published ones if the paper states them.
 */

const share = z.number().min(0).max(1);
const positive = z.number().int().positive();
const seed = z.number().int().min(0).max(0x7fffffff);

const wordnet = z.strictObject({
  kind: z.literal('wordnet').describe('questions about WordNet nouns, with glosses as documents; built when needed'),
  corpus: positive.default(20_000).describe('documents'),
  train: positive.default(400).describe('training queries'),
  dev: positive.default(300).describe('development queries'),
  test: positive.default(1000).describe('test queries'),
  seed: seed.default(13).describe('seed of the data set'),
});

const beir = z.strictObject({
  kind: z.literal('beir').describe("a data set in BEIR's layout"),
  folder: z.string().min(1).describe('its folder'),
  triples: z.string().optional().describe('JSONL file of training triples, replaces the train split'),
  trainSplit: z.string().default('train').describe('split of the training queries'),
  devSplit: z.string().default('dev').describe('split that alpha is tuned on'),
  testSplit: z.string().default('test').describe('split that is reported'),
});

/** Which of the two is trained first in a round. */
export const ORDERS = ['generator-first', 'retriever-first'] as const;

/** Defaults of a writer of texts, for checks whether a setting was changed. */
export const WRITER_DEFAULTS = { concurrency: 16, sequences: 32 };

const writer = {
  servers: z
    .array(serverAddressSchema)
    .default([])
    .describe('OpenAI-compatible servers that write instead of the embedded runtime'),
  serverModel: z.string().optional().describe('name of the model on these servers'),
  concurrency: positive.default(WRITER_DEFAULTS.concurrency).describe('maximum number of concurrent calls to servers'),
  sequences: positive.default(WRITER_DEFAULTS.sequences).describe('texts that the embedded runtime writes in parallel'),
  gpu: z.boolean().default(false).describe('run the embedded runtime on the GPU; without a GPU it uses the CPU'),
  context: positive.optional().describe('context size: tokens of prompt and text together (default: maxTokens + 512)'),
  chatTemplateKwargs: templateVariablesSchema
    .optional()
    .describe('variables of the chat template, such as enable_thinking: false; training uses those of the generator'),
};

const { temperature: _varies, ...drawing } = samplingSchema.shape;

const { k1, b, analyzer, queryRepeats, depth, keepSelf } = retrievalSettings;
const { encoderModel, precision, pooling, maxLength, similarity, expansionRole } = retrievalSettings;
const { queryPrefix, documentPrefix, batchSize, maxWait } = retrievalSettings;

const { method: _ofTheStage, devSize: _pairsAreDivided, ...training } = generatorTrainingShape;
const { beta: _b, lossType: _t, lossWeights: _w, labelSmoothing: _s, ...supervised } = training;

const published = { 'rank-gold': 1, 'rank-answer': 1 };

export const recipeSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dots, dashes and underscores only')
    .describe('name of the recipe and of the run folder'),
  description: z.string().optional(),
  seed: seed.default(DEFAULT_SEED).describe('seed of every stage without its own seed'),
  rates: z
    .strictObject({
      generation: z.number().positive().optional().describe('tokens per second of the servers'),
      embedded: z.number().positive().optional().describe('tokens per second of the embedded runtime'),
      training: z.number().positive().optional().describe('training tokens per second, forward and backward together'),
      retriever: z.number().positive().optional().describe('tokens per second in the training of the encoder'),
    })
    .prefault({})
    .describe('speed of the machines; used by --plan only and not part of the hash'),
  data: z.discriminatedUnion('kind', [wordnet, beir]),
  generator: z
    .strictObject({ model: z.string().default(DEFAULT_GENERATOR).describe('the LLM to align'), ...writer })
    .prefault({}),
  answerGenerator: z
    .strictObject({ model: z.string().optional().describe('name of the model; not needed with servers'), ...writer })
    .refine(({ model, servers }) => model !== undefined || servers.length > 0, 'has neither a model nor servers')
    .optional()
    .describe('another LLM that writes the answers (default: the generator)'),
  encoder: z
    .strictObject({
      model: serverOrNameSchema
        .default(DEFAULT_ENCODER)
        .describe('encoder that rewards the candidates and judges the arms'),
      ...{ queryPrefix, documentPrefix, batchSize, maxWait },
      ...{ encoderModel, precision, pooling, maxLength, similarity, expansionRole },
    })
    .prefault({}),
  prompt: z
    .string()
    .default('q2d')
    .describe('a published prompt (q2d, q2q, q2e, q2c), a text that contains {query}, or a file with such a text'),
  candidates: z
    .strictObject({
      queries: positive.optional().describe('number of training queries, a seeded sample (default: all)'),
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
      enabled: z
        .boolean()
        .default(true)
        .describe('write answers; without them, only rewards that read no answer can be used'),
      prompt: z.string().default('q2a').describe('q2a, or a file that contains {query} and {document}'),
      ...samplingSchema.shape,
      seed: seed.optional(),
    })
    .prefault({}),
  reward: z
    .strictObject({
      weights: z.record(z.string(), z.number()).default(published).describe('weight of each reward; 0 disables it'),
      retriever: z.enum(['dense', 'bm25', 'rrf']).default('dense').describe('retriever of change-MEASURE rewards'),
      alpha: z.number().min(0).max(1).default(0.5).describe('weight of the candidate in that search'),
    })
    .prefault({}),
  pairs: z.strictObject({ ...pairSettings, seed: seed.optional() }).prefault({}),
  order: z
    .enum(ORDERS)
    .default('generator-first')
    .describe(
      'generator-first: the retriever is trained on the expansions of the aligned LLM (LLM-QE); retriever-first: the LLM is aligned to the trained retriever (ExpandR)',
    ),
  rounds: positive
    .default(1)
    .describe(
      'rounds of both trainings; each starts from the models of the round before, and the best on dev is tested',
    ),
  dpo: z.strictObject({ ...training, seed: seed.optional() }).prefault({}),
  sft: z
    .strictObject({
      enabled: z.boolean().default(true).describe('train the SFT baseline, which imitates the chosen answers'),
      ...supervised,
      seed: seed.optional(),
    })
    .prefault({}),
  retriever: z
    .strictObject({
      enabled: z.boolean().default(false).describe('train the encoder on expanded training queries'),
      rows: z
        .string()
        .optional()
        .describe(
          'file of training rows, in a layout of `llm-qe data retriever` (default: the training queries of data)',
        ),
      queries: positive.optional().describe('number of rows, a seeded sample (default: all)'),
      dev: share
        .lt(1)
        .default(0.1)
        .describe('fraction of the rows that is held out; their loss chooses the best checkpoint'),
      devSearch: z
        .boolean()
        .default(false)
        .describe('let a search of the dev queries choose it instead; each evaluation embeds the corpus'),
      start: z
        .enum(['first', 'previous'])
        .default('first')
        .describe("encoder that a later round trains: the recipe's, or that of the round before"),
      ...retrieverTrainingShape,
      seed: seed.optional(),
    })
    .prefault({})
    .describe('rows and training of the retriever; the student learns from the same rows'),
  mine: z
    .strictObject({
      enabled: z.boolean().default(false).describe('mine hard negatives for the rows of the retriever'),
      ...miningSettings,
      seed: seed.optional(),
    })
    .prefault({}),
  student: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('also distil the expansions into an encoder of queries, which searches without an LLM'),
      ...withDefaults(retrieverTrainingShape, { method: 'distil', train: 'query' }),
      seed: seed.optional(),
    })
    .prefault({}),
  trl: z.strictObject(trlShape).prefault({}).describe('hardware and precision of TRL (--engine trl)'),
  expansion: z
    .strictObject({
      ...samplingSchema.shape,
      samples: positive.default(1).describe('expansions per query (N); their vectors are averaged'),
      seeds: z.array(seed).min(1).optional().describe('generation seeds; scores are means over them'),
      servers: z
        .array(z.url())
        .default([])
        .describe('OpenAI-compatible servers that write all arms instead of the embedded runtime'),
      serverModels: z
        .strictObject({ zeroShot: z.string().optional(), sft: z.string().optional(), aligned: z.string().optional() })
        .prefault({})
        .describe('model name of each arm on these servers: the base, and its adapters'),
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
        .describe("another data set in BEIR's layout for tuning and testing"),
      dev: positive.optional().describe('number of dev queries, a seeded sample (default: all)'),
      test: positive.optional().describe('number of test queries, a seeded sample (default: all)'),
      seed: seed.optional().describe('seed of these samples and of the randomisation tests'),
      alphas: z
        .array(share)
        .min(1)
        .default([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
        .describe('weights of the expansion among which each arm is tuned on dev'),
      armAlphas: z
        .strictObject({
          ...{ zeroShot: share.optional(), sft: share.optional(), aligned: share.optional() },
          'retriever+aligned': share.optional(),
        })
        .prefault({})
        .describe('fixed alphas; these arms are not tuned'),
      measure: z.string().default('nDCG@10').describe('measure for tuning and testing'),
      ...{ depth, keepSelf, k1, b, analyzer, queryRepeats },
      controls: z.boolean().default(false).describe('add control arms that separate style and length from content'),
      judges: z
        .array(z.string())
        .default([])
        .describe('further judges that score the same expansions: bm25, or an encoder'),
    })
    .prefault({}),
});

/** Former names of keys, by section. */
export const RENAMED_KEYS: Readonly<Record<string, RenamedSettings>> = {
  dpo: RENAMED_GENERATOR_SETTINGS,
  sft: RENAMED_GENERATOR_SETTINGS,
  retriever: RENAMED_TRAINING_SETTINGS,
  student: RENAMED_TRAINING_SETTINGS,
  trl: RENAMED_TRL_SETTINGS,
};

/** A recipe with all defaults filled in, except those that depend on the data. */
export type Recipe = z.output<typeof recipeSchema>;
