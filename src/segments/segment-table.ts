import { createHash } from 'node:crypto';
import type { Document } from '../data/index.ts';
import { DataError } from '../system/index.ts';

/** Bytes that identify the content of a document. */
export const KEY_BYTES = 16;

/** What is known of each document of a segment. */
export interface SegmentTable {
  /** Where each document's line begins, and where the last one ends, in bytes // [documents + 1] */
  starts: Float64Array;
  /** Where each document's vectors begin, and where the last ones end // [documents + 1] */
  rows: Uint32Array;
  /** A hash of each document // [documents · KEY_BYTES] */
  keys: Buffer;
  /** Whether the encoder truncated the text of each vector; 2 if it does not tell // [rows] */
  cuts: Uint8Array;
}

/** Returns the line of a document, without a line end. */
export function lineOf({ id, title, text, metadata }: Document): string {
  return JSON.stringify({ _id: id, title, text, ...(metadata !== undefined && { metadata }) });
}

/** Identifies the content of a document, by its line. */
export function keyOfLine(line: string): Buffer {
  return createHash('sha256').update(line).digest().subarray(0, KEY_BYTES);
}

export function encodeTable({ starts, rows, keys, cuts }: SegmentTable): Buffer {
  const parts = [starts, rows, keys, cuts].map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength));
  return Buffer.concat(parts);
}

/** @throws DataError if the table does not fit what the manifest says */
export function decodeTable(bytes: Buffer, documents: number, rows: number, file: string): SegmentTable {
  const lengths = [8 * (documents + 1), 4 * (documents + 1), KEY_BYTES * documents, rows];
  const ends = lengths.map((_length, at) => lengths.slice(0, at + 1).reduce((sum, length) => sum + length, 0));
  if (bytes.length !== ends[3]) throw damagedTable(file);
  // A copy: the bytes may stand at any place of a larger buffer.
  const part = (at: number) => Uint8Array.from(bytes.subarray(ends[at]! - lengths[at]!, ends[at]!));
  const table: SegmentTable = {
    starts: new Float64Array(part(0).buffer),
    rows: new Uint32Array(part(1).buffer),
    keys: Buffer.from(part(2).buffer),
    cuts: part(3),
  };
  const ascends = (values: Float64Array | Uint32Array) =>
    values.every((value: number, at: number) => value >= (at === 0 ? 0 : values[at - 1]!));
  if (!ascends(table.starts) || !ascends(table.rows) || table.rows[documents] !== rows) throw damagedTable(file);
  return table;
}

function damagedTable(file: string): DataError {
  return new DataError('the table of a segment is damaged', { file, fix: 'Build the index again.' });
}
