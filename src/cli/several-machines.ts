import { z } from 'zod';
import {
  connectQueueEncoder,
  connectQueueGenerator,
  declaredName,
  formatShard,
  openJoinedTexts,
  parseQueueAddress,
  type QueueAddress,
  type Shard,
  type ShardedQuery,
  shardSchema,
  shardsFolderOf,
  TextShard,
} from '../distribute/index.ts';
import type { Encoder } from '../embed/index.ts';
import type { Generator } from '../generate/index.ts';
import { retrievalSettings } from '../retrieve/index.ts';
import { inGroup, UsageError } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import type { GeneratorChoice } from './open-generator.ts';

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

/** The address of a queue, of workers and of the commands that give them work. */
const queueOption = z
  .string()
  .transform((text) => parseQueueAddress(text))
  .describe('let the workers of this queue do the work (`llm-qe worker`): the address of a Redis or PostgreSQL server')
  .meta({ valueName: 'URL' });

/** Options of every command that gives work to a queue. */
export const queueOptions = inGroup('Several machines:', { queue: queueOption.optional() });

/** Options of a worker. */
export const workerOptions = inGroup('Several machines:', {
  queue: queueOption.describe('the queue to work for: the address of a Redis or PostgreSQL server'),
  lostAfter: z.coerce
    .number()
    .min(1)
    .max(3600)
    .default(30)
    .describe('seconds without a sign of life after which another worker takes the job of this one'),
});

export const jobSizeOption = inGroup('Several machines:', {
  jobSize: z.coerce
    .number()
    .int()
    .min(1)
    .max(1024)
    .default(128)
    .describe('with --queue: texts per job, about; a job has at most twice as many'),
});

const { encoder, encoderModel, documentPrefix, batchSize, maxWait, precision, pooling, maxLength, threads, offline } =
  retrievalSettings;

/** Options that decide the vectors of documents, and how they are computed. */
export const encoderOptions = {
  ...{ encoder, encoderModel, documentPrefix, batchSize, maxWait, precision, pooling, maxLength, threads, offline },
};
const encoderSchema = z.object(encoderOptions);
export type EncoderChoice = z.output<typeof encoderSchema>;

export interface ShardChoice {
  shard?: Shard | undefined;
  join: boolean;
  queue?: QueueAddress | undefined;
}

/** @throws UsageError if more than one of the ways to share work is chosen */
export function refuseTwoWays({ shard, join, queue }: ShardChoice): void {
  const chosen = Object.entries({ '--shard': shard, '--join': join || undefined, '--queue': queue });
  const [first, second] = chosen.filter(([, value]) => value !== undefined).map(([name]) => name);
  if (second === undefined) return;
  throw new UsageError(`${first} and ${second} cannot be combined`, {
    fix: 'Pass --shard N/ALL on each machine and then --join once, or --queue alone.',
  });
}

/** The name of a generator by which its workers are found. */
export function declaredGenerator({
  generator,
  model,
  adapter,
}: Pick<GeneratorChoice, 'generator' | 'model' | 'adapter'>) {
  return declaredName(...generator.slice(0, 1), model, ...adapter);
}

/**
 * Opens the generator of a queue's workers.
 * @throws UsageError for options that only a worker obeys
 */
export function openQueuedGenerator(
  given: GeneratorChoice & { queue: QueueAddress; jobSize: number; logProbabilities?: boolean | undefined },
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<Generator> {
  refuseWorkerOptions({
    ...{ '--gpu': given.gpu, '--context': given.context, '--sequences': given.sequences },
    ...{ '--concurrency': given.concurrency, '--timeout': given.timeout, '--max-wait': given.maxWait },
    ...{ '--chat-template-kwargs': given.chatTemplateKwargs, '--log-probabilities': given.logProbabilities },
  });
  const { queue: address, jobSize } = given;
  return connectQueueGenerator({ address, jobSize, declared: declaredGenerator(given), signal, progress });
}

/** The name of an encoder by which its workers are found. */
export function declaredEncoder({ encoder, encoderModel }: EncoderChoice): string {
  return declaredName(encoder, encoderModel);
}

/** As {@link openQueuedGenerator}, of the encoder. */
export function openQueuedEncoder(
  given: EncoderChoice & { queue: QueueAddress },
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<Encoder> {
  refuseWorkerOptions({
    ...{ '--document-prefix': given.documentPrefix, '--batch-size': given.batchSize, '--max-wait': given.maxWait },
    ...{ '--precision': given.precision === 'f32' ? undefined : given.precision, '--pooling': given.pooling },
    ...{ '--max-length': given.maxLength, '--threads': given.threads },
  });
  return connectQueueEncoder({ address: given.queue, declared: declaredEncoder(given), signal, progress });
}

function refuseWorkerOptions(options: Record<string, unknown>): void {
  const idle = Object.entries(options).find(([, value]) => value !== undefined && value !== false);
  if (idle === undefined) return;
  throw new UsageError(`${idle[0]} has no effect with --queue`, { fix: 'Pass it to `llm-qe worker` instead.' });
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
