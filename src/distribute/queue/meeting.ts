import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import { contentKey, type Progress, SILENT } from '../../system/index.ts';
import { JobBoard, queueName } from './job-board.ts';
import { encoderIdentity, generatorIdentity } from './messages.ts';
import { unpack } from './payload.ts';
import type { QueueAddress } from './queue-address.ts';
import { type EncoderFacts, QueueEncoder } from './queue-encoder.ts';
import { type GeneratorFacts, QueueGenerator } from './queue-generator.ts';

export type EngineKind = 'generator' | 'encoder';

/** Returns the name by which workers and producers that name the same model meet: paths and addresses may differ among machines. */
export function declaredName(...words: readonly (string | undefined)[]): string {
  const names = words.filter((word) => word !== undefined);
  return names.map((word) => (/^https?:\/\//i.test(word) ? 'server' : basename(word))).join(' ');
}

/** The queue in which producers ask workers which model they have. */
export function lobbyOf(kind: EngineKind, declared: string): string {
  return queueName(kind, contentKey(declared).slice(0, 16));
}

/** The queue of all workers with the very same model. */
export function workQueueOf(
  kind: EngineKind,
  { fingerprint, contextSize }: { fingerprint: string; contextSize?: number | undefined },
): string {
  return queueName(kind, 'work', contentKey({ fingerprint, contextSize }).slice(0, 32));
}

export interface MeetingOptions {
  address: QueueAddress;
  declared: string;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** Connects to the workers that have this generator. Waits until there is one. @throws NetworkError, ResourceError, AbortedError */
export async function connectQueueGenerator(options: MeetingOptions & { jobSize: number }): Promise<QueueGenerator> {
  const facts: GeneratorFacts = unpack(await meet('generator', options), generatorIdentity, 'the answer of a worker');
  const board = await JobBoard.open(options.address, workQueueOf('generator', facts));
  return new QueueGenerator(facts, board, { workers: await board.workers(), jobSize: options.jobSize });
}

/** As {@link connectQueueGenerator}, of an encoder. */
export async function connectQueueEncoder(options: MeetingOptions): Promise<QueueEncoder> {
  const facts: EncoderFacts = unpack(await meet('encoder', options), encoderIdentity, 'the answer of a worker');
  const board = await JobBoard.open(options.address, workQueueOf('encoder', facts));
  return new QueueEncoder(facts, board, await board.workers());
}

/** Asks a worker who its model is. */
async function meet(
  kind: EngineKind,
  { address, declared, signal, progress = SILENT }: MeetingOptions,
): Promise<unknown> {
  const board = await JobBoard.open(address, lobbyOf(kind, declared));
  try {
    if ((await board.workers()) === 0)
      progress.warn?.(
        `no worker with ${declared} is connected to ${address.shown} yet: start one with \`llm-qe worker\``,
      );
    const task = progress.task('waiting for a worker', undefined, 'workers');
    try {
      const { packed, release } = await board.run(`identity-${randomUUID()}`, { kind: 'identity' }, signal);
      await release();
      return packed;
    } finally {
      task.done();
    }
  } finally {
    await board.close();
  }
}
