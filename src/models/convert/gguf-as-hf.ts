import { ModelError } from '../../system/index.ts';
import type { Checkpoint, TensorInfo } from '../formats/checkpoint-contract.ts';
import { unknownTensor } from '../formats/checkpoint-index.ts';
import { GGUF_ARCHITECTURES, ggufNameOf, hfNameOf, permutedHeads } from './gguf-names.ts';
import { type Llama3Scaling, llama3ScalingOf } from './rope-scaling.ts';
import { rowsAsHalves } from './rotary-rows.ts';

/** A tensor that is not a weight: the divisors of Llama 3.1's rotary frequencies. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** Settings (keys without the architecture) that make a network compute something other than the plain one. */
const CHANGED_NETWORKS = [
  'expert_count',
  'attention.scale',
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'attention.shared_kv_layers',
];

/**
 * Wraps a GGUF file as the Transformers checkpoint it was made from: with Transformers' names, and the rows of query
 * and key projections in Transformers' order. `lm_head.weight` is absent if it is tied to the embedding. Closing the
 * wrapper closes the file.
 * @throws ModelError if the architecture is not llama, qwen2 or qwen3, or has a tensor that these lack
 */
export function hfCheckpointOfGguf(gguf: Checkpoint): Checkpoint {
  return new HfView(gguf);
}

class HfView implements Checkpoint {
  readonly #gguf: Checkpoint;
  readonly #facts: GgufFacts;
  readonly #tensors: Map<string, TensorInfo>;

  constructor(gguf: Checkpoint) {
    this.#gguf = gguf;
    this.#facts = new GgufFacts(gguf);
    this.#tensors = new Map();
    for (const info of gguf.tensors()) {
      if (info.name === ROPE_FACTORS) continue;
      const name = hfNameOf(info.name);
      if (name === undefined) throw strangeTensor(gguf.path, info.name, this.#facts.architecture);
      this.#tensors.set(name, { ...info, name });
    }
  }

  get path(): string {
    return this.#gguf.path;
  }

  tensors(): TensorInfo[] {
    return [...this.#tensors.values()];
  }

  async read(name: string): Promise<Float32Array> {
    const info = this.#tensors.get(name);
    if (info === undefined) throw unknownTensor(this.path, name);
    const data = await this.#gguf.read(ggufNameOf(name)!);
    const heads = permutedHeads(this.#facts.architecture, name);
    if (heads === undefined) return data;
    const count = heads === 'query' ? this.#facts.heads : this.#facts.keyHeads;
    return rowsAsHalves(data, info.shape[0]!, count);
  }

  metadata(): Record<string, unknown> {
    return this.#gguf.metadata();
  }

  close(): Promise<void> {
    return this.#gguf.close();
  }
}

function strangeTensor(file: string, id: string, architecture: string): ModelError {
  return new ModelError(`a plain ${architecture} model has no such tensor`, {
    file,
    id,
    fix: 'Use a dense model of the Llama, Mistral, Qwen2 or Qwen3 family.',
  });
}

/** The `config.json` of a model of the Llama family, as Transformers writes it. */
export interface HfLanguageConfig {
  architectures: string[];
  model_type: string;
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  max_position_embeddings: number;
  hidden_act: 'silu';
  rms_norm_eps: number;
  rope_theta: number;
  rope_scaling: Llama3Scaling | Record<string, number | string> | null;
  attention_bias: boolean;
  mlp_bias: boolean;
  tie_word_embeddings: boolean;
  bos_token_id: number | null;
  eos_token_id: number | null;
}

const CLASSES: Readonly<Record<string, string>> = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
};

/**
 * Derives `config.json` from a GGUF file's metadata and tensors. GGUF's `llama` includes Mistral, which computes the
 * same and becomes "llama".
 * @throws ModelError if a setting is missing or the network is not a plain one of the Llama family
 */
export async function hfConfigOfGguf(gguf: Checkpoint): Promise<HfLanguageConfig> {
  const facts = new GgufFacts(gguf);
  const { architecture, heads, keyHeads, headDimension } = facts;
  const shapes = new Map(gguf.tensors().map(({ name, shape }) => [name, shape]));
  const token = (name: string): number | null => facts.numberOr(`tokenizer.ggml.${name}_token_id`, undefined) ?? null;
  const embedding = shapes.get('token_embd.weight');
  if (embedding === undefined) throw unknownTensor(gguf.path, 'token_embd.weight');
  const theta = facts.numberOr(`${architecture}.rope.freq_base`, 10000);
  return {
    architectures: [CLASSES[architecture]!],
    model_type: architecture,
    vocab_size: embedding[0]!,
    hidden_size: facts.number('embedding_length'),
    intermediate_size: facts.number('feed_forward_length'),
    num_hidden_layers: facts.number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: keyHeads,
    head_dim: headDimension,
    max_position_embeddings: facts.number('context_length'),
    hidden_act: 'silu',
    // The file holds f32: 1e-5 is read as 9.999999747378752e-6, the same f32 number.
    rms_norm_eps: shortest(facts.number('attention.layer_norm_rms_epsilon')),
    rope_theta: shortest(theta),
    rope_scaling: await scalingOf(gguf, facts, theta, shapes.has(ROPE_FACTORS)),
    attention_bias: shapes.has('blk.0.attn_q.bias'),
    mlp_bias: shapes.has('blk.0.ffn_up.bias'),
    tie_word_embeddings: !shapes.has('output.weight'),
    bos_token_id: token('bos'),
    eos_token_id: token('eos'),
  };
}

/** Returns the shortest decimal number that is the same f32. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === Math.fround(value)) return rounded;
  }
  return value;
}

async function scalingOf(
  gguf: Checkpoint,
  facts: GgufFacts,
  theta: number,
  hasFactors: boolean,
): Promise<HfLanguageConfig['rope_scaling']> {
  if (hasFactors) {
    const scaling = llama3ScalingOf(await gguf.read(ROPE_FACTORS), theta);
    if (scaling !== undefined) return scaling;
    throw new ModelError('these rotary frequency factors are not those of Llama 3.1', {
      file: gguf.path,
      id: ROPE_FACTORS,
      fix: 'Use the model in safetensors, with its config.json.',
    });
  }
  const setting = (name: string): number | undefined =>
    facts.numberOr(`${facts.architecture}.rope.scaling.${name}`, undefined);
  const kind = gguf.metadata()[`${facts.architecture}.rope.scaling.type`];
  const factor = setting('factor') ?? 1;
  if (kind === undefined || kind === 'none' || factor === 1) return null;
  const original = setting('original_context_length');
  return {
    rope_type: String(kind),
    factor,
    ...(original !== undefined && { original_max_position_embeddings: original }),
  };
}

/** The settings in the metadata of a GGUF language model. */
class GgufFacts {
  readonly architecture: string;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headDimension: number;
  readonly #file: string;
  readonly #metadata: Record<string, unknown>;

  /** @throws ModelError */
  constructor(gguf: Checkpoint) {
    this.#file = gguf.path;
    this.#metadata = gguf.metadata();
    this.architecture = String(this.#metadata['general.architecture']);
    if (!Object.hasOwn(GGUF_ARCHITECTURES, this.architecture)) this.#refuse(`the architecture ${this.architecture}`);
    for (const name of CHANGED_NETWORKS) {
      const key = `${this.architecture}.${name}`;
      if (![undefined, 0, 1].includes(this.numberOr(key, undefined))) this.#refuse('a network with this setting', key);
    }
    this.heads = this.number('attention.head_count');
    this.keyHeads = this.numberOr(`${this.architecture}.attention.head_count_kv`, this.heads);
    const even = this.number('embedding_length') / this.heads;
    this.headDimension = this.numberOr(`${this.architecture}.attention.key_length`, even);
    const turned = this.numberOr(`${this.architecture}.rope.dimension_count`, this.headDimension);
    if (turned !== this.headDimension) this.#refuse(`a rotary embedding of ${turned} of ${this.headDimension} values`);
  }

  /** Returns a number from the architecture's keys. @throws ModelError if it is missing */
  number(name: string): number {
    const key = `${this.architecture}.${name}`;
    const value = this.numberOr(key, undefined);
    if (value !== undefined) return value;
    throw new ModelError('the metadata lacks this setting', {
      file: this.#file,
      id: key,
      fix: 'Convert the model again with a current llama.cpp, or download a newer file.',
    });
  }

  numberOr<T extends number | undefined>(key: string, otherwise: T): number | T {
    const value = this.#metadata[key];
    if (value === undefined) return otherwise;
    if (typeof value === 'number') return value;
    return this.#refuse('a network with a setting that differs between layers', key);
  }

  #refuse(what: string, id?: string): never {
    throw new ModelError(`${what} cannot be read as a Transformers model`, {
      file: this.#file,
      id,
      fix: 'Use a dense model of the Llama, Mistral, Qwen2 or Qwen3 family.',
    });
  }
}
