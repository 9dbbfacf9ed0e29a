import type { Tensor } from '../graph.ts';
import {
  add,
  linear,
  matmul,
  multiply,
  paddingMask,
  quantizedLinear,
  quantizedSelfAttention,
  reshape,
  scalar,
  selfAttention,
  softmax,
  standardQuantizedLinear,
  transpose,
} from '../operations/index.ts';
import type { WeightPlan } from '../weight-plan.ts';
import type { BertConfig } from './bert-config.ts';

/** The matrix products of a BERT, in f32 or with bytes; hidden states are // [batch, sequence, hidden] */
export abstract class BertProducts {
  readonly weights: WeightPlan;
  readonly config: BertConfig;
  protected readonly precision: 'f32' | 'int8';
  protected abstract readonly quantizedLinear: typeof quantizedLinear;
  /** Whether the table of words is in floats or in the plan's storage. */
  abstract readonly words: 'floats' | 'stored';

  constructor(weights: WeightPlan, config: BertConfig, precision: 'f32' | 'int8') {
    this.weights = weights;
    this.config = config;
    this.precision = precision;
  }

  /** Self-attention; the module `name` has query, key and value. Texts end after `lengths` tokens. */
  abstract attention(x: Tensor, lengths: Tensor, name: string): Tensor;

  linear(x: Tensor, name: string, input: number, output: number): Tensor {
    const bias = this.weights.tensor(`${name}.bias`, [output]);
    const matrix = `${name}.weight`;
    if (this.precision === 'int8') {
      return this.quantizedLinear(x, this.weights.quantizedMatrix(matrix, [matrix], input, output), bias);
    }
    return linear(x, this.weights.matrix(matrix, [matrix], input, output), bias);
  }
}

/** By operators of ONNX Runtime's own domain: the fastest way on a CPU. */
export class RuntimeProducts extends BertProducts {
  protected readonly quantizedLinear = quantizedLinear;
  readonly words = 'floats';

  attention(x: Tensor, lengths: Tensor, name: string): Tensor {
    const { hidden_size, num_attention_heads } = this.config;
    const parts = ['query', 'key', 'value'].map((part) => `${name}.${part}`);
    const matrices = parts.map((part) => `${part}.weight`);
    const biases = parts.map((part) => `${part}.bias`);
    const bias = this.weights.joined(`${name}.qkv.bias`, biases, hidden_size);
    if (this.precision === 'int8') {
      const weight = this.weights.quantizedMatrix(`${name}.qkv.weight`, matrices, hidden_size, hidden_size);
      return quantizedSelfAttention(x, weight, bias, lengths, num_attention_heads);
    }
    const weight = this.weights.matrix(`${name}.qkv.weight`, matrices, hidden_size, hidden_size);
    return selfAttention(x, weight, bias, lengths, num_attention_heads);
  }
}

/** By ONNX's standard operators only, for every runtime. */
export class StandardProducts extends BertProducts {
  protected readonly quantizedLinear = standardQuantizedLinear;
  readonly words = 'stored';

  attention(x: Tensor, lengths: Tensor, name: string): Tensor {
    const { hidden_size: hidden, num_attention_heads: heads } = this.config;
    const size = hidden / heads;
    const project = (part: string, axes: number[]) => {
      const rows = this.linear(x, `${name}.${part}`, hidden, hidden);
      return transpose(reshape(rows, ['batch', 'sequence', heads, size]), axes);
    };
    const query = project('query', [0, 2, 1, 3]);
    const key = project('key', [0, 2, 3, 1]);
    const mask = x.graph.once('mask', () => paddingMask(lengths, 'sequence'));
    const scores = multiply(matmul(query, key), scalar(x, 1 / Math.sqrt(size)));
    const mixed = matmul(softmax(add(scores, mask)), project('value', [0, 2, 1, 3]));
    return reshape(transpose(mixed, [0, 2, 1, 3]), ['batch', 'sequence', hidden]);
  }
}
