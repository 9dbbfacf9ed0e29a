/** The keys that no config.json of the Llama family leaves out, but for `model_type`. */
export const LEAST_LANGUAGE_CONFIG = {
  vocab_size: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 128,
};
