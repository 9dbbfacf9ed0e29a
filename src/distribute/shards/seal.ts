import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJsonFileIfThere } from '../../files/index.ts';
import { DataError, isInsideFolder, sha256File, systemFault, writeDurably } from '../../system/index.ts';
import { formatShard, type Shard } from './shard.ts';

const FORMAT = 1;

const fileFacts = z.object({ bytes: z.int().nonnegative(), sha256: z.string() });

/** `2-of-3.json`: says that a shard is finished, and what it holds. */
const sealSchema = z.object({
  version: z.literal(FORMAT),
  shard: z.object({ index: z.int().positive(), of: z.int().positive() }),
  /** The texts that the shard was made for. */
  items: z.object({ count: z.int().nonnegative(), sha256: z.string() }),
  /** The shard's files by their names in its folder. */
  files: z.record(z.string().refine(isInsideFolder), fileFacts),
  /** Facts that all shards of a set have in common, such as the model. */
  common: z.record(z.string(), z.unknown()),
});
export type Seal = z.output<typeof sealSchema>;

/** What a shard was made for. */
export type Items = Seal['items'];

/** Returns the part of a name that all files of a shard begin with: `2-of-3`. */
export function stemOf({ index, of }: Shard): string {
  return `${index}-of-${of}`;
}

function sealFile(folder: string, shard: Shard): string {
  return join(folder, `${stemOf(shard)}.json`);
}

/** Seals a finished shard. Its files must not change from now on. */
export async function sealShard(
  folder: string,
  shard: Shard,
  { items, common, names }: Pick<Seal, 'items' | 'common'> & { names: readonly string[] },
): Promise<void> {
  const files: Seal['files'] = {};
  for (const name of names) files[name] = await factsOf(join(folder, name));
  const seal: Seal = { version: FORMAT, shard, items, files, common };
  await writeDurably(sealFile(folder, shard), `${JSON.stringify(seal, null, 1)}\n`);
}

/**
 * Opens a shard for more work: it is not finished until it is sealed again.
 * @returns whether a file of it was changed after it was sealed, other than at its end: it must begin again
 */
export async function breakSeal(folder: string, shard: Shard): Promise<'changed' | undefined> {
  const file = sealFile(folder, shard);
  // A damaged seal says nothing about the shard.
  const seal = await readJsonFileIfThere(file, sealSchema, () => new UnreadableSeal()).catch((error: unknown) => {
    if (error instanceof UnreadableSeal) return undefined;
    throw error;
  });
  const damage = seal && (await findDamage(folder, seal));
  if (damage?.kind !== 'changed') await rm(file, { force: true });
  return damage?.kind === 'changed' ? 'changed' : undefined;
}

class UnreadableSeal extends Error {}

/** The first file of a shard that is not as it was sealed. */
interface Damage {
  file: string;
  kind: 'lost' | 'cut' | 'changed';
  reason: string;
  cause?: unknown;
}

async function findDamage(folder: string, { files }: Seal): Promise<Damage | undefined> {
  for (const [name, { bytes, sha256 }] of Object.entries(files)) {
    const file = join(folder, name);
    const found = await factsOf(file).catch((error: unknown) => {
      if (!(error instanceof DataError)) throw error;
      return error;
    });
    if (found instanceof DataError) return { file, kind: 'lost', reason: 'has lost this file', cause: found };
    if (found.bytes < bytes) return { file, kind: 'cut', reason: `was cut: ${found.bytes} of ${bytes} bytes are left` };
    if (found.sha256 !== sha256) return { file, kind: 'changed', reason: 'was changed after it was finished' };
  }
  return undefined;
}

async function factsOf(file: string): Promise<z.output<typeof fileFacts>> {
  const { size } = await stat(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  return { bytes: size, sha256: await sha256File(file) };
}

/** Adds up what a shard is made for, in the order of the set. */
export class ItemCount {
  readonly #hash = createHash('sha256');
  #count = 0;

  add(item: unknown): void {
    this.#hash.update(`${JSON.stringify(item)}\n`);
    this.#count++;
  }

  get items(): Items {
    return { count: this.#count, sha256: this.#hash.copy().digest('hex') };
  }
}

/** Into how many shards the set in this folder was divided. @throws DataError if there are none, or of several divisions */
export async function countShards(folder: string): Promise<number> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw systemFault(error, folder);
  });
  const counts = new Set(names.flatMap((name) => /^\d+-of-(\d+)(?:\.|$)/.exec(name)?.[1] ?? []));
  const [first, ...others] = [...counts].map(Number).sort((a, b) => a - b);
  if (first === undefined) {
    throw new DataError('there are no shards', {
      file: folder,
      fix: 'Run the same command with --shard 1/N, 2/N and so on first, on as many machines as you like.',
    });
  }
  if (others.length === 0) return first;
  throw new DataError(`the folder holds shards of ${[first, ...others].join(' and of ')}`, {
    file: folder,
    fix: 'Remove those of the number that you no longer use.',
  });
}

/**
 * Reads the seals of all shards, and checks each shard against its seal, what it was made for and the other shards.
 * @param itemsOf returns the hashes of what the shards must have been made for
 * @param others what a shard of something else was made for: "other queries"
 * @throws DataError that names the first shard that is missing, unfinished, cut, or made for something else
 */
export async function readSeals(
  folder: string,
  itemsOf: (of: number) => readonly string[],
  others: string,
): Promise<Seal[]> {
  const of = await countShards(folder);
  const seals: Seal[] = [];
  for (let index = 1; index <= of; index++) seals.push(await readWhole(folder, { index, of }));
  for (const [at, items] of itemsOf(of).entries()) {
    const { shard, items: found } = seals[at]!;
    if (found.sha256 !== items) throw unusable(folder, shard, `was made for ${others}`);
  }
  const [first, ...rest] = seals;
  for (const { shard, common } of rest) {
    const name = Object.keys(common).find((key) => JSON.stringify(common[key]) !== JSON.stringify(first!.common[key]));
    if (name !== undefined)
      throw unusable(folder, shard, `was made with another ${name} than shard ${formatShard(first!.shard)}`);
  }
  return seals;
}

async function readWhole(folder: string, shard: Shard): Promise<Seal> {
  const path = sealFile(folder, shard);
  const damaged = (cause: unknown) => unusable(path, shard, 'has a damaged seal', cause);
  const seal = await readJsonFileIfThere(path, sealSchema, damaged);
  if (seal === undefined) throw unusable(folder, shard, 'is missing or not finished');
  const damage = await findDamage(folder, seal);
  if (damage !== undefined) throw unusable(damage.file, shard, damage.reason, damage.cause);
  return seal;
}

/** The error for a shard that must be made again. */
export function unusable(file: string, shard: Shard, reason: string, cause?: unknown): DataError {
  const name = formatShard(shard);
  return new DataError(`shard ${name} ${reason}`, {
    ...{ file, cause },
    fix: `Run the same command with --shard ${name} (it makes only what is missing), then join again.`,
  });
}
