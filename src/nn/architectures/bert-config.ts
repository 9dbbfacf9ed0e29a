import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { TensorSource } from '../weight-plan.ts';

/** What is used of the `config.json` of a BERT (Devlin et al. 2019; names as in Transformers' BertConfig). */
export const bertConfigSchema = z.object({
  model_type: z.literal('bert').default('bert'),
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  intermediate_size: z.int().positive(),
  hidden_act: z.enum(['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu']).default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-12),
  max_position_embeddings: z.int().positive(),
  type_vocab_size: z.int().positive().default(2),
  position_embedding_type: z.literal('absolute').default('absolute'),
});
export type BertConfig = z.output<typeof bertConfigSchema>;

/** What stands before the names in a checkpoint: `bert.` where it was saved with a head, else nothing. */
export function bertPrefix(source: TensorSource): string {
  return source.tensors().some(({ name }) => name.startsWith('bert.embeddings.')) ? 'bert.' : '';
}

/** Numbers of one head. @throws ModelError where the heads do not share the hidden size evenly */
export function bertHeadSize(source: TensorSource, { hidden_size, num_attention_heads }: BertConfig): number {
  if (hidden_size % num_attention_heads === 0) return hidden_size / num_attention_heads;
  throw new ModelError(`hidden_size ${hidden_size} is no multiple of ${num_attention_heads} heads`, {
    file: source.path,
    fix: 'Check config.json, or fetch the model again.',
  });
}
