import type { Block, BlockModel } from '../block-model.ts';
import type { Tensor } from '../graph.ts';
import {
  add,
  attend,
  branchMask,
  flattenRows,
  gather,
  logSoftmax,
  multiply,
  pickLast,
  reshape,
  rmsNorm,
  rotate,
  silu,
  tokenLogProbabilities,
  transpose,
} from '../operations/index.ts';
import { type PlanOptions, type TensorSource, WeightPlan } from '../weight-plan.ts';
import type { LlamaConfig } from './llama-config.ts';

const EMBEDDINGS = 'model.embed_tokens';

/**
 * Makes a causal language model as a chain of blocks: embeddings, then the layers. Inputs, all int32
 * // [batch, sequence]: `tokens`; `positions`, the position of each token in its text; `text`, the text it belongs to;
 * `branch`, the branch of the text (see {@link branchMask}). Modules have their Transformers names.
 */
export function llamaModel(source: TensorSource, config: LlamaConfig, options: PlanOptions = {}): BlockModel {
  const layers = Array.from({ length: config.layers }, (_, index): Block => {
    return { name: `layer.${index}`, build: (weights, x) => layer(weights, config, x!, `model.layers.${index}`) };
  });
  const embeddings: Block = {
    name: 'embeddings',
    build: (weights) => embed(weights, config, tokenInput(weights, 'tokens')),
  };
  return {
    blocks: [embeddings, ...layers],
    plan: (graph, training) => new WeightPlan(graph, source, { ...options, training }),
  };
}

/** Returns the logits of every token // [batch, sequence, hidden] → [batch, sequence, vocabulary] */
export function llamaLogits(weights: WeightPlan, config: LlamaConfig, x: Tensor): Tensor {
  return weights.linear(finalNorm(weights, config, x), outputModule(config), tableShape(config), false);
}

/**
 * Returns the log-probabilities of the scored tokens, and computes logits only for them. Inputs, both int32
 * // [chunks, rows]: `scored`, places in the flattened batch at which the next token is scored; `targets`, these next
 * tokens. The rows of a chunk are computed together and the chunks one after the other, unless the vocabulary table
 * itself is trained.
 * @param x // [batch, sequence, hidden]
 * @returns // [chunks, rows]
 */
export function llamaLogProbabilities(weights: WeightPlan, config: LlamaConfig, x: Tensor): Tensor {
  const { graph } = weights;
  const scored = graph.input('scored', 'int32', ['chunks', 'rows']);
  const targets = graph.input('targets', 'int32', ['chunks', 'rows']);
  const hidden = finalNorm(weights, config, gather(flattenRows(x), scored)); // [chunks, rows, hidden]
  const module = outputModule(config);
  if (weights.trains(`${module}.weight`)) {
    return pickLast(logSoftmax(weights.linear(hidden, module, tableShape(config), false)), targets);
  }
  const table = weights.frozen(`${module}.weight`, tableShape(config));
  return graph.scope('output', () => tokenLogProbabilities(hidden, table, targets, weights.training));
}

/** Attention and feed-forward, each after a normalisation and with a residual // [batch, sequence, hidden] */
function layer(weights: WeightPlan, config: LlamaConfig, x: Tensor, name: string): Tensor {
  const { graph } = weights;
  const { hidden, intermediate } = config;
  const attended = graph.scope('attention', () => {
    const normal = norm(weights, config, x, `${name}.input_layernorm`);
    return add(x, attention(weights, config, normal, `${name}.self_attn`));
  });
  return graph.scope('feed-forward', () => {
    const normal = norm(weights, config, attended, `${name}.post_attention_layernorm`);
    const gate = silu(weights.linear(normal, `${name}.mlp.gate_proj`, [intermediate, hidden], false));
    const up = weights.linear(normal, `${name}.mlp.up_proj`, [intermediate, hidden], false);
    return add(attended, weights.linear(multiply(gate, up), `${name}.mlp.down_proj`, [hidden, intermediate], false));
  });
}

function attention(weights: WeightPlan, config: LlamaConfig, x: Tensor, name: string): Tensor {
  const { graph } = weights;
  const { hidden, heads, keyHeads, headSize, attentionBias, outputBias } = config;
  const positions = tokenInput(weights, 'positions');
  const project = (kind: string, count: number) => {
    const rows = weights.linear(x, `${name}.${kind}_proj`, [count * headSize, hidden], attentionBias);
    return transpose(normalized(kind, reshape(rows, ['batch', 'sequence', count, headSize])), [0, 2, 1, 3]);
  };
  const normalized = (kind: string, rows: Tensor) =>
    config.normalizesHeads && kind !== 'v'
      ? rmsNorm(rows, weights.tensor(`${name}.${kind}_norm.weight`, [headSize]), config.epsilon)
      : rows;
  const query = rotate(project('q', heads), positions, config.rotary);
  const key = rotate(project('k', keyHeads), positions, config.rotary);
  const text = tokenInput(weights, 'text');
  const mask = graph.once('mask', () => branchMask(text, tokenInput(weights, 'branch')));
  const mixed = transpose(attend(query, key, project('v', keyHeads), mask), [0, 2, 1, 3]);
  const joined = reshape(mixed, ['batch', 'sequence', heads * headSize]);
  return weights.linear(joined, `${name}.o_proj`, [hidden, heads * headSize], outputBias);
}

function norm(weights: WeightPlan, { hidden, epsilon }: LlamaConfig, x: Tensor, name: string): Tensor {
  return rmsNorm(x, weights.tensor(`${name}.weight`, [hidden]), epsilon);
}

function finalNorm(weights: WeightPlan, config: LlamaConfig, x: Tensor): Tensor {
  return weights.graph.scope('output', () => norm(weights, config, x, 'model.norm'));
}

function embed(weights: WeightPlan, config: LlamaConfig, tokens: Tensor): Tensor {
  const name = `${EMBEDDINGS}.weight`;
  if (weights.trains(name)) return gather(weights.tensor(name, tableShape(config)), tokens);
  return weights.frozen(name, tableShape(config)).rows(tokens);
}

function tableShape({ vocabulary, hidden }: LlamaConfig): [number, number] {
  return [vocabulary, hidden];
}

function outputModule({ tied }: LlamaConfig): string {
  return tied ? EMBEDDINGS : 'lm_head';
}

function tokenInput(weights: WeightPlan, name: string): Tensor {
  return weights.graph.input(name, 'int32', ['batch', 'sequence']);
}
