export { planAlike } from './batches.ts';
export type { CuttingTokenizer } from './cutting-tokenizer.ts';
export { type EncodeCorpusOptions, encodeCorpus } from './encode-corpus.ts';
export type { EncodeOptions, Encoder, TextRole } from './encoder.ts';
export { writeEncoderModules, writeEncoderSettings, writeModelJson, writePooling } from './encoder-folder.ts';
export { type EncoderOptions, encoderOptionsSchema } from './encoder-options.ts';
export {
  ENCODER_FORMAT,
  type EncoderRecipe,
  loadEncoder,
  loadEncoderTokenizer,
  openEncoderRuntime,
  readEncoderRecipe,
  readEncoderRecipes,
} from './local-encoder.ts';
export {
  connectEncoder,
  REMOTE_ENCODER_FORMAT,
  type RemoteEncoderOptions,
  remoteEncoderSchema,
} from './remote-encoder.ts';
export { PROBE_CACHE } from './remote-identity.ts';
export { StoredEncoder } from './stored-encoder.ts';
export { StoredVectors } from './stored-vectors.ts';
export { exportTransformersJs, type TransformersJsFolder } from './transformers-js.ts';
export { areOfCorpora, VECTOR_CACHE, VectorFile, type VectorManifest, type VectorRows } from './vector-file.ts';
export { vectorFiles } from './vector-store.ts';
