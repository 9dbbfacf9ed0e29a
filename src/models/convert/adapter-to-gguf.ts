import { ModelError } from '../../system/index.ts';
import type { TensorInfo } from '../formats/checkpoint-contract.ts';
import { type GgufTensorToWrite, type GgufValue, writeGguf } from '../formats/gguf-writer.ts';
import { type LoraAdapter, type LoraPair, loraPairs } from './adapter.ts';
import { loraScale } from './adapter-config.ts';
import { checkFit } from './adapter-merge.ts';
import { checkOutput, type ExportOptions, sourceConfig, withSource } from './export-source.ts';
import { ggufNameOf, permutedHeads } from './gguf-names.ts';
import { ggufArchitecture } from './gguf-settings.ts';
import { rowsAsNeighbours } from './rotary-rows.ts';

/** What a GGUF adapter needs to know about its model. */
export interface AdapterTarget {
  /** The GGUF name of the architecture. */
  architecture: string;
  heads: number;
  keyHeads: number;
}

/**
 * Writes an adapter as a GGUF LoRA file for llama.cpp, for the model that `base` names.
 * @throws ModelError if the adapter does not fit the base
 */
export async function exportGgufAdapter(out: string, options: ExportOptions & { adapter: LoraAdapter }): Promise<void> {
  const { adapter, adapterFile } = options;
  await withSource({ ...options, adapter: undefined }, async (source) => {
    await checkOutput(out, source);
    const config = await sourceConfig(source);
    const tensors = source.checkpoint.tensors();
    checkAdapterFit(adapter, tensors, source.checkpoint.path, adapterFile);
    const { heads, keyHeads } = config;
    await writeGgufAdapter(out, adapter, { architecture: ggufArchitecture(config), heads, keyHeads });
  });
}

/** Checks an adapter against its base model. @throws ModelError if it does not fit */
export async function checkAdapterFits(options: ExportOptions & { adapter: LoraAdapter }): Promise<void> {
  const { adapter, adapterFile } = options;
  await withSource({ ...options, adapter: undefined }, async ({ checkpoint }) =>
    checkAdapterFit(adapter, checkpoint.tensors(), checkpoint.path, adapterFile),
  );
}

function checkAdapterFit(adapter: LoraAdapter, tensors: TensorInfo[], base: string, file: string | undefined): void {
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  for (const pair of loraPairs(adapter, file)) checkFit(pair, shapes, base, file);
}

/**
 * Writes an adapter as a GGUF LoRA file, without checking that it fits a model. llama.cpp multiplies B A by alpha /
 * rank, with one alpha for all modules. Scales that differ (rank-stabilised ones, a module's own alpha) are multiplied
 * into B. The rows of B for query and key projections get the order of the architecture's weights. Names are those of
 * llama.cpp's convert_lora_to_gguf.py.
 * @throws ModelError if GGUF has no name for a module
 */
export async function writeGgufAdapter(out: string, adapter: LoraAdapter, target: AdapterTarget): Promise<void> {
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { text: target.architecture }],
    ['general.type', { text: 'adapter' }],
    ['general.name', { text: 'LoRA adapter' }],
    ['general.file_type', { u32: 0 }],
    ['adapter.type', { text: 'lora' }],
    ['adapter.lora.alpha', { f32: adapter.config.lora_alpha }],
  ]);
  await writeGguf(
    out,
    metadata,
    loraPairs(adapter).flatMap((pair) => ggufPair(pair, adapter, target)),
  );
}

/** llama.cpp treats an alpha of 0 as a missing one. */
function writtenAlpha({ config }: LoraAdapter): number {
  return config.lora_alpha || 1;
}

function ggufPair({ module, a, b }: LoraPair, adapter: LoraAdapter, target: AdapterTarget): GgufTensorToWrite[] {
  const name = ggufNameOf(`${module}.weight`);
  if (name === undefined) {
    const fix = 'Train the adapter on the linear layers of a Llama, Mistral, Qwen2 or Qwen3 model.';
    throw new ModelError('GGUF has no name for the adapted module', { id: module, fix });
  }
  const heads = permutedHeads(target.architecture, `${module}.weight`);
  const factor = loraScale(adapter.config, module) / (writtenAlpha(adapter) / a.shape[0]!);
  const readB = async () => {
    const scaled = factor === 1 ? b.data : b.data.map((value) => value * factor);
    if (heads === undefined) return scaled;
    return rowsAsNeighbours(scaled, b.shape[0]!, heads === 'query' ? target.heads : target.keyHeads);
  };
  return [
    { name: `${name}.lora_a`, shape: a.shape, type: 'F32', read: async () => a.data },
    { name: `${name}.lora_b`, shape: b.shape, type: 'F32', read: readB },
  ];
}
