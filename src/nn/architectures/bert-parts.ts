import type { Tensor } from '../graph.ts';
import { add, gather, gelu, type LayerNormParameters, layerNorm, pick, range, relu } from '../operations/index.ts';
import type { WeightPlan } from '../weight-plan.ts';
import type { BertConfig } from './bert-config.ts';

// Shared by the encoder for inference and the trainable model; hidden states are // [batch, sequence, hidden]

/**
 * Word + position + type embeddings, normalised; every token is of type 0 // ids [batch, sequence] int32
 * @param words whether the words' table is a weight of floats, or in the storage of the plan
 * @param positions // [batch, sequence] int32; default: each row is one text
 */
export function bertEmbeddings(
  weights: WeightPlan,
  config: BertConfig,
  ids: Tensor,
  { words = 'floats', positions }: { words?: 'floats' | 'stored'; positions?: Tensor | undefined } = {},
): Tensor {
  const { hidden_size, vocab_size, max_position_embeddings, type_vocab_size } = config;
  const table = (kind: string, rows: number) =>
    weights.tensor(`embeddings.${kind}_embeddings.weight`, [rows, hidden_size]);
  const word =
    words === 'floats'
      ? gather(table('word', vocab_size), ids)
      : weights.frozen('embeddings.word_embeddings.weight', [vocab_size, hidden_size]).rows(ids);
  const place = gather(table('position', max_position_embeddings), positions ?? range(ids.graph, 'sequence'));
  const type = pick(table('token_type', type_vocab_size), 0, 0);
  return layerNorm(add(word, add(place, type)), bertNorm(weights, config, 'embeddings.LayerNorm'));
}

/**
 * Returns the weights of a normalisation. Checkpoints converted from TensorFlow call scale and shift gamma and beta.
 */
export function bertNorm(weights: WeightPlan, config: BertConfig, name: string): LayerNormParameters {
  const [scale, shift] = weights.has(`${name}.gamma`) ? ['gamma', 'beta'] : ['weight', 'bias'];
  const size = [config.hidden_size];
  return {
    scale: weights.tensor(`${name}.${scale}`, size),
    shift: weights.tensor(`${name}.${shift}`, size),
    epsilon: config.layer_norm_eps,
  };
}

/** Applies the activation that the configuration names. */
export function bertActivation({ hidden_act }: BertConfig, x: Tensor): Tensor {
  if (hidden_act === 'relu') return relu(x);
  return gelu(x, hidden_act === 'gelu' ? 'none' : 'tanh');
}
