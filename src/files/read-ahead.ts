import type { FileHandle } from 'node:fs/promises';
import { throwIfAborted } from '../system/index.ts';

/**
 * Reads `count` rows in order, at most `step` at a time; the next stretch is read while one is processed.
 * @param read returns the rows from `start` up to, not including, `end`
 */
export async function* readAhead<T>(
  count: number,
  step: number,
  read: (start: number, end: number) => Promise<T>,
  signal?: AbortSignal,
): AsyncGenerator<{ start: number; part: T }> {
  const readAt = (start: number) => {
    const reading = read(start, Math.min(count, start + step));
    reading.catch(() => {});
    return reading;
  };
  let next = readAt(0);
  try {
    for (let start = 0; start < count; start += step) {
      throwIfAborted(signal);
      const part = await next;
      if (start + step < count) next = readAt(start + step);
      yield { start, part };
    }
  } finally {
    await next.catch(() => {});
  }
}

/** Fills `bytes` from a position; a single read may return less. Returns false if the file ends before. */
export async function readFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<boolean> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}
