import { counted, ModelError } from '../../system/index.ts';
import { parseShardIndex } from './checkpoint-index.ts';
import type { FileListing } from './file-listing.ts';
import { partsOfGguf } from './gguf-parts.ts';
import { modulesOf, networkFolder } from './module-list.ts';

export type ModelFormat = 'gguf' | 'safetensors' | 'torch';

/** The files that hold a model's weights. */
export interface WeightFiles {
  format: ModelFormat;
  /** The file to open: the file itself, the index of its shards, or the first of its parts. */
  entry: string;
  /** All of them, including the entry. */
  files: readonly string[];
}

/** How Transformers names weights: the format, the stem and the extension of the file. */
export const INDEXED = [
  ['safetensors', 'model', 'safetensors'],
  ['torch', 'pytorch_model', 'bin'],
] as const;

/**
 * Finds the files of a model's weights. Pulling, verifying, hashing, opening, inspecting and exporting all use this
 * function, so that they agree. As in Transformers, a complete file is preferred to an index next to it. The index
 * names the shards; the header of a GGUF file counts its parts. `modules.json` names the folder of an encoder's network.
 * @param wanted the .gguf file to use if there are several models; any of its parts will do
 * @throws ModelError if there are no weights, several models, or a shard or part is missing
 */
export async function findWeightFiles(listing: FileListing, wanted?: string): Promise<WeightFiles> {
  if (wanted !== undefined) return await ggufModel(listing, wanted);
  const folder = networkFolder(await modulesOf(listing));
  if (folder !== '' && listing.names.some((name) => name.startsWith(`${folder}/`)))
    return weightsBelow(listing, folder);
  for (const [format, stem, ending] of INDEXED) {
    const whole = `${stem}.${ending}`;
    if (listing.names.includes(whole)) return { format, entry: whole, files: [whole] };
    const index = `${whole}.index.json`;
    if (listing.names.includes(index))
      return { format, entry: index, files: [index, ...(await shardsOf(listing, index))] };
  }
  return await ggufModel(listing, onlyGguf(listing));
}

/** Finds the weights in the folder that a list of modules names. */
async function weightsBelow(listing: FileListing, folder: string): Promise<WeightFiles> {
  const inside = listing.names
    .filter((name) => name.startsWith(`${folder}/`))
    .map((name) => name.slice(folder.length + 1));
  const { format, entry, files } = await findWeightFiles({
    place: `${listing.place}/${folder}`,
    names: inside,
    readIndex: (name) => listing.readIndex(`${folder}/${name}`),
  });
  return { format, entry: `${folder}/${entry}`, files: files.map((name) => `${folder}/${name}`) };
}

/** Returns the shards that an index names. @throws ModelError if one is missing */
export async function shardsOf(listing: FileListing, index: string): Promise<string[]> {
  const shards = parseShardIndex(`${listing.place}/${index}`, await listing.readIndex(index)).shards;
  refuseGap(listing, shards, `${index} names`);
  return shards;
}

function refuseGap({ place, names }: FileListing, needed: readonly string[], who: string): void {
  const missing = needed.filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  throw new ModelError(`${who} ${counted(needed.length, 'file')} of weights; no such file: ${shortList(missing)}`, {
    file: place,
    fix: 'Download the missing files, from the same version. For a model of the store: `llm-qe models pull NAME --verify`.',
  });
}

async function ggufModel(listing: FileListing, wanted: string): Promise<WeightFiles> {
  const { place, names } = listing;
  const named = partsOfGguf(wanted);
  const first = named?.[0] ?? wanted;
  if (!names.includes(first) && (named === undefined || !names.includes(wanted))) {
    throw new ModelError(`${place} holds no ${wanted}`, { fix: `Choose one of: ${shortList(names)}.` });
  }
  refuseGap(listing, named ?? [wanted], 'the name counts');
  const count = await listing.countGgufParts?.(first);
  if (count !== undefined && count !== (named?.length ?? 1)) throw wrongCount(place, first, count, named?.length ?? 1);
  return { format: 'gguf', entry: first, files: named ?? [wanted] };
}

function wrongCount(place: string, name: string, stated: number, named: number): ModelError {
  return new ModelError(`${name} says it is split into ${stated} parts, but its name says ${named}`, {
    file: place,
    fix: 'Put all parts into one folder under their published names (NAME-00001-of-00002.gguf and so on).',
  });
}

/** Returns the GGUF file of a place that holds one model. */
function onlyGguf({ place, names }: FileListing): string {
  const models = new Set(names.filter((name) => name.endsWith('.gguf')).map((name) => partsOfGguf(name)?.[0] ?? name));
  const [first] = models;
  const old = names.find((name) => /^0_[A-Za-z]+\/(model\.safetensors|pytorch_model\.bin)$/.test(name));
  if (first === undefined && old !== undefined) throw oldLayout(place, old);
  const shard = names.find((name) => /^[^/]*-\d{5}-of-\d{5}\.(safetensors|bin)$/.test(name));
  if (first === undefined && shard !== undefined) throw withoutIndex(place, shard);
  if (first === undefined)
    throw new ModelError(
      `${place} holds no checkpoint: no readable weights (model.safetensors, pytorch_model.bin or .gguf)`,
      { fix: UNREADABLE },
    );
  if (models.size === 1) return first;
  throw new ModelError(`${place} holds ${models.size} GGUF files, so the choice is ambiguous`, {
    fix: `Append one of them to the path: ${shortList([...models])}.`,
  });
}

function oldLayout(place: string, name: string): ModelError {
  const folder = name.slice(0, name.indexOf('/'));
  return new ModelError(
    `${place} has the old layout of sentence-transformers, with the network in ${folder}, but no modules.json`,
    {
      fix: `Download its modules.json too, which names the folders of its modules.`,
    },
  );
}

function withoutIndex(place: string, shard: string): ModelError {
  const [, stem, ending] = INDEXED[shard.endsWith('.bin') ? 1 : 0];
  return new ModelError(`${place} holds shards of weights (${shard}) but no ${stem}.${ending}.index.json`, {
    fix: 'Download the index as well, from the same version: it says which shard holds which weight.',
  });
}

const UNREADABLE =
  'Choose a model that is published as model.safetensors, pytorch_model.bin (either may be sharded) or one .gguf file.';

function shortList(names: readonly string[]): string {
  return names.length <= 12 ? names.join(', ') : `${names.slice(0, 12).join(', ')} and ${names.length - 12} more`;
}
