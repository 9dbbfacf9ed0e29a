import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import { Graph, type Tensor } from '../graph.ts';
import {
  add,
  cast,
  divide,
  gather,
  gelu,
  type LayerNormParameters,
  l2Normalize,
  layerNorm,
  less,
  linear,
  matmul,
  pick,
  quantizedLinear,
  quantizedSelfAttention,
  range,
  reduceMax,
  relu,
  reshape,
  selfAttention,
  squareRoot,
  unsqueeze,
  where,
} from '../operations/index.ts';
import { type TensorSource, WeightPlan } from '../weight-plan.ts';

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

/** How token vectors become one text vector: their mean, the first, the largest of each column, sum / √count. */
export type Pooling = 'mean' | 'cls' | 'max' | 'mean_sqrt_len';

export interface BertEncoderOptions {
  pooling: Pooling;
  /** Whether text vectors are scaled to length 1. */
  normalize: boolean;
  /** `int8`: the products with weights are of bytes, quantised as they come (dynamically); all else is in f32. */
  precision: 'f32' | 'int8';
}

/** A text encoder: ids // [batch, sequence] and lengths // [batch], both int32 → vectors // [batch, hidden] */
export interface BertEncoder {
  graph: Graph;
  weights: WeightPlan;
}

/**
 * Builds a BERT with its pooling as one graph out of a checkpoint's own tensors.
 * @throws ModelError where a tensor is missing or of another shape than the configuration says
 */
export function buildBertEncoder(source: TensorSource, config: BertConfig, options: BertEncoderOptions): BertEncoder {
  if (config.hidden_size % config.num_attention_heads !== 0) {
    throw new ModelError(`hidden_size ${config.hidden_size} is no multiple of ${config.num_attention_heads} heads`, {
      file: source.path,
      mend: 'Check config.json, or fetch the model again.',
    });
  }
  const graph = new Graph();
  const prefixed = source.tensors().some(({ name }) => name.startsWith('bert.embeddings.'));
  const weights = new WeightPlan(graph, source, { prefix: prefixed ? 'bert.' : '' });
  const ids = graph.input('ids', 'int32', ['batch', 'sequence']);
  const lengths = graph.input('lengths', 'int32', ['batch']);
  const layers = new BertLayers(weights, config, options.precision);
  let hidden = graph.scope('embeddings', () => layers.embeddings(ids));
  for (let index = 0; index < config.num_hidden_layers; index++) {
    hidden = graph.scope(`layer.${index}`, () => layers.layer(hidden, lengths, `encoder.layer.${index}`));
  }
  const pooled = graph.scope('pooling', () => {
    const text = pool(hidden, lengths, options.pooling);
    return options.normalize ? l2Normalize(text) : text;
  });
  graph.output('vectors', pooled);
  return { graph, weights };
}

/** The parts of a BERT; hidden states are // [batch, sequence, hidden] */
class BertLayers {
  readonly #weights: WeightPlan;
  readonly #config: BertConfig;
  readonly #precision: 'f32' | 'int8';

  constructor(weights: WeightPlan, config: BertConfig, precision: 'f32' | 'int8') {
    this.#weights = weights;
    this.#config = config;
    this.#precision = precision;
  }

  /** Word + position + type embeddings, normalised; every token is of type 0. */
  embeddings(ids: Tensor): Tensor {
    const { hidden_size, vocab_size, max_position_embeddings, type_vocab_size } = this.#config;
    const table = (kind: string, rows: number) =>
      this.#weights.tensor(`embeddings.${kind}_embeddings.weight`, [rows, hidden_size]);
    const word = gather(table('word', vocab_size), ids);
    const place = gather(table('position', max_position_embeddings), range(ids.graph, 'sequence'));
    const type = pick(table('token_type', type_vocab_size), 0, 0);
    return layerNorm(add(word, add(place, type)), this.#norm('embeddings.LayerNorm'));
  }

  /** Attention and feed-forward, each followed by residual and normalisation. */
  layer(x: Tensor, lengths: Tensor, name: string): Tensor {
    const { hidden_size, intermediate_size } = this.#config;
    const { graph } = x;
    const attended = graph.scope('attention', () => {
      const context = this.#attention(x, lengths, `${name}.attention.self`);
      const output = this.#linear(context, `${name}.attention.output.dense`, hidden_size, hidden_size);
      return layerNorm(add(output, x), this.#norm(`${name}.attention.output.LayerNorm`));
    });
    return graph.scope('feed-forward', () => {
      const inner = this.#linear(attended, `${name}.intermediate.dense`, hidden_size, intermediate_size);
      const output = this.#linear(this.#activation(inner), `${name}.output.dense`, intermediate_size, hidden_size);
      return layerNorm(add(output, attended), this.#norm(`${name}.output.LayerNorm`));
    });
  }

  #attention(x: Tensor, lengths: Tensor, name: string): Tensor {
    const { hidden_size, num_attention_heads } = this.#config;
    const parts = ['query', 'key', 'value'].map((part) => `${name}.${part}`);
    const matrices = parts.map((part) => `${part}.weight`);
    const biases = parts.map((part) => `${part}.bias`);
    const bias = this.#weights.joined(`${name}.qkv.bias`, biases, hidden_size);
    if (this.#precision === 'int8') {
      const weight = this.#weights.quantizedMatrix(`${name}.qkv.weight`, matrices, hidden_size, hidden_size);
      return quantizedSelfAttention(x, weight, bias, lengths, num_attention_heads);
    }
    const weight = this.#weights.matrix(`${name}.qkv.weight`, matrices, hidden_size, hidden_size);
    return selfAttention(x, weight, bias, lengths, num_attention_heads);
  }

  #linear(x: Tensor, name: string, input: number, output: number): Tensor {
    const bias = this.#weights.tensor(`${name}.bias`, [output]);
    const matrix = `${name}.weight`;
    if (this.#precision === 'int8') {
      return quantizedLinear(x, this.#weights.quantizedMatrix(matrix, [matrix], input, output), bias);
    }
    return linear(x, this.#weights.matrix(matrix, [matrix], input, output), bias);
  }

  #activation(x: Tensor): Tensor {
    const { hidden_act } = this.#config;
    if (hidden_act === 'relu') return relu(x);
    return gelu(x, hidden_act === 'gelu' ? 'none' : 'tanh');
  }

  /** Checkpoints converted from TensorFlow name scale and shift gamma and beta. */
  #norm(name: string): LayerNormParameters {
    const [scale, shift] = this.#weights.has(`${name}.gamma`) ? ['gamma', 'beta'] : ['weight', 'bias'];
    const size = [this.#config.hidden_size];
    return {
      scale: this.#weights.tensor(`${name}.${scale}`, size),
      shift: this.#weights.tensor(`${name}.${shift}`, size),
      epsilon: this.#config.layer_norm_eps,
    };
  }
}

/** Token vectors to text vectors, padding left out // [batch, sequence, hidden], [batch] → [batch, hidden] */
function pool(hidden: Tensor, lengths: Tensor, pooling: Pooling): Tensor {
  if (pooling === 'cls') return pick(hidden, 1, 0);
  const { graph } = hidden;
  const size = hidden.shape[2]!;
  const length = unsqueeze(lengths, 1);
  const real = less(unsqueeze(range(graph, 'sequence'), 0), length); // [batch, sequence]
  if (pooling === 'max') {
    const lowest = graph.constant(Float32Array.of(-3.4e38), []);
    return reduceMax(where(unsqueeze(real, 2), hidden, lowest), 1);
  }
  const count = cast(length, 'float32');
  const share = divide(cast(real, 'float32'), pooling === 'mean' ? count : squareRoot(count));
  return reshape(matmul(unsqueeze(share, 1), hidden), ['batch', size]);
}
