import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Encoder } from '../../embed/index.ts';
import type { Generator } from '../../generate/index.ts';
import { asMessage, DataError, LlmQeError, UsageError } from '../../system/index.ts';
import { fromSent, type Task, taskSchema } from './messages.ts';
import { pack, unpack } from './payload.ts';

/** What a worker does: it writes texts, or computes vectors. */
export type Engine = { generator: Generator } | { encoder: Encoder };

/** What the worker's process sends to the process with the model, a line each. */
const orderSchema = z.union([z.object({ open: z.unknown() }), z.object({ task: z.int(), packed: z.string() })]);

/** What it gets back. A line that does not begin with the mark is something that a library printed. */
export const replySchema = z.object({
  task: z.int(),
  packed: z.string().optional(),
  failure: z.object({ message: z.string(), fix: z.string(), isFinal: z.boolean() }).optional(),
});
export type Reply = z.output<typeof replySchema>;
export const REPLY_MARK = '\u0001';
/** The number under which the first order, to open the model, is answered. */
export const OPENING = 0;

/**
 * The side of the process with the model: opens it as the first line of standard input says, and answers tasks until the input ends.
 * Native code may block this process for minutes; the worker's own process renews its locks meanwhile.
 */
export async function answerTasks(open: (options: unknown) => Promise<Engine>): Promise<void> {
  let engine: Engine | undefined;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const order = orderSchema.parse(JSON.parse(line));
    const task = 'task' in order ? order.task : OPENING;
    try {
      if ('open' in order) engine = await open(order.open);
      const packed = 'open' in order ? pack(identityOf(engine!)) : await answer(engine!, order.packed);
      reply({ task, packed });
    } catch (error) {
      reply({ task, failure: describe(error) });
    }
  }
  await (engine !== undefined && ('generator' in engine ? engine.generator : engine.encoder).close());
}

function reply(value: Reply): void {
  process.stdout.write(`${REPLY_MARK}${JSON.stringify(value)}\n`);
}

/** Wrong input stays wrong; anything else may work on another machine, or the next time. */
function describe(error: unknown): NonNullable<Reply['failure']> {
  const isFinal = error instanceof UsageError || error instanceof DataError;
  if (error instanceof LlmQeError) return { message: error.message, fix: error.fix, isFinal };
  const message = asMessage(error instanceof Error ? error.message : String(error));
  return { message, fix: 'Look at the messages of this worker.', isFinal };
}

function identityOf(engine: Engine) {
  if ('generator' in engine) {
    const { id, fingerprint, contextSize } = engine.generator;
    return { id, fingerprint, contextSize };
  }
  const { id, fingerprint, documentFingerprint, dimensions, settings } = engine.encoder;
  return { id, fingerprint, documentFingerprint, dimensions, settings };
}

async function answer(engine: Engine, packed: string): Promise<string> {
  const task = unpack(packed, taskSchema, 'a job');
  if (task.kind === 'texts' && 'generator' in engine) return pack(await write(engine.generator, task));
  if (task.kind === 'vectors' && 'encoder' in engine) return pack(await encode(engine.encoder, task));
  throw new DataError(`this worker has no model for ${task.kind}`, { fix: 'Start a worker with another --work.' });
}

async function write(generator: Generator, { requests }: Extract<Task, { kind: 'texts' }>) {
  const generations = [];
  for await (const generation of generator.generate(requests.map(fromSent))) generations.push(generation);
  return generations;
}

async function encode(encoder: Encoder, { texts, role }: Extract<Task, { kind: 'vectors' }>) {
  const cut: number[] = [];
  const vectors = await encoder.encode(texts, role, { onCut: (row) => cut.push(row) });
  return { vectors: Buffer.from(vectors.buffer, vectors.byteOffset, vectors.byteLength).toString('base64'), cut };
}
