import { resolve } from 'node:path';
import { z } from 'zod';
import { hash64 } from '../../files/index.ts';

/** One of several parts of a set: those whose ids have a certain hash, wherever they stand in it. */
export interface Shard {
  /** From 1. */
  index: number;
  of: number;
}

const MOST_SHARDS = 10_000;

/** A shard as it is typed: `2/3`. */
export const shardSchema = z.string().transform((text, context): Shard => {
  const [, index, of] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text.trim()) ?? []).map(Number);
  if (index !== undefined && of !== undefined && index >= 1 && index <= of && of <= MOST_SHARDS) return { index, of };
  context.addIssue('expected the number of this shard and of all, such as 2/3');
  return z.NEVER;
});

/** A shard as users name it: `2/3`. */
export function formatShard({ index, of }: Shard): string {
  return `${index}/${of}`;
}

export function isInShard({ index, of }: Shard, id: string): boolean {
  return shardOf(id, of) === index;
}

/** Returns the number of the shard to which an id belongs, from 1. */
export function shardOf(id: string, of: number): number {
  return (hash64(id)[0] % of) + 1;
}

/** Returns the items of a shard among few large ones: as many as the others have, give or take one, wherever they stand in the list. */
export function evenShare<T>({ index, of }: Shard, items: readonly T[], idOf: (item: T) => string): T[] {
  const ranked = items.map((item) => ({ item, rank: hash64(idOf(item))[0] })).sort((a, b) => a.rank - b.rank);
  const mine = new Set(ranked.filter((_one, at) => at % of === index - 1).map(({ item }) => item));
  return items.filter((item) => mine.has(item));
}

/** The folder of an output's shards: `expansions.shards` next to `expansions.jsonl`. */
export function shardsFolderOf(out: string): string {
  return `${resolve(out).replace(/\.jsonl$/, '')}.shards`;
}
