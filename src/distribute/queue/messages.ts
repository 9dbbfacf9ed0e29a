import { z } from 'zod';
import { type CuttablePart, type GenerationRequest, generationSchema, samplingSchema } from '../../generate/index.ts';
import { sha256 } from '../../system/index.ts';

/** Raise it when jobs or their results change. It is part of every queue's name. */
export const JOB_FORMAT = 1;

/** Limits of one job. */
const MOST_TEXTS = 4096;

const messageSchema = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });

const requestSchema = z.object({
  id: z.string(),
  messages: z.array(messageSchema).min(1).max(64),
  /** The messages with a mark in place of the part that may be cut. */
  cuttable: z.object({ text: z.string(), mark: z.string().min(1), messages: z.array(messageSchema) }).optional(),
  sampling: z.object(samplingSchema.shape),
  seed: z.int().nonnegative(),
});
type SentRequest = z.output<typeof requestSchema>;

/** What a worker is asked for. */
export const taskSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('identity') }),
  z.object({ kind: z.literal('texts'), requests: z.array(requestSchema).min(1).max(MOST_TEXTS) }),
  z.object({
    kind: z.literal('vectors'),
    role: z.enum(['query', 'document']),
    texts: z.array(z.string()).min(1).max(MOST_TEXTS),
  }),
]);
export type Task = z.output<typeof taskSchema>;

/** What a worker's generator is. */
export const generatorIdentity = z.object({
  id: z.string(),
  fingerprint: z.string(),
  contextSize: z.number().optional(),
});

/** What a worker's encoder is. */
export const encoderIdentity = z.object({
  id: z.string(),
  fingerprint: z.string(),
  documentFingerprint: z.string().optional(),
  dimensions: z
    .int()
    .positive()
    .max(1 << 16),
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

export const textsResult = z.array(generationSchema).max(MOST_TEXTS);

export const vectorsResult = z.object({
  /** 32-bit floats, little-endian, row-major, in base64 // [texts, dimensions] */
  vectors: z.string(),
  /** Rows of the texts that were cut. */
  cut: z.array(z.int().nonnegative()).max(MOST_TEXTS),
});

/** Turns a request into plain data. */
export function toSent({ id, messages, cuttable, sampling, seed }: GenerationRequest): SentRequest {
  if (cuttable === undefined) return { id, messages, sampling, seed };
  const mark = `<<${sha256(cuttable.text).slice(0, 32)}>>`;
  const sent = { text: cuttable.text, mark, messages: cuttable.messagesWith(mark) };
  return { id, messages, cuttable: sent, sampling, seed };
}

export function fromSent({ id, messages, cuttable, sampling, seed }: SentRequest): GenerationRequest {
  return { id, messages, sampling, seed, ...(cuttable !== undefined && { cuttable: cuttablePart(cuttable) }) };
}

function cuttablePart({ text, mark, messages }: NonNullable<SentRequest['cuttable']>): CuttablePart {
  return {
    text,
    messagesWith: (cut) =>
      messages.map(({ role, content }) => ({ role, content: content.replaceAll(mark, () => cut) })),
  };
}
