import { z } from 'zod';
import { DEVICES } from '../../nn/index.ts';
import { parseSettings, UsageError, withDefaults } from '../../system/index.ts';
import { RENAMED_TRAINING_SETTINGS, trainingSettingsSchema } from '../loop/training-settings.ts';

/** What a query is searched with, and so what is trained on. */
export const QUERY_SIDES = ['query', 'expansion', 'mean', 'concat', 'mixed'] as const;
export type QuerySide = (typeof QUERY_SIDES)[number];

/** What is learnt from: relevance, a teacher's vectors, a teacher's scores. */
export const RETRIEVER_METHODS = ['infonce', 'distil', 'margin-mse', 'kl', 'ridge'] as const;
export type RetrieverMethod = (typeof RETRIEVER_METHODS)[number];

/** The loop's micro-batches are not used: a contrastive loss needs its batch whole, and cuts it by itself. */
const { packed: _unused, microBatchTokens: _whole, ...loopShape } = trainingSettingsSchema.shape;

/** Every setting of the training of a retriever, with its default: that of the published method if it states one. */
export const retrieverTrainingShape = {
  method: z
    .enum(RETRIEVER_METHODS)
    .default('infonce')
    .describe(
      "learn from relevance (infonce), draw the query's vector to that of the expanded query (distil; ridge: by a linear map in closed form), or follow a teacher's scores (margin-mse, kl)",
    ),
  querySide: z.enum(QUERY_SIDES).default('mean').describe('what stands for a query: see docs/retriever-training.md'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('weight of the expansions in mean, and in the vector that distil draws to'),
  similarity: z
    .enum(['cosine', 'dot'])
    .default('cosine')
    .describe('how vectors are compared; cosine scales them to length 1'),
  temperature: z.number().positive().default(0.02).describe('similarities are divided by it'),
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
    .describe('share of InfoNCE that distil, margin-mse and kl are mixed with'),
  teacherTemperature: z.number().positive().default(1).describe("with kl: the teacher's scores are divided by it"),
  matryoshka: z
    .array(z.number().int().positive())
    .optional()
    .describe('sum the loss over the first N numbers of each vector, for each N (repeatable)')
    .meta({ valueName: 'N' }),
  absoluteMargin: z
    .number()
    .optional()
    .describe('a negative counts only if its similarity is at least this much below that of the positive'),
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
      "train one encoder for queries and documents; or the queries' alone, or a linear map of their vectors, so that an index stays as it is",
    ),
  loraR: z.number().int().positive().optional().describe('train a LoRA adapter of this rank in place of all weights'),
  loraAlpha: z.number().positive().optional().describe('its alpha: the product counts alpha / r fold (default: 2 r)'),
  loraDropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('share of the inputs that the adapter does not see in training'),
  loraTargetModules: z
    .array(z.string())
    .min(1)
    .default(['query', 'value'])
    .describe('linear layers with an adapter (repeatable)')
    .meta({ valueName: 'NAME' }),
  hiddenDropout: z.number().min(0).lt(1).default(0).describe('share of the hidden states that are dropped in training'),
  ridge: z
    .number()
    .positive()
    .optional()
    .describe('with ridge: how strongly the map is drawn to identity (default: chosen on a held-out fifth)'),
  maxLength: z
    .number()
    .int()
    .min(3)
    .default(512)
    .describe('tokens of a text; longer ones are cut, as the encoder cuts them'),
  miniBatchSize: z.number().int().positive().default(64).describe('most texts that go through the encoder together'),
  miniBatchTokens: z
    .number()
    .int()
    .positive()
    .default(4096)
    .describe('most tokens that do; memory follows them, results do not'),
  ...withDefaults(
    loopShape,
    { learningRate: 3e-5, epochs: 3, batchSize: 64, warmupSteps: 0.1, maxGradNorm: 1, saveSteps: 200 },
    {
      epochs: 'passes over the rows; 0.5 is half a pass',
      batchSize: 'rows per optimiser step; the documents of each are negatives of the others',
      seed: 'seed of the order, of the documents and sides chosen, of the first adapter and of dropout',
    },
  ),
  mode: z
    .enum(['auto', 'whole', 'blocks'])
    .default('auto')
    .describe('all activations in memory, or one layer at a time and computed twice; auto goes by --memory'),
  memory: z.number().positive().default(4).describe('GiB that activations may take'),
  device: z.enum(DEVICES).default('cpu').describe('where to compute'),
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
    refuse('batchSize: a batch of one row and one document has nothing to tell apart', 'Give a larger batch or group.');
  }
  if ((method === 'margin-mse' || method === 'kl') && groupSize === 1) {
    refuse(`groupSize: ${method} compares the documents of a query, and one has none beside it`, 'Give 2 or more.');
  }
  if (train === 'projection' && loraR !== undefined) {
    refuse('loraR: a projection trains no layer of the encoder', 'Leave it out, or give train query.');
  }
  if (matryoshka !== undefined && method === 'ridge') {
    refuse('matryoshka: a map in closed form has one size', 'Leave it out.');
  }
  if (method === 'distil' && querySide === 'concat') {
    refuse('querySide: distil draws the query itself to the mean of query and expansions', 'Leave it out.');
  }
}

function refuse(reason: string, fix: string): never {
  throw new UsageError(reason, { fix });
}
