import { quickCopyFile, wantsQuickCopy } from '../../generate/index.ts';
import { hfNameOf, knownModelAt, type ResolvedModel, summarizeModel, type TensorInfo } from '../../models/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { isThere } from '../../system/index.ts';
import { isTarget } from '../../train/index.ts';
import { ggufFile } from './open-writer.ts';

/** What is known of a model before it is run, or fetched: NaN is not known. */
export interface ModelFacts {
  name: string;
  parameters: number;
  layers: number;
  /** Of a hidden state, and of an encoder's vectors. */
  dimensions: number;
  /** Bytes of the files that are still to be fetched. */
  download: number;
  /** Whether it is one GGUF file; undefined if that is not known. */
  isGguf: boolean | undefined;
  /** Whether most of its weights are of a type that is run from a quicker copy. */
  isSlow: boolean;
  /** Whether it is the address of a server, of whose model nothing is known. */
  isServer: boolean;
  /** Of a model that is there. */
  tensors: readonly TensorInfo[] | undefined;
  model: ResolvedModel | undefined;
}

/** A file that is made of a model once, and kept in the cache folder. */
export interface ModelCopy {
  copy: string;
  isThere: boolean;
  /** NaN if it is not known. */
  bytes: number;
}

/** Q8_0 keeps 32 weights in 34 bytes. */
const Q8_BYTES = 34 / 32;

/** @param model undefined if it is not there: then what the table of known models says of it */
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

/** The files that the embedded runtime makes of a model before it runs it. */
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

/** Numbers of a LoRA adapter: rank · (in + out) for each layer that it adapts; of a model that is not there, at most. */
export function adapterParameters(
  { tensors, layers, dimensions }: ModelFacts,
  { loraR, loraTargetModules }: { loraR: number; loraTargetModules: readonly string[] },
): number {
  if (tensors === undefined) {
    // Attention projects from the hidden size to it or to less, the MLP to four times as much at most.
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
