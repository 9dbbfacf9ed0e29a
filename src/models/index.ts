export {
  type AdapterTensor,
  isAdapterFolder,
  type LoraAdapter,
  type LoraPair,
  loraPairs,
  readAdapter,
  writeAdapter,
} from './convert/adapter.ts';
export { type LoraConfig, loraRank, loraScale, parseLoraConfig } from './convert/adapter-config.ts';
export { mergedCheckpoint } from './convert/adapter-merge.ts';
export {
  type AdapterTarget,
  checkAdapterFits,
  exportGgufAdapter,
  writeGgufAdapter,
} from './convert/adapter-to-gguf.ts';
export { exportGguf, GGUF_TYPES } from './convert/export-gguf.ts';
export { EXPORT_DTYPES, type ExportDtype, exportSafetensors } from './convert/export-safetensors.ts';
export { type ExportOptions, type ExportSource, sourceSettings, withSource } from './convert/export-source.ts';
export { type HfLanguageConfig, hfCheckpointOfGguf, hfConfigOfGguf } from './convert/gguf-as-hf.ts';
export { GGUF_ARCHITECTURES, ggufNameOf, hfNameOf } from './convert/gguf-names.ts';
export {
  describeMisfit,
  type LanguageConfig,
  languageConfigOf,
  languageConfigSchema,
  parseLanguageConfig,
  readLanguageConfig,
} from './convert/language-config.ts';
export { type ModelSummary, summarizeModel, type TypeCount } from './convert/model-summary.ts';
export { llama3Factors, llama3ScalingSchema } from './convert/rope-scaling.ts';
export { hfTokenizerFiles } from './convert/tokenizer-of-gguf.ts';
export { writeFolder } from './convert/whole-folder.ts';
export { openCheckpoint } from './formats/checkpoint.ts';
export type { Checkpoint, TensorInfo } from './formats/checkpoint-contract.ts';
export { ENCODERS } from './formats/element-encoders.ts';
export type { GgufTensorType } from './formats/gguf-writer.ts';
export { weightFilesAt } from './formats/model-folder.ts';
export { readModelJson } from './formats/model-text-file.ts';
export { BOUNDS, numbers } from './formats/network-bounds.ts';
export {
  type SafetensorsType,
  type StreamedTensor,
  type TensorToWrite,
  writeModelSafetensors,
  writeSafetensors,
} from './formats/safetensors-writer.ts';
export { TOKENIZER_FILE, weightsKey } from './store/content-key.ts';
export { type CopyOptions, makeConvertedCopy } from './store/converted-copy.ts';
export { type AdapterOptions, resolveAdapter } from './store/hub-adapter.ts';
export {
  closestKnownName,
  DEFAULT_ENCODER,
  DEFAULT_GENERATOR,
  findKnownModel,
  KNOWN_MODELS,
  type KnownModel,
  type KnownSource,
  knownModelAt,
} from './store/known-models.ts';
export { SNAPSHOT_CACHE } from './store/snapshot-check.ts';
export {
  ModelStore,
  type ModelStoreOptions,
  type PullOptions,
  type ResolveOptions,
  type StoreEntry,
} from './store/store.ts';
export { MODEL_HASH_CACHE } from './store/store-hashes.ts';
export { MODEL_CACHE } from './store/store-manifest.ts';
export { ModelNotThereError } from './store/store-plan.ts';
export type { FileRecord, ModelFormat, ModelKind, PinnedFile, ResolvedModel } from './store/store-types.ts';
export {
  ChatTemplate,
  ggufChatTemplate,
  loadChatTemplate,
  type RenderOptions,
  type TemplateMessage,
  type TemplateTokens,
  tokenizePrompt,
} from './tokenizer/chat-template.ts';
export { TOKENIZER_TRIAL_CACHE } from './tokenizer/native-trial.ts';
export { templateVariablesSchema } from './tokenizer/template-variables.ts';
export { loadTokenizer, type TextTokenizer } from './tokenizer/tokenizer.ts';
