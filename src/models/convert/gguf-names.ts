/** The GGUF architectures that can be converted from and to Transformers, with their `model_type`s. */
export const GGUF_ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  llama: ['llama', 'mistral'],
  qwen2: ['qwen2'],
  qwen3: ['qwen3'],
};

/** Module names in GGUF and in Transformers; `{}` is the layer number. */
const MODULES: readonly (readonly [gguf: string, hf: string])[] = [
  ['token_embd', 'model.embed_tokens'],
  ['blk.{}.attn_norm', 'model.layers.{}.input_layernorm'],
  ['blk.{}.attn_q', 'model.layers.{}.self_attn.q_proj'],
  ['blk.{}.attn_k', 'model.layers.{}.self_attn.k_proj'],
  ['blk.{}.attn_v', 'model.layers.{}.self_attn.v_proj'],
  ['blk.{}.attn_q_norm', 'model.layers.{}.self_attn.q_norm'],
  ['blk.{}.attn_k_norm', 'model.layers.{}.self_attn.k_norm'],
  ['blk.{}.attn_output', 'model.layers.{}.self_attn.o_proj'],
  ['blk.{}.ffn_norm', 'model.layers.{}.post_attention_layernorm'],
  ['blk.{}.ffn_gate', 'model.layers.{}.mlp.gate_proj'],
  ['blk.{}.ffn_up', 'model.layers.{}.mlp.up_proj'],
  ['blk.{}.ffn_down', 'model.layers.{}.mlp.down_proj'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
];

const TO_HF = new Map(MODULES);
const TO_GGUF = new Map(MODULES.map(([gguf, hf]) => [hf, gguf]));

/** Converts `blk.3.attn_q.weight` to `model.layers.3.self_attn.q_proj.weight`; undefined for an unknown name. */
export function hfNameOf(gguf: string): string | undefined {
  return translate(gguf, TO_HF);
}

/** Converts `model.layers.3.self_attn.q_proj.weight` to `blk.3.attn_q.weight`; undefined for an unknown name. */
export function ggufNameOf(hf: string): string | undefined {
  return translate(hf, TO_GGUF);
}

/** Translates a module's name, fills in the layer number and keeps the tensor's suffix. */
function translate(name: string, table: ReadonlyMap<string, string>): string | undefined {
  const [, module, kind] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  if (module === undefined || kind === undefined) return undefined;
  const layer = /\.(0|[1-9]\d*)\./.exec(module)?.[1];
  const found = table.get(layer === undefined ? module : module.replace(`.${layer}.`, '.{}.'));
  return found && `${found.replace('{}', layer ?? '')}.${kind}`;
}

/**
 * Returns the kind of heads to which a tensor's rows belong, if GGUF reorders them: it does so for the query and key
 * projections of its `llama` architecture (see rotary-rows.ts). Other architectures, including Qwen2 and Qwen3, keep
 * Transformers' order.
 */
export function permutedHeads(architecture: string, hf: string): 'query' | 'key' | undefined {
  if (architecture !== 'llama') return undefined;
  const [, projection] = /\.self_attn\.([qk])_proj\.(?:weight|bias)$/.exec(hf) ?? [];
  return projection === undefined ? undefined : projection === 'q' ? 'query' : 'key';
}
