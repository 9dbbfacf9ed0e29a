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

/** What a GGUF adapter must know of its model. */
export interface AdapterTarget {
  /** As GGUF names it. */
  architecture: string;
  heads: number;
  keyHeads: number;
}

/**
 * Writes an adapter as a GGUF LoRA file for llama.cpp, for the model that `base` names.
 * @throws ModelError where the adapter does not fit the base
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

/** Holds an adapter against the base it is for. @throws ModelError where it does not fit */
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
 * Writes an adapter as a GGUF LoRA file; its fit is not checked. llama.cpp multiplies B A by alpha / rank with one alpha for all modules; what
 * differs from it (rank-stabilised scales, an alpha of a module's own) goes into B. B's rows of query and key projections
 * are put in the order of the architecture's weights. Names as in llama.cpp's convert_lora_to_gguf.py.
 * @throws ModelError for a module that GGUF has no name for
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

/** llama.cpp takes an alpha of 0 for none. */
function writtenAlpha({ config }: LoraAdapter): number {
  return config.lora_alpha || 1;
}

function ggufPair({ module, a, b }: LoraPair, adapter: LoraAdapter, target: AdapterTarget): GgufTensorToWrite[] {
  const name = ggufNameOf(`${module}.weight`);
  if (name === undefined) {
    const fix = 'Train it on the linear layers of a Llama, Mistral, Qwen2 or Qwen3 model.';
    throw new ModelError('GGUF has no name for the module that is adapted', { id: module, fix });
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
