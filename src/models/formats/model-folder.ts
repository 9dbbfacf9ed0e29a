import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LlmQeError, ModelError } from '../../system/index.ts';
import { parseShardIndex } from './checkpoint-index.ts';
import type { FileListing } from './file-listing.ts';
import { openGguf } from './gguf.ts';
import { ggufSplit } from './gguf-parts.ts';
import { findWeightFiles, INDEXED, shardsOf, type WeightFiles } from './model-files.ts';
import { readIfPresent } from './model-text-file.ts';
import { missingModel } from './tensor-file.ts';

/** The contents of a folder, one level of subfolders included, with forward slashes and in alphabetical order. */
export interface FolderNames {
  /** Existing files. */
  names: string[];
  /** Broken links. */
  dangling: string[];
}

/** @throws ModelError, ResourceError */
export async function listFolder(folder: string): Promise<FolderNames> {
  try {
    const names: string[] = [];
    const dangling: string[] = [];
    const add = async (name: string) => {
      const kind = await stat(join(folder, name)).catch(() => undefined);
      if (kind === undefined) dangling.push(name);
      else if (!kind.isDirectory()) names.push(name);
      return kind?.isDirectory() ?? false;
    };
    for (const name of await readdir(folder)) {
      if (!(await add(name))) continue;
      for (const inner of await readdir(join(folder, name))) await add(`${name}/${inner}`);
    }
    return { names: names.sort(), dangling: dangling.sort() };
  } catch (error) {
    throw missingModel(error, folder);
  }
}

/** Makes the {@link FileListing} of a local folder. */
export function folderListing(folder: string, names: readonly string[]): FileListing {
  return {
    place: folder,
    names,
    readIndex: async (name) => (await readIfPresent(join(folder, name))) ?? '',
    countGgufParts: (name) => countParts(join(folder, name)),
  };
}

/** Returns undefined if the file does not begin as GGUF does: opening it reports what it is. */
async function countParts(file: string): Promise<number | undefined> {
  if (!(await beginsAsGguf(file))) return undefined;
  const checkpoint = await openGguf(file);
  try {
    return ggufSplit(checkpoint).parts;
  } finally {
    await checkpoint.close();
  }
}

async function beginsAsGguf(path: string): Promise<boolean> {
  const file = await open(path).catch((error: unknown) => {
    throw missingModel(error, path);
  });
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString('latin1') === 'GGUF';
  } finally {
    await file.close();
  }
}

/** The weights that a path names, and their folder. */
export interface WeightsAt extends WeightFiles {
  folder: string;
  /** All files of the folder. */
  names: readonly string[];
}

/**
 * Finds the weights that a path names: a folder, a single-file model, or one shard or part of a model.
 * @throws ModelError if there are none, or a shard or part is missing
 */
export async function weightFilesAt(path: string): Promise<WeightsAt> {
  const kind = await stat(path).catch((error: unknown) => {
    throw missingModel(error, path);
  });
  const folder = kind.isDirectory() ? path : dirname(path);
  const { names, dangling } = await listFolder(folder);
  const listing = folderListing(folder, names);
  const find = () => (kind.isDirectory() ? findWeightFiles(listing) : weightsOfFile(listing, basename(path)));
  const found = await find().catch((error: unknown) => {
    throw withDangling(error, dangling);
  });
  return { folder, names, ...found };
}

function withDangling(error: unknown, dangling: readonly string[]): unknown {
  if (!(error instanceof LlmQeError) || dangling.length === 0) return error;
  const links = `${dangling.slice(0, 5).join(', ')}${dangling.length > 5 ? ' and more' : ''}`;
  return new ModelError(`${error.message} (broken links: ${links})`, {
    fix: 'Restore the files that the links point to, or choose another folder.',
    cause: error,
  });
}

async function weightsOfFile(listing: FileListing, name: string): Promise<WeightFiles> {
  if (name.endsWith('.gguf')) return await findWeightFiles(listing, name);
  for (const [format, stem, ending] of INDEXED) {
    const index = `${stem}.${ending}.index.json`;
    if (!listing.names.includes(index) || !(name === index || name.endsWith(`.${ending}`))) continue;
    const { shards } = parseShardIndex(join(listing.place, index), await listing.readIndex(index));
    if (name === index || (shards.includes(name) && name !== `${stem}.${ending}`)) {
      return { format, entry: index, files: [index, ...(await shardsOf(listing, index))] };
    }
  }
  return { format: /\.(bin|pt|pth)$/.test(name) ? 'torch' : 'safetensors', entry: name, files: [name] };
}
