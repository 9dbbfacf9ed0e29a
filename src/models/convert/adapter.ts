import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, writeDurably } from '../../system/index.ts';
import type { Checkpoint } from '../formats/checkpoint-contract.ts';
import { readIfPresent } from '../formats/model-text-file.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import { writeSafetensors } from '../formats/safetensors-writer.ts';
import { type LoraConfig, loraRank, parseLoraConfig } from './adapter-config.ts';
import { writeFolder } from './whole-folder.ts';

/** One of the two factors of an adapted weight. */
export interface AdapterTensor {
  /** A is [rank, in], B is [out, rank]. */
  shape: number[];
  /** Row-major. */
  data: Float32Array;
}

/** A LoRA adapter in PEFT's form: each adapted weight W [out, in] becomes W + scale B A. */
export interface LoraAdapter {
  config: LoraConfig;
  /**
   * The factors by PEFT's names without the leading `base_model.model.`:
   * `model.layers.0.self_attn.q_proj.lora_A.weight`.
   */
  tensors: Map<string, AdapterTensor>;
}

/** The two factors of one module. */
export interface LoraPair {
  /** The module's name, such as `model.layers.0.self_attn.q_proj`. */
  module: string;
  a: AdapterTensor;
  b: AdapterTensor;
}

const CONFIG_FILE = 'adapter_config.json';
const WEIGHTS_FILE = 'adapter_model.safetensors';
const PREFIX = 'base_model.model.';
const FETCH_AGAIN = 'Save the adapter again with PEFT, or download its folder again.';

/** Returns whether a folder holds an adapter in PEFT's layout. */
export async function isAdapterFolder(folder: string): Promise<boolean> {
  return (await readdir(folder).catch((): string[] => [])).includes(CONFIG_FILE);
}

/**
 * Reads an adapter in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
 * @throws ModelError if a file is missing or broken, the method is not plain LoRA, an A lacks its B, or a shape does
 * not fit the rank; names the tensor and the file
 */
export async function readAdapter(folder: string): Promise<LoraAdapter> {
  const configFile = join(folder, CONFIG_FILE);
  const text = await readIfPresent(configFile);
  if (text === undefined) {
    throw new ModelError(`holds no ${CONFIG_FILE}`, {
      file: folder,
      fix: "Pass the folder of an adapter in PEFT's layout.",
    });
  }
  const config = parseLoraConfig(configFile, text);
  const file = join(folder, WEIGHTS_FILE);
  const checkpoint = await openSafetensors(file);
  try {
    const adapter = { config, tensors: await readTensors(checkpoint) };
    loraPairs(adapter, file);
    return adapter;
  } finally {
    await checkpoint.close();
  }
}

async function readTensors(checkpoint: Checkpoint): Promise<LoraAdapter['tensors']> {
  const tensors: LoraAdapter['tensors'] = new Map();
  for (const { name, shape } of checkpoint.tensors()) {
    const plain = plainName(name);
    if (plain === undefined) {
      const reason = 'is not a factor of a plain LoRA adapter for linear layers (lora_A.weight, lora_B.weight)';
      throw new ModelError(reason, {
        file: checkpoint.path,
        id: name,
        fix: 'Train the adapter on linear layers only.',
      });
    }
    if (tensors.has(plain)) {
      const fix = 'Save a single adapter with PEFT (save_pretrained with selected_adapters).';
      throw new ModelError('the file holds several adapters', { file: checkpoint.path, id: name, fix });
    }
    const data = await checkpoint.read(name);
    refuseUnreal(checkpoint.path, name, data);
    tensors.set(plain, { shape, data });
  }
  return tensors;
}

/** `lora_A.weight`, or with the adapter's name in a raw state dictionary: `lora_A.default.weight`. */
const FACTOR = /\.lora_([AB])(?:\.[\w-]+)?\.weight$/;

/** Returns the name of a factor without PEFT's prefix and the adapter's name; undefined for any other tensor. */
function plainName(name: string): string | undefined {
  if (!name.startsWith(PREFIX) || !FACTOR.test(name)) return undefined;
  return name.slice(PREFIX.length).replace(FACTOR, '.lora_$1.weight');
}

/** Refuses NaN and infinity, which would silently spread to the whole model. */
function refuseUnreal(file: string, id: string, data: Float32Array): void {
  const unreal = data.find((value) => !Number.isFinite(value));
  if (unreal === undefined) return;
  throw new ModelError(`holds ${unreal}: the training that wrote it has failed`, {
    file,
    id,
    fix: 'Use an earlier checkpoint, or train again with a lower learning rate.',
  });
}

/**
 * Returns the factors in pairs, in the order of the file.
 * @param file the path that errors name
 * @throws ModelError if a factor lacks its partner, or the shapes do not fit each other or the configured rank
 */
export function loraPairs({ config, tensors }: LoraAdapter, file?: string): LoraPair[] {
  const fail = (id: string, reason: string) => new ModelError(reason, { file, id, fix: FETCH_AGAIN });
  if (tensors.size === 0) throw fail('', 'the adapter has no tensors');
  const pairs: LoraPair[] = [];
  for (const [name, tensor] of tensors) {
    const isA = name.endsWith('.lora_A.weight');
    const other = name.replace(/lora_[AB]\.weight$/, isA ? 'lora_B.weight' : 'lora_A.weight');
    const partner = tensors.get(other);
    if (partner === undefined) throw fail(name, `lacks its ${isA ? 'lora_B' : 'lora_A'}`);
    if (!isA) continue;
    const module = name.slice(0, -'.lora_A.weight'.length);
    const rank = loraRank(config, module);
    const fits = (shape: number[], axis: number) => shape.length === 2 && shape[axis] === rank;
    if (!fits(tensor.shape, 0))
      throw fail(name, `the shape [${tensor.shape.join(', ')}] does not fit the rank ${rank}`);
    if (!fits(partner.shape, 1)) {
      throw fail(other, `the shape [${partner.shape.join(', ')}] does not fit the rank ${rank}`);
    }
    pairs.push({ module, a: tensor, b: partner });
  }
  return pairs;
}

/**
 * Writes an adapter in PEFT's layout. The folder appears only when it is complete. An existing one is replaced if it
 * holds only an adapter.
 * @throws UsageError if the folder holds other files; ModelError if tensors do not fit; ResourceError
 */
export async function writeAdapter(folder: string, adapter: LoraAdapter): Promise<void> {
  loraPairs(adapter, folder);
  await writeFolder(folder, [CONFIG_FILE, WEIGHTS_FILE, 'README.md'], async (fresh) => {
    const tensors = [...adapter.tensors].map(([name, tensor]) => ({ name: `${PREFIX}${name}`, ...tensor }));
    await writeSafetensors(join(fresh, WEIGHTS_FILE), tensors, { format: 'pt' });
    await writeDurably(join(fresh, CONFIG_FILE), `${JSON.stringify(adapter.config, null, 2)}\n`);
  });
}
