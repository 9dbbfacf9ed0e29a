import { quickCopyFile, wantsQuickCopy } from '../../generate/index.ts';
import { hfNameOf, knownModelAt, type ResolvedModel, summarizeModel, type TensorInfo } from '../../models/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { isThere } from '../../system/index.ts';
import { isTarget } from '../../train/index.ts';
import { ggufFile } from './open-writer.ts';

/** What is known about a model before it is run or downloaded. NaN is unknown. */
export interface ModelFacts {
  name: string;
  parameters: number;
  layers: number;
  /** Dimensions of a hidden state, and of an encoder's vectors. */
  dimensions: number;
  /** Bytes of the files that must still be downloaded. */
  download: number;
  /** Whether it is one GGUF file; undefined if unknown. */
  isGguf: boolean | undefined;
  /** Whether most of its weights have a type that is run from a faster copy. */
  isSlow: boolean;
  /** Whether it is the address of a server, whose model is unknown. */
  isServer: boolean;
  /** Tensors of an available model. */
  tensors: readonly TensorInfo[] | undefined;
  model: ResolvedModel | undefined;
}

/** A file that is made from a model once and kept in the cache folder. */
export interface ModelCopy {
  copy: string;
  isThere: boolean;
  /** NaN if unknown. */
  bytes: number;
}

/** Q8_0 stores 32 weights in 34 bytes. */
const Q8_BYTES = 34 / 32;

/**
 * Collects the facts of a model.
 * @param model undefined if it is not available; then the table of known models is used
 */
export async function modelFacts(name: string, model: ResolvedModel | undefined): Promise<ModelFacts> {
  if (model === undefined) return factsOfName(name);
  const { architecture, parameters, layers, dimensions, tensors, format } = await summarizeModel(model.path);
  const isGguf = format === 'gguf';
  return {
    ...{ name, parameters, layers: layers ?? Number.NaN, dimensions: dimensions ?? Number.NaN, download: 0, isGguf },
    isSlow: isGguf && architecture !== undefined && wantsQuickCopy({ architecture, tensors }),
    ...{ isServer: false, tensors, model },
  };
}

function factsOfName(name: string): ModelFacts {
  const known = knownModelAt(name);
  const file = name.endsWith('.gguf') ? name : known?.files.find(({ path }) => path.endsWith('.gguf'))?.path;
  const { parameters = Number.NaN, layers = Number.NaN, dimensions = Number.NaN } = known ?? {};
  return {
    ...{ name, parameters, layers, dimensions },
    download: known?.bytes ?? Number.NaN,
    isGguf: file !== undefined ? true : known === undefined ? undefined : false,
    isSlow: /Q[45]_1\.gguf$/i.test(file ?? ''),
    ...{ isServer: isServerAddress(name), tensors: undefined, model: undefined },
  };
}

/** The files that the embedded runtime makes from a model before running it. */
export async function runtimeCopies(facts: ModelFacts, gpu: boolean): Promise<ModelCopy[]> {
  const { name, parameters, isGguf, isSlow, model } = facts;
  const copies: ModelCopy[] = [];
  const add = async (copy: string, file: string | undefined, bytes: number) => {
    copies.push({ copy: `${name} as ${copy}`, isThere: file !== undefined && (await isThere(file)), bytes });
  };
  if (isGguf === undefined) await add('GGUF in F16, unless it is GGUF', undefined, Number.NaN);
  if (isGguf === false) await add('GGUF in F16', model && ggufFile(model), 2 * parameters);
  if (isSlow && !gpu) await add('GGUF in Q8_0', model && quickCopyFile(model.fingerprint), Q8_BYTES * parameters);
  return copies;
}

/**
 * The number of parameters of a LoRA adapter: rank · (in + out) per adapted layer. For a model that is not available,
 * an upper bound.
 */
export function adapterParameters(
  { tensors, layers, dimensions }: ModelFacts,
  { loraR, loraTargetModules }: { loraR: number; loraTargetModules: readonly string[] },
): number {
  if (tensors === undefined) {
    // Attention projects from the hidden size to at most the hidden size, the MLP to at most four times as much.
    const widths = loraTargetModules.map((target) => (/(gate|up|down)_proj$/.test(target) ? 5 : 2) * dimensions);
    return layers * loraR * widths.reduce((sum, width) => sum + width, 0);
  }
  const modules = tensors.map(({ name, shape }) => ({
    module: (hfNameOf(name) ?? name).replace(/\.weight$/, ''),
    shape,
  }));
  const adapted = modules.filter(({ module }) => loraTargetModules.some((target) => isTarget(module, target)));
  return adapted.reduce((sum, { shape }) => sum + loraR * ((shape[0] ?? 0) + (shape[1] ?? 0)), 0);
}
