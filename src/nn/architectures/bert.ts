import { Graph, type Tensor } from '../graph.ts';
import {
  add,
  type LayerNormParameters,
  l2Normalize,
  layerNorm,
  linear,
  quantizedLinear,
  quantizedSelfAttention,
  selfAttention,
} from '../operations/index.ts';
import { type TensorSource, WeightPlan } from '../weight-plan.ts';
import { type BertConfig, bertHeadSize, bertPrefix } from './bert-config.ts';
import { bertActivation, bertEmbeddings, bertNorm } from './bert-parts.ts';
import { type PoolingOptions, pool } from './pooling.ts';

export interface BertEncoderOptions extends PoolingOptions {
  /** `int8`: products with weights use bytes, with dynamic quantisation; everything else is in f32. */
  precision: 'f32' | 'int8';
  /** A linear map between pooling and normalisation: `linear.weight` // [hidden, hidden], without a bias */
  dense?: TensorSource | undefined;
}

/** A text encoder: ids // [batch, sequence] and lengths // [batch], both int32 → vectors // [batch, hidden] */
export interface BertEncoder {
  graph: Graph;
  weights: WeightPlan;
}

/**
 * Builds a BERT with its pooling as one graph from the tensors of a checkpoint.
 * @throws ModelError if a tensor is missing or its shape contradicts the configuration
 */
export function buildBertEncoder(source: TensorSource, config: BertConfig, options: BertEncoderOptions): BertEncoder {
  bertHeadSize(source, config);
  const graph = new Graph();
  const weights = new WeightPlan(graph, source, { prefix: bertPrefix(source) });
  const ids = graph.input('ids', 'int32', ['batch', 'sequence']);
  const lengths = graph.input('lengths', 'int32', ['batch']);
  const layers = new BertLayers(weights, config, options.precision);
  let hidden = graph.scope('embeddings', () => bertEmbeddings(weights, config, ids));
  for (let index = 0; index < config.num_hidden_layers; index++) {
    hidden = graph.scope(`layer.${index}`, () => layers.layer(hidden, lengths, `encoder.layer.${index}`));
  }
  graph.output('vectors', textVectors(hidden, lengths, weights, config, options));
  return { graph, weights };
}

function textVectors(
  hidden: Tensor,
  lengths: Tensor,
  weights: WeightPlan,
  { hidden_size: size }: BertConfig,
  { dense, ...pooling }: BertEncoderOptions,
): Tensor {
  if (dense === undefined) return pool(hidden, lengths, pooling);
  const pooled = pool(hidden, lengths, { ...pooling, normalize: false });
  const plan = new WeightPlan(hidden.graph, dense);
  const mapped = linear(pooled, plan.matrix('dense', ['linear.weight'], size, size), undefined);
  for (const [name, load] of plan.loaders) weights.loaders.set(name, load);
  return pooling.normalize ? l2Normalize(mapped) : mapped;
}

/** The layers of a BERT; hidden states are // [batch, sequence, hidden] */
class BertLayers {
  readonly #weights: WeightPlan;
  readonly #config: BertConfig;
  readonly #precision: 'f32' | 'int8';

  constructor(weights: WeightPlan, config: BertConfig, precision: 'f32' | 'int8') {
    this.#weights = weights;
    this.#config = config;
    this.#precision = precision;
  }

  /** Attention and feed-forward, each followed by a residual connection and normalisation. */
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
      const output = this.#linear(
        bertActivation(this.#config, inner),
        `${name}.output.dense`,
        intermediate_size,
        hidden_size,
      );
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

  #norm(name: string): LayerNormParameters {
    return bertNorm(this.#weights, this.#config, name);
  }
}
