export {
  ChatTemplate,
  ggufChatTemplate,
  loadChatTemplate,
  type RenderOptions,
  type TemplateMessage,
  type TemplateTokens,
  tokenizePrompt,
} from './chat-template.ts';
export { openCheckpoint } from './checkpoint.ts';
export type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
export { type HfLanguageConfig, hfCheckpointOfGguf, hfConfigOfGguf } from './gguf-as-hf.ts';
export { GGUF_ARCHITECTURES, ggufNameOf, hfNameOf } from './gguf-names.ts';
export {
  closestKnownName,
  DEFAULT_ENCODER,
  DEFAULT_GENERATOR,
  findKnownModel,
  KNOWN_MODELS,
  type KnownModel,
  type KnownSource,
} from './known-models.ts';
export { type ModelSummary, summarizeModel, type TypeCount } from './model-summary.ts';
export { type Llama3Scaling, llama3Factors } from './rope-scaling.ts';
export { type TensorToWrite, writeSafetensors } from './safetensors.ts';
export {
  ModelStore,
  type ModelStoreOptions,
  type PullOptions,
  type ResolveOptions,
  type StoreEntry,
} from './store.ts';
export type { FileRecord, ModelFormat, ModelKind, PinnedFile, ResolvedModel } from './store-types.ts';
export { loadTokenizer, type TextTokenizer } from './tokenizer.ts';
