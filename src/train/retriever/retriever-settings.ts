import { z } from 'zod';
import { DEVICES } from '../../nn/index.ts';
import { inGroup, parseSettings, UsageError, withDefaults } from '../../system/index.ts';
import { RENAMED_TRAINING_SETTINGS, trainingSettingsSchema } from '../loop/training-settings.ts';

/** The text or texts that represent a query, in search and in training. */
export const QUERY_SIDES = ['query', 'expansion', 'mean', 'concat', 'mixed'] as const;
export type QuerySide = (typeof QUERY_SIDES)[number];

/** The training signal: relevance, a teacher's vectors, or a teacher's scores. */
export const RETRIEVER_METHODS = ['infonce', 'distil', 'margin-mse', 'kl', 'ridge'] as const;
export type RetrieverMethod = (typeof RETRIEVER_METHODS)[number];

/** The loop's micro-batches are not used: a contrastive loss needs the complete batch, and divides it itself. */
const { packed: _unused, microBatchTokens: _whole, ...loopShape } = trainingSettingsSchema.shape;

/** Settings of the adapter that is trained instead of all weights. */
const adapterShape = {
  loraR: z.number().int().positive().optional().describe('train a LoRA adapter of this rank instead of all weights'),
  loraAlpha: z
    .number()
    .positive()
    .optional()
    .describe('LoRA alpha: the output of the adapter is multiplied by alpha / rank (default: 2 x rank)'),
  loraDropout: z.number().min(0).lt(1).default(0).describe('dropout probability of the inputs of the adapter'),
  loraTargetModules: z
    .array(z.string())
    .min(1)
    .default(['query', 'value'])
    .describe('names of the linear layers that get an adapter')
    .meta({ valueName: 'NAME' }),
};

/** How a batch is computed: these settings affect memory and time, and results by rounding only. */
const computeShape = {
  miniBatchSize: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('maximum number of texts per pass through the encoder (default: by --memory)'),
  miniBatchTokens: z
    .number()
    .int()
    .positive()
    .optional()
    .describe(
      'maximum number of tokens per pass; it affects memory use, but not the results (default: the whole batch if --memory allows, else 4096)',
    ),
  mode: z
    .enum(['auto', 'whole', 'blocks'])
    .default('auto')
    .describe(
      'whole: keep all activations in memory; blocks: compute one layer at a time, twice; auto: choose by --memory',
    ),
  memory: z.number().positive().default(4).describe('GiB that the activations may use'),
  device: z.enum(DEVICES).default('cpu').describe('where to compute'),
};

/** All settings of retriever training. The defaults are those of the published method if it states them. */
export const retrieverTrainingShape = {
  method: z
    .enum(RETRIEVER_METHODS)
    .default('infonce')
    .describe(
      "infonce: learn from relevance; distil: move the query's vector to that of the expanded query; ridge: the same by a linear map in closed form; margin-mse, kl: learn from a teacher's scores",
    ),
  querySide: z
    .enum(QUERY_SIDES)
    .default('mean')
    .describe('texts that represent a query; mean: its vector mixed with the mean vector of the expansions'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('weight of the expansions in --query-side mean, and in the target of distil'),
  similarity: z
    .enum(['cosine', 'dot'])
    .default('cosine')
    .describe('how vectors are compared; cosine scales them to length 1'),
  temperature: z.number().positive().default(0.02).describe('divides the similarities'),
  groupSize: z
    .number()
    .int()
    .min(1)
    .default(2)
    .describe('documents of a query in a batch: one positive, the others its negatives'),
  infonceWeight: z
    .number()
    .min(0)
    .default(0.1)
    .describe('with distil, margin-mse and kl: weight of the InfoNCE loss that is added'),
  teacherTemperature: z.number().positive().default(1).describe("with kl: divides the teacher's scores"),
  matryoshka: z
    .array(z.number().int().positive())
    .optional()
    .describe('also train the first N numbers of each vector to work alone: the loss is summed over all N')
    .meta({ valueName: 'N' }),
  absoluteMargin: z
    .number()
    .optional()
    .describe(
      'a negative counts only if its similarity is at least this much below that of the positive (with a guide: its similarities)',
    ),
  relativeMargin: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('a negative counts only if its similarity is at most 1 - X of that of the positive (.05: 95 %)'),
  train: z
    .enum(['both', 'query', 'projection'])
    .default('both')
    .describe(
      "both: one encoder for queries and documents; query: only the encoder of queries; projection: only a linear map of the queries' vectors; with the last two, existing indexes stay valid",
    ),
  ...inGroup('Adapter:', adapterShape),
  hiddenDropout: z.number().min(0).lt(1).default(0).describe('dropout probability of the hidden states'),
  ridge: z
    .number()
    .positive()
    .optional()
    .describe(
      'with ridge: strength of the pull towards the identity map (default: chosen on a held-out fifth of the rows)',
    ),
  maxLength: z
    .number()
    .int()
    .min(3)
    .default(512)
    .describe('maximum number of tokens per text in training; the trained encoder keeps the limit of the original'),
  ...inGroup('Memory and device:', computeShape),
  ...inGroup(
    'Schedule and optimiser:',
    withDefaults(
      loopShape,
      { learningRate: 3e-5, epochs: 3, batchSize: 64, warmupSteps: 0.1, maxGradNorm: 1, saveSteps: 200 },
      {
        epochs: 'passes over the rows; 0.5 is half a pass',
        batchSize: 'rows per optimiser step; documents of one row are negatives for the others',
        seed: 'seed of the order of rows, the choice of documents and sides, the initial adapter and dropout',
      },
    ),
  ),
};

export const retrieverTrainingSchema = z.strictObject(retrieverTrainingShape);
export type RetrieverTrainingInput = z.input<typeof retrieverTrainingSchema>;
export type RetrieverTrainingSettings = z.output<typeof retrieverTrainingSchema>;

/** Fills in the defaults. @throws UsageError naming the setting, and for settings that do not go together */
export function parseRetrieverSettings(given: RetrieverTrainingInput): RetrieverTrainingSettings {
  const settings = parseSettings(retrieverTrainingSchema, given, {
    what: "a retriever's training",
    renamed: RENAMED_TRAINING_SETTINGS,
  });
  checkTogether(settings);
  return settings;
}

function checkTogether(settings: RetrieverTrainingSettings): void {
  const { method, groupSize, batchSize, loraR, train, matryoshka, querySide } = settings;
  if (batchSize === 1 && groupSize === 1 && method === 'infonce') {
    refuse(
      'batchSize: a batch with one row and one document has nothing to tell apart',
      'Increase batchSize or groupSize.',
    );
  }
  if ((method === 'margin-mse' || method === 'kl') && groupSize === 1) {
    refuse(`groupSize: ${method} compares several documents per query, but the group has only one`, 'Use 2 or more.');
  }
  if (method === 'ridge' && loraR !== undefined) {
    refuse('loraR: ridge fits a linear map, and trains no layer of the encoder', 'Omit it, or use --method distil.');
  }
  if (train === 'projection' && loraR !== undefined) {
    refuse('loraR: a projection does not train the layers of the encoder', 'Omit it, or set train to query.');
  }
  if (matryoshka !== undefined && method === 'ridge') {
    refuse('matryoshka: ridge computes the map for all dimensions at once', 'Omit it.');
  }
  if (method === 'distil' && querySide === 'concat') {
    refuse('querySide: distil trains on the query alone, with the expanded query as its target', 'Omit it.');
  }
}

function refuse(reason: string, fix: string): never {
  throw new UsageError(reason, { fix });
}
