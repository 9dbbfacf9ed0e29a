export {
  type AdapterTensor,
  isAdapterFolder,
  type LoraAdapter,
  type LoraPair,
  loraPairs,
  readAdapter,
  writeAdapter,
} from './adapter.ts';
export { type LoraConfig, loraRank, loraScale, parseLoraConfig } from './adapter-config.ts';
export { mergedCheckpoint } from './adapter-merge.ts';
export { type AdapterTarget, checkAdapterFits, exportGgufAdapter, writeGgufAdapter } from './adapter-to-gguf.ts';
export { exportGguf, GGUF_TYPES } from './export-gguf.ts';
export { EXPORT_DTYPES, type ExportDtype, exportSafetensors } from './export-safetensors.ts';
export { type ExportOptions, type ExportSource, sourceSettings, withSource } from './export-source.ts';
export { openCheckpoint } from './formats/checkpoint.ts';
export type { Checkpoint, TensorInfo } from './formats/checkpoint-contract.ts';
export { ENCODERS } from './formats/element-encoders.ts';
export type { GgufTensorType } from './formats/gguf-writer.ts';
export {
  type SafetensorsType,
  type StreamedTensor,
  type TensorToWrite,
  writeModelSafetensors,
  writeSafetensors,
} from './formats/safetensors-writer.ts';
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
  knownModelAt,
} from './known-models.ts';
export {
  type LanguageConfig,
  languageConfigOf,
  languageConfigSchema,
  parseLanguageConfig,
  readLanguageConfig,
} from './language-config.ts';
export { type ModelSummary, summarizeModel, type TypeCount } from './model-summary.ts';
export { llama3Factors, llama3ScalingSchema } from './rope-scaling.ts';
export { ModelStore, type ModelStoreOptions, type PullOptions, type ResolveOptions, type StoreEntry } from './store.ts';
export { ModelNotThereError } from './store-plan.ts';
export type { FileRecord, ModelFormat, ModelKind, PinnedFile, ResolvedModel } from './store-types.ts';
export {
  ChatTemplate,
  ggufChatTemplate,
  loadChatTemplate,
  type RenderOptions,
  type TemplateMessage,
  type TemplateTokens,
  tokenizePrompt,
} from './tokenizer/chat-template.ts';
export { loadTokenizer, type TextTokenizer } from './tokenizer/tokenizer.ts';
export { hfTokenizerFiles } from './tokenizer-of-gguf.ts';
export { writeFolder } from './whole-folder.ts';
