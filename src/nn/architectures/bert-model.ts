import type { Block, BlockModel } from '../block-model.ts';
import type { Tensor } from '../graph.ts';
import {
  add,
  attend,
  dropout,
  gather,
  layerNorm,
  matmul,
  paddingMask,
  reshape,
  textMask,
  transpose,
} from '../operations/index.ts';
import { type PlanOptions, type TensorSource, WeightPlan } from '../weight-plan.ts';
import { type BertConfig, bertHeadSize, bertPrefix } from './bert-config.ts';
import { bertActivation, bertEmbeddings, bertNorm } from './bert-parts.ts';
import { type PoolingOptions, pool } from './pooling.ts';

export interface BertModelOptions extends PlanOptions {
  /** Share of the hidden states that are dropped in training, as BERT's hidden_dropout_prob; default 0. */
  hiddenDropout?: number;
  /**
   * Whether a row may hold several texts, which do not see each other. The inputs are then `ids`, `positions` and `text`, the number
   * of each token's text in its row, all // [batch, sequence] int32; and those of {@link packedVectors}.
   */
  packed?: boolean;
}

/**
 * Makes a trainable BERT as a chain of blocks: embeddings, then the layers. Inputs if it is not packed, both int32:
 * `ids` // [batch, sequence] and `lengths` // [batch]. Modules have their Transformers names, by which tensors can be
 * trained or adapted. For encoding only, `bert.ts` is faster.
 *
 * @param options `prefix`: default `bert.` if the checkpoint uses it
 * @throws ModelError if the hidden size is not a multiple of the heads; when a graph is planned, if a tensor is missing
 * or its shape contradicts the configuration
 */
export function bertModel(source: TensorSource, config: BertConfig, options: BertModelOptions = {}): BlockModel {
  const { hiddenDropout = 0, packed = false, ...planned } = options;
  const head = bertHeadSize(source, config);
  const embeddings: Block = {
    name: 'embeddings',
    build: (weights) => {
      const ids = weights.graph.input('ids', 'int32', ['batch', 'sequence']);
      const positions = packed ? weights.graph.input('positions', 'int32', ids.shape) : undefined;
      return dropped(weights, bertEmbeddings(weights, config, ids, { positions }), 'embeddings', hiddenDropout);
    },
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, index): Block => {
    return {
      name: `layer.${index}`,
      build: (weights, x) => layer(weights, config, { head, hiddenDropout, packed }, x!, `encoder.layer.${index}`),
    };
  });
  const plan = { ...planned, prefix: options.prefix ?? bertPrefix(source) };
  return {
    blocks: [embeddings, ...layers],
    plan: (graph, training) => new WeightPlan(graph, source, { ...plan, training }),
  };
}

/** Returns the vectors of the texts, for a loss // [batch, sequence, hidden] → [batch, hidden] */
export function bertVectors(weights: WeightPlan, x: Tensor, options: PoolingOptions): Tensor {
  return pool(x, lengthsOf(weights), options);
}

/**
 * Returns the vectors of packed texts: weighted sums of the states of each row's tokens, then the rows of these sums in the order of
 * the texts. Inputs: `pool`, the weights // [batch, slots, sequence], and `places` // [texts] int32.
 * // [batch, sequence, hidden] → [texts, hidden]
 */
export function packedVectors(weights: WeightPlan, x: Tensor): Tensor {
  const { graph } = weights;
  const hidden = x.shape[2]!;
  const sums = matmul(graph.input('pool', 'float32', ['batch', 'slots', 'sequence']), x);
  return gather(reshape(sums, ['batch·slots', hidden]), graph.input('places', 'int32', ['texts']));
}

/** Dropout of hidden states, in training // [batch, sequence, hidden] */
function dropped(weights: WeightPlan, x: Tensor, name: string, rate: number): Tensor {
  if (!weights.training || rate === 0) return x;
  return dropout(x, weights.graph.mask(`dropout/${name}`, x.shape, rate), rate);
}

/** Attention and feed-forward, each followed by a residual connection and normalisation // [batch, sequence, hidden] */
function layer(
  weights: WeightPlan,
  config: BertConfig,
  { head, hiddenDropout, packed }: { head: number; hiddenDropout: number; packed: boolean },
  x: Tensor,
  name: string,
): Tensor {
  const { hidden_size: hidden, intermediate_size: inner } = config;
  const { graph } = weights;
  const attended = graph.scope('attention', () => {
    const context = attention(weights, config, { head, packed }, x, `${name}.attention.self`);
    const output = weights.linear(context, `${name}.attention.output.dense`, [hidden, hidden], true);
    const kept = dropped(weights, output, `${name}.attention.output`, hiddenDropout);
    return layerNorm(add(kept, x), bertNorm(weights, config, `${name}.attention.output.LayerNorm`));
  });
  return graph.scope('feed-forward', () => {
    const wide = weights.linear(attended, `${name}.intermediate.dense`, [inner, hidden], true);
    const output = weights.linear(bertActivation(config, wide), `${name}.output.dense`, [hidden, inner], true);
    const kept = dropped(weights, output, `${name}.output`, hiddenDropout);
    return layerNorm(add(kept, attended), bertNorm(weights, config, `${name}.output.LayerNorm`));
  });
}

function attention(
  weights: WeightPlan,
  config: BertConfig,
  { head, packed }: { head: number; packed: boolean },
  x: Tensor,
  name: string,
): Tensor {
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  const project = (kind: string) => {
    const rows = weights.linear(x, `${name}.${kind}`, [hidden, hidden], true);
    return transpose(reshape(rows, ['batch', 'sequence', heads, head]), [0, 2, 1, 3]);
  };
  const { graph } = weights;
  const text = () => graph.input('text', 'int32', ['batch', 'sequence']);
  const mask = graph.once('mask', () => (packed ? textMask(text()) : paddingMask(lengthsOf(weights), 'sequence')));
  const mixed = attend(project('query'), project('key'), project('value'), mask);
  return reshape(transpose(mixed, [0, 2, 1, 3]), ['batch', 'sequence', hidden]);
}

function lengthsOf(weights: WeightPlan): Tensor {
  return weights.graph.input('lengths', 'int32', ['batch']);
}
