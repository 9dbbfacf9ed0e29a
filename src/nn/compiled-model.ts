import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CacheKind,
  contentKey,
  DurableFile,
  isSealed,
  makeFolder,
  seal,
  sha256,
  throwIfAborted,
  withFileLock,
  writeDurably,
} from '../system/index.ts';
import type { Graph, TensorData } from './graph.ts';
import { type WeightPlace, writeOnnxModel } from './onnx-model.ts';
import { bytesOf } from './peak-memory.ts';

/** A graph and its weights on the disk, as the runtime loads them. */
export interface CompiledModel {
  /** The ONNX file; its weights are next to it. */
  file: string;
  /** The size of all weights in bytes. */
  weightBytes: number;
}

export interface CompileOptions {
  /** The folder of compiled models, each in a folder named by its content. */
  cache: string;
  /** The fingerprint of the checkpoint of the weights. */
  fingerprint: string;
  /** The name of the model, for people who look into the cache. */
  about?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Increase this if equal graphs or weights of one checkpoint are written differently. */
const FORMAT = 1;

export const GRAPH_CACHE = new CacheKind({ name: 'graphs', format: FORMAT, what: 'compiled models' });

const WEIGHTS = 'weights.bin';

/** Weights begin at page boundaries, where the runtime can map them. */
const PAGE = 4096;

/** Reads one weight of a graph. */
export type WeightLoader = () => Promise<TensorData>;

/** Calls {@link compileGraphs} for one graph. */
export async function compileModel(
  graph: Graph,
  loaders: ReadonlyMap<string, WeightLoader>,
  options: CompileOptions,
): Promise<CompiledModel> {
  const { files, weightBytes } = await compileGraphs({ model: graph }, loaders, options);
  return { file: files.model!, weightBytes };
}

/**
 * Writes graphs and the file of weights that they share, with one weight in memory at a time. Existing files are kept.
 * The folder's name is a hash of the checkpoint's fingerprint and the layout of the weights; a graph's name is a hash
 * of its bytes, and the weights have a seal. So a stale or damaged copy is never loaded. Weights are written before graphs, and
 * concurrent processes wait for each other.
 */
export async function compileGraphs(
  graphs: Readonly<Record<string, Graph>>,
  loaders: ReadonlyMap<string, WeightLoader>,
  { cache, fingerprint, about, signal }: CompileOptions,
): Promise<{ files: Record<string, string>; weightBytes: number }> {
  const { places, bytes } = layOut(Object.values(graphs));
  const folder = join(cache, contentKey({ format: FORMAT, fingerprint, weights: [...places] }).slice(0, 32));
  const weights = join(folder, WEIGHTS);
  const models = Object.entries(graphs).map(([name, graph]) => {
    const model = writeOnnxModel(graph, WEIGHTS, places);
    return { name, model, file: join(folder, `${sha256(model).slice(0, 32)}.onnx`) };
  });
  const compiled = { files: Object.fromEntries(models.map(({ name, file }) => [name, file])), weightBytes: bytes };
  const areThere = async () => (await Promise.all(models.map(({ file, model }) => holds(file, model)))).every(Boolean);
  if ((await isSealed(weights, signal)) && (await areThere())) return compiled;
  await makeFolder(cache);
  await withFileLock(
    `${folder}.lock`,
    async () => {
      // Another process may have written them in the meantime.
      if (!(await isSealed(weights, signal))) {
        await writeWeights(weights, places, loaders, signal);
        await seal(weights, signal);
      }
      for (const { file, model } of models) {
        if (!(await holds(file, model))) await writeDurably(file, model);
      }
    },
    { signal, what: 'compiles the same model' },
  );
  if (about !== undefined) await GRAPH_CACHE.note(folder, about);
  return compiled;
}

/** Writes a graph and its weights into a folder as `model.onnx` and `weights.bin`, the graph last. */
export async function writeGraph(
  graph: Graph,
  loaders: ReadonlyMap<string, WeightLoader>,
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  const { places } = layOut([graph]);
  await makeFolder(folder);
  await writeWeights(join(folder, WEIGHTS), places, loaders, signal);
  await writeDurably(join(folder, 'model.onnx'), writeOnnxModel(graph, WEIGHTS, places));
}

/** Returns whether a graph's file, which is small, holds exactly these bytes. */
async function holds(file: string, model: Uint8Array): Promise<boolean> {
  return readFile(file).then(
    (bytes) => bytes.equals(model),
    () => false,
  );
}

/** Lays out the weights of all graphs one after the other, by name; the file ends at a page boundary. */
function layOut(graphs: readonly Graph[]): { places: Map<string, WeightPlace>; bytes: number } {
  const weights = new Map(graphs.flatMap((graph) => [...graph.weights]));
  const places = new Map<string, WeightPlace>();
  let offset = 0;
  for (const name of [...weights.keys()].sort()) {
    const bytes = bytesOf(weights.get(name)!, {});
    places.set(name, { offset, bytes });
    offset += Math.ceil(bytes / PAGE) * PAGE;
  }
  return { places, bytes: offset };
}

async function writeWeights(
  path: string,
  places: ReadonlyMap<string, WeightPlace>,
  loaders: ReadonlyMap<string, WeightLoader>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const file = await DurableFile.create(path);
  try {
    for (const [name, { bytes }] of places) {
      throwIfAborted(signal);
      const data = await loaders.get(name)!();
      await file.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      await file.write(new Uint8Array(Math.ceil(bytes / PAGE) * PAGE - bytes));
    }
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}
