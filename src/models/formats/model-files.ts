import { ModelError } from '../../system/index.ts';
import { parseShardIndex } from './checkpoint-index.ts';
import { partsOfGguf } from './gguf-parts.ts';

export type ModelFormat = 'gguf' | 'safetensors' | 'torch';

/** A place that holds a model's files: a folder of this machine, or what a hub lists. */
export interface FileListing {
  /** For errors. */
  place: string;
  /** Forward slashes; files that can be read. */
  names: readonly string[];
  /** The text of a shard index among them. */
  readIndex(name: string): Promise<string>;
  /** How many parts a GGUF file says it is cut into; undefined if the file cannot be looked into before it is fetched. */
  countGgufParts?(name: string): Promise<number | undefined>;
}

/** The files that hold a model's weights. */
export interface WeightFiles {
  format: ModelFormat;
  /** The one that is opened: the file itself, the index of its shards, or the first of its parts. */
  entry: string;
  /** All of them, the entry included. */
  files: readonly string[];
}

/** How Transformers names weights: the format, the stem of the file and its ending. */
export const INDEXED = [
  ['safetensors', 'model', 'safetensors'],
  ['torch', 'pytorch_model', 'bin'],
] as const;

/**
 * The files of a model's weights. This is the only place that knows them: to pull, verify, hash, open, look into and export a
 * model all ask here. A whole file counts before an index beside it, as in Transformers; shards are those that the index
 * names, parts of a GGUF file those that its header counts.
 * @param wanted the .gguf file to take if there are several models; any part stands for all of its model
 * @throws ModelError if there are no weights, several models, or a shard or part is missing
 */
export async function findWeightFiles(listing: FileListing, wanted?: string): Promise<WeightFiles> {
  if (wanted !== undefined) return await ggufModel(listing, wanted);
  for (const [format, stem, ending] of INDEXED) {
    const whole = `${stem}.${ending}`;
    if (listing.names.includes(whole)) return { format, entry: whole, files: [whole] };
    const index = `${whole}.index.json`;
    if (listing.names.includes(index))
      return { format, entry: index, files: [index, ...(await shardsOf(listing, index))] };
  }
  return await ggufModel(listing, onlyGguf(listing));
}

/** The shards that an index names, all of them there. @throws ModelError */
export async function shardsOf(listing: FileListing, index: string): Promise<string[]> {
  const shards = parseShardIndex(`${listing.place}/${index}`, await listing.readIndex(index)).shards;
  refuseGap(listing, shards, `${index} names`);
  return shards;
}

function refuseGap({ place, names }: FileListing, needed: readonly string[], who: string): void {
  const missing = needed.filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  throw new ModelError(
    `${who} ${needed.length} ${needed.length === 1 ? 'file' : 'files'} of weights; no such file: ${shortList(missing)}`,
    {
      file: place,
      fix: 'Fetch the missing files of the same version, a model of the store by `llm-qe models pull NAME --verify`.',
    },
  );
}

async function ggufModel(listing: FileListing, wanted: string): Promise<WeightFiles> {
  const { place, names } = listing;
  const named = partsOfGguf(wanted);
  const first = named?.[0] ?? wanted;
  if (!names.includes(first) && (named === undefined || !names.includes(wanted))) {
    throw new ModelError(`${place} holds no ${wanted}`, { fix: `Name one of: ${shortList(names)}.` });
  }
  refuseGap(listing, named ?? [wanted], 'the name counts');
  const count = await listing.countGgufParts?.(first);
  if (count !== undefined && count !== (named?.length ?? 1)) throw wrongCount(place, first, count, named?.length ?? 1);
  return { format: 'gguf', entry: first, files: named ?? [wanted] };
}

function wrongCount(place: string, name: string, stated: number, named: number): ModelError {
  return new ModelError(`${name} says it is cut into ${stated} parts, and its name says ${named}`, {
    file: place,
    fix: 'Give all parts the names they were published under (NAME-00001-of-00002.gguf and so on), in one folder.',
  });
}

/** The GGUF file of a place that holds one model. */
function onlyGguf({ place, names }: FileListing): string {
  const models = new Set(names.filter((name) => name.endsWith('.gguf')).map((name) => partsOfGguf(name)?.[0] ?? name));
  const [first] = models;
  const old = names.find((name) => /^0_[A-Za-z]+\/(model\.safetensors|pytorch_model\.bin)$/.test(name));
  if (first === undefined && old !== undefined) throw oldLayout(place, old);
  if (first === undefined)
    throw new ModelError(
      `${place} holds no checkpoint: no weights that can be read (model.safetensors, pytorch_model.bin or .gguf)`,
      { fix: UNREADABLE },
    );
  if (models.size === 1) return first;
  throw new ModelError(`${place} holds ${models.size} GGUF files, and which one is meant is not clear`, {
    fix: `Name one of them at the end of the path: ${shortList([...models])}.`,
  });
}

function oldLayout(place: string, name: string): ModelError {
  const folder = name.slice(0, name.indexOf('/'));
  return new ModelError(`${place} has the old layout of sentence-transformers, with the network in ${folder}`, {
    fix: `Load it with a present sentence-transformers and save it again; or move the files of ${folder} up, and set its "path" in modules.json to "".`,
  });
}

const UNREADABLE =
  'Name a model that is published as model.safetensors, pytorch_model.bin (each also in shards) or one .gguf file.';

function shortList(names: readonly string[]): string {
  return names.length <= 12 ? names.join(', ') : `${names.slice(0, 12).join(', ')} and ${names.length - 12} more`;
}
