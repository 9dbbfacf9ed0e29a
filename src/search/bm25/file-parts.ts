import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { DataError, DurableFile, isAbort, systemFault, throwIfAborted } from '../../system/index.ts';

/** Bytes to read or write at a time. */
const PIECE = 64 * 2 ** 20;

/** A stretch of memory to write. */
export type FilePart = Uint8Array | Uint16Array | Uint32Array | Float32Array;

/** Writes parts one after another; the file appears when it is whole. @throws ResourceError; AbortedError */
export async function writeParts(path: string, parts: readonly FilePart[], signal?: AbortSignal): Promise<void> {
  const file = await DurableFile.create(path);
  try {
    for (const part of parts) {
      for (const piece of pieces(part)) {
        throwIfAborted(signal);
        await file.write(piece);
      }
    }
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}

/** Reads a cached file; undefined if it is missing, damaged, or another one. */
export async function readIfWhole<T>(path: string, read: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    return await read(file);
  } catch (error) {
    if (isAbort(error)) throw error;
    const fault = systemFault(error, path);
    if (fault instanceof DataError || error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw fault;
  } finally {
    await file?.close();
  }
}

/** Reads a part of the file into a separate buffer that threads can share. @throws DataError if the file ends before */
export async function readPart(file: FileHandle, start: number, bytes: number, signal: AbortSignal | undefined) {
  const part = Buffer.from(new SharedArrayBuffer(bytes));
  for (let at = 0; at < bytes; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(part, at, Math.min(PIECE, bytes - at), start + at);
    if (bytesRead === 0) throw damagedIndex();
    at += bytesRead;
  }
  return part;
}

export function damagedIndex(): DataError {
  return new DataError('the cached index is incomplete', { fix: 'Delete the file; it is built again.' });
}

function* pieces(part: FilePart): Generator<Uint8Array> {
  for (let at = 0; at < part.byteLength; at += PIECE) {
    yield new Uint8Array(part.buffer, part.byteOffset + at, Math.min(PIECE, part.byteLength - at));
  }
}
