export { type Checkpoint, openCheckpoint, type TensorInfo } from './checkpoint.ts';
export { type TensorToWrite, writeSafetensors } from './safetensors.ts';
export { loadTokenizer, type TextTokenizer } from './tokenizer.ts';
