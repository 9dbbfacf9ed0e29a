import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  contentKey,
  DurableFile,
  makeFolder,
  sha256,
  throwIfAborted,
  withFileLock,
  writeDurably,
} from '../system/index.ts';
import type { Dtype, Graph, TensorData } from './graph.ts';
import { type WeightPlace, writeOnnxModel } from './onnx-model.ts';

/** A graph and its weights on the disk, as the runtime loads them. */
export interface CompiledModel {
  /** The ONNX file; its weights stand beside it. */
  file: string;
  /** Bytes of all weights. */
  weightBytes: number;
}

export interface CompileOptions {
  /** Folder under which compiled models are kept, each in a folder named by its content. */
  cache: string;
  /** Fingerprint of the checkpoint that the weights come from. */
  fingerprint: string;
  signal?: AbortSignal | undefined;
}

const WEIGHTS = 'weights.bin';
const ITEM_BYTES: Record<Dtype, number> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  uint4: 0.5,
};

/** Weights begin at page boundaries, where the runtime can map them. */
const PAGE = 4096;

/**
 * Writes a graph and its weights, one weight in memory at a time, unless they stand there already. The folder's name
 * holds the checkpoint's fingerprint and every byte of the graph, so that a stale copy is never loaded; the ONNX file
 * is written last, and processes that come at the same time wait for one another.
 */
export async function compileModel(
  graph: Graph,
  loaders: ReadonlyMap<string, () => Promise<TensorData>>,
  { cache, fingerprint, signal }: CompileOptions,
): Promise<CompiledModel> {
  const { places, bytes } = layOut(graph);
  const model = writeOnnxModel(graph, WEIGHTS, places);
  const folder = join(cache, contentKey({ fingerprint, graph: sha256(model) }).slice(0, 32));
  const file = join(folder, 'model.onnx');
  const compiled = { file, weightBytes: bytes };
  if (await isWhole(folder, file, bytes)) return compiled;
  await makeFolder(cache);
  await withFileLock(
    `${folder}.lock`,
    async () => {
      if (await isWhole(folder, file, bytes)) return;
      await writeWeights(join(folder, WEIGHTS), places, loaders, signal);
      await writeDurably(file, model);
    },
    { signal },
  );
  return compiled;
}

async function isWhole(folder: string, file: string, bytes: number): Promise<boolean> {
  const sizes = await Promise.all([stat(file), stat(join(folder, WEIGHTS))]).catch(() => undefined);
  return sizes?.[1].size === bytes;
}

/** Places the weights one after the other; the file ends at a page boundary. */
function layOut(graph: Graph): { places: Map<string, WeightPlace>; bytes: number } {
  const places = new Map<string, WeightPlace>();
  let offset = 0;
  for (const { name, dtype, shape } of graph.weights.values()) {
    const bytes = shape.reduce<number>((product, size) => product * Number(size), ITEM_BYTES[dtype]);
    places.set(name, { offset, bytes });
    offset += Math.ceil(bytes / PAGE) * PAGE;
  }
  return { places, bytes: offset };
}

async function writeWeights(
  path: string,
  places: ReadonlyMap<string, WeightPlace>,
  loaders: ReadonlyMap<string, () => Promise<TensorData>>,
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
