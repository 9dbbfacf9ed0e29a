import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { systemFault } from '../errors.ts';

/** Returns the lower-case hexadecimal SHA-256 of a text (UTF-8) or of bytes. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Returns the SHA-256 of a file, read as a stream. */
export async function sha256File(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
      hash.update(chunk);
    }
  } catch (error) {
    throw systemFault(error, file);
  }
  return hash.digest('hex');
}

/**
 * Returns a key for a piece of work: the SHA-256 of its settings as canonical JSON (object keys sorted at every depth, `undefined`
 * omitted). Equal settings have equal keys in whatever order they were written.
 */
export function contentKey(settings: unknown): string {
  return sha256(canonicalJson(settings));
}

/** Returns JSON with object keys sorted at every depth. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
