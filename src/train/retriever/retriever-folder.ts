import { copyFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type EncoderRecipe,
  writeEncoderModules,
  writeEncoderSettings,
  writeModelJson,
  writePooling,
} from '../../embed/index.ts';
import {
  type Checkpoint,
  mergedCheckpoint,
  type StreamedTensor,
  weightFilesAt,
  writeModelSafetensors,
  writeSafetensors,
} from '../../models/index.ts';
import type { Parameters } from '../../nn/index.ts';
import { makeFolder, replaceFolder, syncFolder, systemFault } from '../../system/index.ts';
import { PROJECTION } from './contrastive-losses.ts';
import type { RetrieverBase } from './retriever-base.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';

type WriteSettings = Pick<RetrieverTrainingSettings, 'train' | 'loraR' | 'loraAlpha' | 'similarity'>;

type Written = [base: RetrieverBase, parameters: Parameters, settings: WriteSettings, signal?: AbortSignal];

/**
 * Writes a trained encoder as sentence-transformers and Transformers read it: weights (an adapter is folded in), config.json,
 * tokenizer, modules.json, pooling. If queries and documents have encoders of their own, the folder's own files are those of the
 * documents' encoder, and modules.json names a Router over both.
 * @throws ResourceError
 */
export async function writeRetriever(out: string, ...[base, parameters, settings, signal]: Written): Promise<void> {
  const learnt = trainedCheckpoint(base.checkpoint, parameters, settings);
  await replaceFolder(out, async (fresh) => {
    const writer = new FolderWriter(base, settings, signal);
    if (settings.train === 'both') {
      await writer.transformer(fresh, learnt);
      await writer.modules(fresh);
      return;
    }
    await writer.transformer(fresh, undefined);
    await writer.router(fresh, settings.train === 'query' ? learnt : undefined, projectionOf(parameters));
  });
}

/**
 * The same into a folder that holds other files too, such as those of the training: each part takes its name when all are whole,
 * `config.json`, without which the folder is no model, last.
 * @returns the names of the parts
 */
export async function writeRetrieverInto(folder: string, ...what: Written): Promise<string[]> {
  const beside = join(folder, '.model');
  await writeRetriever(beside, ...what);
  const names = (await readdir(beside)).sort((a, b) => Number(a === LAST) - Number(b === LAST) || (a < b ? -1 : 1));
  await rm(join(folder, LAST), { force: true });
  for (const name of names) {
    await rm(join(folder, name), { recursive: true, force: true });
    await rename(join(beside, name), join(folder, name));
  }
  await syncFolder(folder);
  await rm(beside, { recursive: true, force: true });
  return names;
}

const LAST = 'config.json';

/** The base with what was learnt in its place, under its own names. */
function trainedCheckpoint(
  base: Checkpoint,
  parameters: Parameters,
  { train, loraR, loraAlpha }: WriteSettings,
): Checkpoint {
  if (train === 'projection') return base;
  if (loraR === undefined) {
    const read = async (name: string) => (parameters.has(name) ? parameters.get(name) : base.read(name));
    return { ...shown(base), read };
  }
  const tensors = new Map(
    parameters.names().map((name) => [name, { shape: [...parameters.shape(name)], data: parameters.get(name) }]),
  );
  return mergedCheckpoint(base, { config: loraConfigOf(loraR, loraAlpha ?? 2 * loraR), tensors });
}

function shown(base: Checkpoint): Omit<Checkpoint, 'read'> {
  return { path: base.path, tensors: () => base.tensors(), metadata: () => base.metadata(), close: () => base.close() };
}

/** PEFT's settings of the adapter, of which folding it in needs the scale. */
function loraConfigOf(r: number, alpha: number) {
  return {
    ...{
      peft_type: 'LORA' as const,
      task_type: 'FEATURE_EXTRACTION',
      base_model_name_or_path: '',
      r,
      lora_alpha: alpha,
    },
    ...{
      lora_dropout: 0,
      target_modules: [],
      use_rslora: false,
      rank_pattern: {},
      alpha_pattern: {},
      bias: 'none' as const,
    },
    ...{ fan_in_fan_out: false, use_dora: false, modules_to_save: null, inference_mode: true, init_lora_weights: true },
  };
}

function projectionOf(parameters: Parameters): { size: number; weight: Float32Array } | undefined {
  if (!parameters.has(PROJECTION)) return undefined;
  const size = parameters.shape(PROJECTION)[0]!;
  const weight = parameters.get(PROJECTION).slice();
  for (let at = 0; at < size; at++) weight[at * size + at] = weight[at * size + at]! + 1;
  return { size, weight };
}

const TYPE = 'sentence_transformers.models.';

class FolderWriter {
  readonly #recipe: EncoderRecipe;
  readonly #signal: AbortSignal | undefined;

  constructor({ recipe, ownLength }: RetrieverBase, { similarity }: WriteSettings, signal: AbortSignal | undefined) {
    this.#recipe = { ...recipe, maxLength: ownLength, similarity };
    this.#signal = signal;
  }

  /**
   * config.json, tokenizer, limits and weights.
   * @param checkpoint none: the weights of the encoder as it came, byte for byte, whose vectors are then found by their content
   */
  async transformer(folder: string, checkpoint: Checkpoint | undefined): Promise<void> {
    await writeEncoderSettings(folder, this.#recipe);
    if (checkpoint === undefined) return this.#copyWeights(folder);
    const tensors: StreamedTensor[] = checkpoint
      .tensors()
      .filter(({ name }) => !isPosition(name))
      .map(({ name, shape }) => ({ name, shape, read: () => checkpoint.read(name) }));
    await writeModelSafetensors(folder, tensors, { signal: this.#signal });
  }

  async #copyWeights(folder: string): Promise<void> {
    const source = this.#recipe.model.path;
    for (const name of (await weightFilesAt(source)).files) {
      await copyFile(join(source, name), join(folder, name)).catch((error: unknown) => {
        throw systemFault(error, join(source, name));
      });
    }
  }

  /** One encoder for queries and documents. */
  modules(folder: string): Promise<void> {
    return writeEncoderModules(folder, this.#recipe);
  }

  /** An encoder for each; the queries' is another one, or the documents' with a linear map behind it. */
  async router(
    folder: string,
    ofQueries: Checkpoint | undefined,
    projection: { size: number; weight: Float32Array } | undefined,
  ): Promise<void> {
    const parts = (role: string) => [
      `${role}_0_Transformer`,
      `${role}_1_Pooling`,
      ...(this.#recipe.normalize ? [`${role}_3_Normalize`] : []),
    ];
    const documents = parts('document');
    const own = ofQueries === undefined ? documents : parts('query');
    const queries = projection === undefined ? own : [...own.slice(0, 2), 'query_2_Dense', ...own.slice(2)];
    await this.transformer(join(folder, documents[0]!), undefined);
    if (ofQueries !== undefined) await this.transformer(join(folder, own[0]!), ofQueries);
    for (const role of new Set([documents, own])) {
      await writePooling(join(folder, role[1]!), this.#recipe);
      if (role[2] !== undefined) await makeFolder(join(folder, role[2]));
    }
    if (projection !== undefined) await this.#dense(join(folder, 'query_2_Dense'), projection);
    const typeOf = (name: string) => [name, TYPE + name.replace(/^.*_/, '')] as const;
    await writeModelJson(join(folder, 'router_config.json'), {
      types: Object.fromEntries([...new Set([...queries, ...documents])].map(typeOf)),
      structure: { query: queries, document: documents },
      parameters: { default_route: 'document', allow_empty_key: true, route_mappings: {} },
    });
    await writeModelJson(join(folder, 'modules.json'), [{ idx: 0, name: '0', path: '', type: `${TYPE}Router` }]);
  }

  async #dense(folder: string, { size, weight }: { size: number; weight: Float32Array }): Promise<void> {
    await makeFolder(folder);
    const activation_function = 'torch.nn.modules.linear.Identity';
    await writeModelJson(join(folder, 'config.json'), {
      in_features: size,
      out_features: size,
      bias: false,
      activation_function,
    });
    const tensors = [{ name: 'linear.weight', shape: [size, size], data: weight }];
    await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
  }
}

/** A list of the whole numbers that old checkpoints hold beside the weights. */
function isPosition(name: string): boolean {
  return name.endsWith('embeddings.position_ids');
}
