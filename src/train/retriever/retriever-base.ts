import {
  type CuttingTokenizer,
  type EncoderOptions,
  type EncoderRecipe,
  loadEncoderTokenizer,
  readEncoderRecipe,
} from '../../embed/index.ts';
import { type Checkpoint, openCheckpoint, type ResolvedModel } from '../../models/index.ts';
import { ModelError } from '../../system/index.ts';
import type { TrainedPooling } from './packed-texts.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';

/** An encoder to be trained: its weights as they came, and how it turns texts into tokens. */
export interface RetrieverBase {
  recipe: EncoderRecipe & { pooling: TrainedPooling };
  checkpoint: Checkpoint;
  tokenizer: CuttingTokenizer;
  padId: number;
  /** Tokens that the encoder reads of a text in a search. Training may cut texts shorter, which is no reason for a search to do so. */
  ownLength: number;
  /** Tokens of a text without a word, the special ones. */
  emptyTokens: { query: string; document: string };
  close(): Promise<void>;
}

/** How the encoder is read where that differs from what its folder says; the trained encoder's folder then says so. */
export type EncoderReading = Pick<EncoderOptions, 'pooling' | 'maxLength' | 'queryPrefix' | 'documentPrefix'>;

/**
 * Opens an encoder of the BERT family. Vectors that are compared by cosine have length 1 by themselves, too, so that a search
 * averages what training averaged.
 * @throws ModelError if it is broken or of another family; UsageError if the model knows no texts of that length
 */
export async function openRetrieverBase(
  model: ResolvedModel,
  { similarity, maxLength }: Pick<RetrieverTrainingSettings, 'similarity' | 'maxLength'>,
  reading: EncoderReading = {},
): Promise<RetrieverBase> {
  const own = await readEncoderRecipe(model, reading);
  const { pooling } = own;
  if (pooling === 'max') {
    throw new ModelError('uses max pooling, which cannot be trained here', {
      file: model.path,
      fix: 'Use an encoder with mean or CLS pooling.',
    });
  }
  const recipe = {
    ...own,
    pooling,
    maxLength: Math.min(own.maxLength, maxLength),
    normalize: own.normalize || similarity === 'cosine',
  };
  const { tokenizer, cutting } = await loadEncoderTokenizer(recipe);
  const checkpoint = await openCheckpoint(model.path);
  const [query, document] = await cutting.encode([recipe.prefixes.query, recipe.prefixes.document]);
  return {
    ...{ recipe, checkpoint, tokenizer: cutting, padId: tokenizer.padId, ownLength: own.maxLength },
    emptyTokens: { query: query!.ids.join(), document: document!.ids.join() },
    close: () => checkpoint.close(),
  };
}
