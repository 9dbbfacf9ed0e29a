import { basename } from 'node:path';
import { ModelError } from '../../system/index.ts';
import type { TensorInfo } from '../formats/checkpoint-contract.ts';
import { ENCODERS } from '../formats/element-encoders.ts';
import { readGgufMetadataBytes } from '../formats/gguf.ts';
import { type GgufTensorToWrite, type GgufTensorType, type GgufValue, writeGguf } from '../formats/gguf-writer.ts';
import { elementCount } from '../formats/tensor-file.ts';
import {
  checkOutput,
  type ExportOptions,
  type ExportSource,
  sourceConfig,
  withSource,
  writingTask,
} from './export-source.ts';
import { ROPE_FACTORS } from './gguf-as-hf.ts';
import { ggufNameOf, hfNameOf, permutedHeads } from './gguf-names.ts';
import { ggufArchitecture, ggufRopeFactors, ggufSettings } from './gguf-settings.ts';
import type { LanguageConfig } from './language-config.ts';
import { rowsAsNeighbours } from './rotary-rows.ts';
import { ggufTokenizer } from './tokenizer-to-gguf.ts';

/** The types of weight matrices. Vectors (norms, biases) are always F32. */
export const GGUF_TYPES = ['F32', 'F16', 'Q8_0'] as const satisfies readonly GgufTensorType[];

/** llama.cpp's `general.file_type` (llama_ftype in llama.h). */
const FILE_TYPES: Readonly<Record<GgufTensorType, number>> = { F32: 0, F16: 1, Q8_0: 7 };

/**
 * Writes a language model as one GGUF file for llama.cpp, with the adapter merged in, if there is one. Metadata and
 * tokenizer are converted from a Transformers folder, or copied from a GGUF base. One tensor at a time is in memory.
 * @throws ModelError if the family is not Llama, Mistral, Qwen2 or Qwen3, or the tokenizer cannot be written;
 * ResourceError, AbortedError
 */
export async function exportGguf(
  out: string,
  options: ExportOptions & { type?: GgufTensorType | undefined },
): Promise<void> {
  const type = options.type ?? 'F16';
  await withSource(options, async (source) => {
    await checkOutput(out, source);
    const config = await sourceConfig(source);
    const metadata =
      source.gguf === undefined ? await newMetadata(source, config) : await copiedMetadata(source.gguf.path);
    metadata.set('general.file_type', { u32: FILE_TYPES[type] });
    metadata.set('general.quantization_version', { u32: 2 });
    const tensors = [...(await ropeTensor(source, config)), ...weights(source, config, type)];
    const bytes = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    const { onTensor, done } = writingTask(options, bytes);
    await writeGguf(out, metadata, tensors, { signal: options.signal, onTensor });
    done();
  });
}

function bytesOf({ shape, type }: GgufTensorToWrite): number {
  const { blockSize, blockBytes } = ENCODERS[type];
  return (elementCount(shape)! / blockSize) * blockBytes;
}

async function newMetadata({ folder }: ExportSource, config: LanguageConfig): Promise<Map<string, GgufValue>> {
  return new Map<string, GgufValue>([
    ['general.architecture', { text: ggufArchitecture(config) }],
    ['general.type', { text: 'model' }],
    ['general.name', { text: basename(folder) }],
    ...ggufSettings(folder, config),
    ...(await ggufTokenizer(folder, config)),
  ]);
}

/** Keys that describe the layout and quantisation of the file, not the model. */
const OF_THE_FILE = /^(general\.alignment$|split\.|quantize\.)/;

async function copiedMetadata(path: string): Promise<Map<string, GgufValue>> {
  const copied = new Map<string, GgufValue>();
  for (const [key, bytes] of await readGgufMetadataBytes(path)) if (!OF_THE_FILE.test(key)) copied.set(key, { bytes });
  return copied;
}

async function ropeTensor({ gguf, folder }: ExportSource, config: LanguageConfig): Promise<GgufTensorToWrite[]> {
  const isThere = gguf?.tensors().some(({ name }) => name === ROPE_FACTORS);
  const factors =
    gguf === undefined ? ggufRopeFactors(folder, config) : isThere ? await gguf.read(ROPE_FACTORS) : undefined;
  if (factors === undefined) return [];
  return [{ name: ROPE_FACTORS, shape: [factors.length], type: 'F32', read: async () => factors }];
}

function weights(source: ExportSource, config: LanguageConfig, type: GgufTensorType): GgufTensorToWrite[] {
  const { checkpoint } = source;
  const tensors = checkpoint
    .tensors()
    // Older checkpoints hold the rotary frequencies, which the settings imply; tied weights may be stored twice.
    .filter(({ name }) => !name.endsWith('.rotary_emb.inv_freq') && !(config.tied && name === 'lm_head.weight'));
  checkTensors(checkpoint.path, tensors, config);
  const architecture = ggufArchitecture(config);
  return tensors.map(({ name, shape }) => {
    const heads = permutedHeads(architecture, name);
    const count = heads === 'query' ? config.heads : config.keyHeads;
    const read = async () => {
      const data = await checkpoint.read(name);
      return heads === undefined ? data : rowsAsNeighbours(data, shape[0]!, count);
    };
    return { name: ggufNameOf(name)!, shape, type: typeOf(shape, type), read };
  });
}

/** Vectors stay F32, and rows that do not fill Q8_0 blocks become F16, as in llama.cpp's converter. */
function typeOf(shape: readonly number[], type: GgufTensorType): GgufTensorType {
  if (shape.length < 2) return 'F32';
  return type === 'Q8_0' && shape.at(-1)! % ENCODERS.Q8_0.blockSize !== 0 ? 'F16' : type;
}

/** The modules in every layer of these families. */
const LAYER_MODULES = [
  'attn_norm',
  'attn_q',
  'attn_k',
  'attn_v',
  'attn_output',
  'ffn_norm',
  'ffn_gate',
  'ffn_up',
  'ffn_down',
];

/** @throws ModelError if a tensor is missing or has no name in GGUF */
function checkTensors(file: string, tensors: readonly TensorInfo[], config: LanguageConfig): void {
  const fix = 'Check that the weights belong to the model that config.json describes.';
  const found = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const strange = tensors.find(({ name }) => ggufNameOf(name) === undefined);
  if (strange !== undefined) throw new ModelError('GGUF has no name for this tensor', { file, id: strange.name, fix });
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    LAYER_MODULES.map((module) => `blk.${layer}.${module}`),
  );
  const output = config.tied ? [] : ['output'];
  for (const module of ['token_embd', 'output_norm', ...output, ...layers.flat()]) {
    const name = hfNameOf(`${module}.weight`)!;
    if (!found.has(name)) throw new ModelError('the checkpoint lacks this tensor', { file, id: name, fix });
  }
  const rows = found.get('model.embed_tokens.weight')![0];
  if (rows === config.vocabularySize) return;
  const reason = `the embedding has ${rows} rows, but config.json states a vocabulary of ${config.vocabularySize}`;
  throw new ModelError(reason, { file, id: 'model.embed_tokens.weight', fix });
}
