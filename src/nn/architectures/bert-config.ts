import { z } from 'zod';
import { numbers } from '../../models/index.ts';
import { ModelError } from '../../system/index.ts';
import type { TensorSource } from '../weight-plan.ts';

/** The settings used from the `config.json` of a BERT (Devlin et al. 2019; names as in Transformers' BertConfig). */
export const bertConfigSchema = z.object({
  model_type: z.literal('bert').default('bert'),
  vocab_size: numbers.vocabulary,
  hidden_size: numbers.width,
  num_hidden_layers: numbers.layers,
  num_attention_heads: numbers.heads,
  intermediate_size: numbers.innerWidth,
  hidden_act: z.enum(['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu']).default('gelu'),
  layer_norm_eps: numbers.epsilon.default(1e-12),
  max_position_embeddings: numbers.tokens,
  type_vocab_size: numbers.vocabulary.default(2),
  position_embedding_type: z.literal('absolute').default('absolute'),
});
export type BertConfig = z.output<typeof bertConfigSchema>;

/** Returns the prefix of the names in a checkpoint: `bert.` if it was saved with a head, else none. */
export function bertPrefix(source: TensorSource): string {
  return source.tensors().some(({ name }) => name.startsWith('bert.embeddings.')) ? 'bert.' : '';
}

/** Returns the size of one head. @throws ModelError if the hidden size is not a multiple of the heads */
export function bertHeadSize(source: TensorSource, { hidden_size, num_attention_heads }: BertConfig): number {
  if (hidden_size % num_attention_heads === 0) return hidden_size / num_attention_heads;
  throw new ModelError(`hidden_size ${hidden_size} is not a multiple of ${num_attention_heads} heads`, {
    file: source.path,
    fix: 'Check config.json, or download the model again.',
  });
}
