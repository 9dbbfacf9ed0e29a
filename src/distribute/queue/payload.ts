import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { DataError } from '../../system/index.ts';

/** Limit of a payload, packed and unpacked: some hundred long texts, or as many vectors. */
const MOST_BYTES = 64 << 20;

/** What a job carries to a worker and back: JSON, compressed, as text. Any text survives it, and its size is bounded before it is read. */
export function pack(value: unknown): string {
  return gzipSync(JSON.stringify(value), { level: 1 }).toString('base64');
}

/**
 * Reads a payload of another machine.
 * @param what it is, for the error
 * @throws DataError if it is too large, damaged or not what it should be
 */
export function unpack<T>(packed: unknown, schema: z.ZodType<T>, what: string): T {
  try {
    const text = z.string().max(MOST_BYTES).parse(packed);
    const json = gunzipSync(Buffer.from(text, 'base64'), { maxOutputLength: MOST_BYTES }).toString('utf8');
    return schema.parse(JSON.parse(json));
  } catch (cause) {
    throw new DataError(`${what} is damaged, too large, or not what it should be`, {
      fix: 'Use the same version of llm-qe on all machines, and let nothing else write into this queue.',
      cause,
    });
  }
}
