import { Graph, type Tensor } from '../graph.ts';
import { add, cast, type LayerNormParameters, l2Normalize, layerNorm, linear, reduceSum } from '../operations/index.ts';
import { type TensorSource, WeightPlan } from '../weight-plan.ts';
import { type BertConfig, bertHeadSize, bertPrefix } from './bert-config.ts';
import { bertActivation, bertEmbeddings, bertNorm } from './bert-parts.ts';
import { type BertProducts, RuntimeProducts, StandardProducts } from './bert-products.ts';
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
  const graph = new Graph();
  const weights = new WeightPlan(graph, source, { prefix: bertPrefix(source) });
  const ids = graph.input('ids', 'int32', ['batch', 'sequence']);
  const lengths = graph.input('lengths', 'int32', ['batch']);
  const products = new RuntimeProducts(weights, config, options.precision);
  const hidden = tokenVectors(ids, lengths, products, source);
  graph.output('vectors', textVectors(hidden, lengths, weights, config, options));
  return { graph, weights };
}

/**
 * The same encoder with the inputs and outputs that other programs expect, of ONNX's standard operators only: `input_ids` and
 * `attention_mask`, both int64 // [batch, sequence], padding right → `last_hidden_state` // [batch, sequence, hidden] and
 * `sentence_embedding` // [batch, hidden]
 * @throws ModelError as {@link buildBertEncoder}
 */
export function buildStandardBertEncoder(
  source: TensorSource,
  config: BertConfig,
  options: BertEncoderOptions,
): BertEncoder {
  const graph = new Graph();
  const storage = options.precision;
  const weights = new WeightPlan(graph, source, { prefix: bertPrefix(source), storage });
  const ids = cast(graph.input('input_ids', 'int64', ['batch', 'sequence']), 'int32');
  const mask = cast(graph.input('attention_mask', 'int64', ['batch', 'sequence']), 'float32');
  const lengths = cast(reduceSum(mask, 1), 'int32');
  const products = new StandardProducts(weights, config, options.precision);
  const hidden = tokenVectors(ids, lengths, products, source);
  graph.output('last_hidden_state', hidden);
  graph.output('sentence_embedding', textVectors(hidden, lengths, weights, config, options));
  return { graph, weights };
}

/** // ids [batch, sequence] and lengths [batch], both int32 → [batch, sequence, hidden] */
function tokenVectors(ids: Tensor, lengths: Tensor, products: BertProducts, source: TensorSource): Tensor {
  const { weights, config } = products;
  const { graph } = ids;
  bertHeadSize(source, config);
  const layers = new BertLayers(products);
  let hidden = graph.scope('embeddings', () => bertEmbeddings(weights, config, ids, products));
  for (let index = 0; index < config.num_hidden_layers; index++) {
    hidden = graph.scope(`layer.${index}`, () => layers.layer(hidden, lengths, `encoder.layer.${index}`));
  }
  return hidden;
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
  readonly #products: BertProducts;

  constructor(products: BertProducts) {
    this.#products = products;
  }

  /** Attention and feed-forward, each followed by a residual connection and normalisation. */
  layer(x: Tensor, lengths: Tensor, name: string): Tensor {
    const { config } = this.#products;
    const { hidden_size, intermediate_size } = config;
    const { graph } = x;
    const attended = graph.scope('attention', () => {
      const context = this.#products.attention(x, lengths, `${name}.attention.self`);
      const output = this.#products.linear(context, `${name}.attention.output.dense`, hidden_size, hidden_size);
      return layerNorm(add(output, x), this.#norm(`${name}.attention.output.LayerNorm`));
    });
    return graph.scope('feed-forward', () => {
      const inner = this.#products.linear(attended, `${name}.intermediate.dense`, hidden_size, intermediate_size);
      const output = this.#products.linear(
        bertActivation(config, inner),
        `${name}.output.dense`,
        intermediate_size,
        hidden_size,
      );
      return layerNorm(add(output, attended), this.#norm(`${name}.output.LayerNorm`));
    });
  }

  #norm(name: string): LayerNormParameters {
    return bertNorm(this.#products.weights, this.#products.config, name);
  }
}
