import { z } from 'zod';
import {
  formatShard,
  openJoinedTexts,
  type Shard,
  type ShardedQuery,
  shardSchema,
  shardsFolderOf,
  TextShard,
} from '../distribute/index.ts';
import type { Generator } from '../generate/index.ts';
import { inGroup, UsageError } from '../system/index.ts';
import type { CommandContext } from './command.ts';

/** Options of every command whose work several machines can share. */
export const shardOptions = inGroup('Several machines:', {
  shard: shardSchema
    .optional()
    .describe('do only this part of the work, such as 2/3, and keep it in a folder that all machines share')
    .meta({ valueName: 'N/ALL' }),
  join: z
    .boolean()
    .default(false)
    .describe('join the finished shards: the same command as theirs, with --join in place of --shard'),
});

export interface ShardChoice {
  shard?: Shard | undefined;
  join: boolean;
}

/** @throws UsageError if more than one of the ways to share work is chosen */
export function refuseTwoWays({ shard, join }: ShardChoice): void {
  if (shard === undefined || !join) return;
  throw new UsageError('--shard and --join cannot be combined', {
    fix: 'Pass --shard N/ALL on each machine first, then --join once.',
  });
}

/** What a command that writes texts works with. */
export interface SharedWriting<Q extends ShardedQuery> {
  generator: Generator;
  /** The queries to write texts for; a small shard may have none. */
  queries: readonly Q[];
  /** The output to write. For a shard it is temporary. */
  out: string;
  /** Call it when the output is written. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the generator of a command for the whole work, for one shard of it, or for joining all shards.
 * @param openOwn opens the generator on this machine
 */
export async function openWriting<Q extends ShardedQuery>(
  given: ShardChoice,
  whole: { queries: readonly Q[]; out: string },
  openOwn: () => Promise<Generator>,
  { warn, say }: Pick<CommandContext, 'warn' | 'say'>,
): Promise<SharedWriting<Q>> {
  refuseTwoWays(given);
  if (given.shard !== undefined) return openShard(given.shard, whole, openOwn, { warn, say });
  const generator = given.join ? await openJoinedTexts(whole.out, whole.queries) : await openOwn();
  return { ...whole, generator, finish: async () => {}, close: () => generator.close() };
}

async function openShard<Q extends ShardedQuery>(
  chosen: Shard,
  whole: { queries: readonly Q[]; out: string },
  openOwn: () => Promise<Generator>,
  { warn, say }: Pick<CommandContext, 'warn' | 'say'>,
): Promise<SharedWriting<Q>> {
  const shard = await TextShard.open(whole.out, chosen, warn);
  try {
    const queries = shard.choose(whole.queries);
    const generator = await openOwn();
    return {
      ...{ generator: shard.recording(generator), queries, out: shard.out },
      async finish() {
        await shard.seal(queries, generator);
        say(`finished shard ${formatShard(chosen)} in ${shardsFolderOf(whole.out)}`);
        say('When all shards are finished, run the same command with --join in place of --shard.');
      },
      async close() {
        await generator.close();
        await shard.close();
      },
    };
  } catch (error) {
    await shard.close();
    throw error;
  }
}
