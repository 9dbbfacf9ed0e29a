import { LlmQeError } from '../../system/index.ts';
import {
  type RetrieverMemory,
  type RetrieverTrainingSettings,
  retrieverMemory,
  totalSteps,
} from '../../train/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { type Estimate, encodingSeconds, type Known, many, NUMBER_BYTES } from '../run/estimates.ts';
import type { ModelFacts } from '../run/model-facts.ts';
import { hasGivenNegatives } from './retriever-data-stage.ts';

/** Bytes of a parameter in a checkpoint: its value and AdamW's two running means. */
const SAVED_BYTES = 12;
/** Checkpoints that are kept: the last and the best. */
const CHECKPOINTS = 2;
/** Assumed tokens of a query. */
const QUERY_TOKENS = 20;

/** The maximum cost of an encoder's training. Expansions are counted at their limit, documents at their mean length. */
export async function estimateRetriever(
  recipe: Recipe,
  known: Known,
  settings: RetrieverTrainingSettings,
): Promise<Estimate> {
  const { counts, encoder, rates } = known;
  const rows = Math.ceil(counts.rows * (1 - recipe.retriever.dev));
  const steps = settings.method === 'ridge' ? 1 : totalSteps(rows, settings);
  const seen = settings.method === 'ridge' ? rows : Math.min(steps * settings.batchSize, rows * settings.epochs);
  const tokens = seen * rowTokens(recipe, known, settings);
  const evaluations = recipe.retriever.devSearch ? 1 + steps / (settings.evalSteps ?? steps / settings.epochs) : 0;
  const memory = await memoryOf(encoder, settings);
  const trained = memory?.parameters ?? encoder.parameters;
  return {
    work: `${many(rows, 'row')}, ${many(steps, 'step')}`,
    tokens,
    bytes: CHECKPOINTS * SAVED_BYTES * trained + 2 * NUMBER_BYTES * encoder.parameters,
    seconds: tokens / rates.retriever + (evaluations > 0 ? evaluations * encodingSeconds(counts.corpus, encoder) : 0),
    memory: memory?.bytes ?? Number.NaN,
  };
}

/** Undefined if the encoder is not available, or cannot be trained so: checks report why. */
async function memoryOf(
  { model }: ModelFacts,
  settings: RetrieverTrainingSettings,
): Promise<RetrieverMemory | undefined> {
  if (model === undefined) return undefined;
  return retrieverMemory(model, settings).catch((error: unknown) => {
    if (error instanceof LlmQeError) return undefined;
    throw error;
  });
}

/** Tokens of a row: its query with its expansions, and its documents. */
function rowTokens(
  recipe: Recipe,
  { counts }: Known,
  { querySide, method, groupSize, maxLength }: RetrieverTrainingSettings,
): number {
  const { expansion, mine } = recipe;
  const expanded = expansion.samples * Math.min(expansion.maxTokens, maxLength);
  const isExpanded = querySide !== 'query' || method === 'distil' || method === 'ridge';
  const documents = mine.enabled || hasGivenNegatives(recipe) ? groupSize : 1;
  return QUERY_TOKENS + (isExpanded ? expanded : 0) + documents * Math.min(counts.documentTokens, maxLength);
}
