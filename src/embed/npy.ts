import type { FileHandle } from 'node:fs/promises';
import { DataError } from '../system/index.ts';

/** What the head of an .npy file of vectors says. */
export interface NpyHead {
  rows: number;
  dimensions: number;
  /** Where the numbers begin. */
  offset: number;
}

const MAGIC = '\x93NUMPY';

/** The head of a matrix of little-endian 32-bit floats in NumPy's format 1.0, padded to 64 bytes (NEP 1). */
export function npyHead(rows: number, dimensions: number): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dimensions}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const head = Buffer.alloc(length, ' ');
  head.write(MAGIC, 0, 'latin1');
  head.writeUInt8(1, 6);
  head.writeUInt8(0, 7);
  head.writeUInt16LE(length - 10, 8);
  head.write(text, 10, 'latin1');
  head.write('\n', length - 1, 'latin1');
  return head;
}

/**
 * Reads the head and checks that the file holds as many numbers as it says.
 * @throws DataError where it is no such matrix, or is cut off
 */
export async function readNpyHead(handle: FileHandle, file: string): Promise<NpyHead> {
  const fix = 'Remove the folder of vectors and encode the corpus again.';
  const head = Buffer.alloc(256);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const offset = 10 + head.readUInt16LE(8);
  const text = head.toString('latin1', 10, Math.min(offset, bytesRead));
  const shape = /'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\)/.exec(text);
  if (head.toString('latin1', 0, 6) !== MAGIC || shape === null) {
    throw new DataError('is not an .npy file of 32-bit vectors', { file, fix });
  }
  const [rows, dimensions] = [Number(shape[1]), Number(shape[2])];
  const { size } = await handle.stat();
  const expected = offset + rows * dimensions * 4;
  if (size !== expected) throw new DataError(`has ${size} bytes instead of ${expected}`, { file, fix });
  return { rows, dimensions, offset };
}
