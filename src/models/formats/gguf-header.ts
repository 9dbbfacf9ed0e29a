import { checkStatedSizes } from './gguf-sizes.ts';
import { GGML_TYPES } from './gguf-types.ts';
import { elementCount, type TensorFile } from './tensor-file.ts';

/** A tensor as a GGUF header describes it. */
export interface GgufTensor {
  name: string;
  dtype: string;
  /** Row-major, outermost first (reversed in the file). */
  shape: number[];
  count: number;
  /** Bytes from the start of the data. */
  offset: number;
}

export interface GgufHeader {
  version: number;
  metadata: Map<string, unknown>;
  /** Where each value is in the file, including its type number: the bytes from `start` up to, not including, `end`. */
  metadataPlaces: Map<string, { start: number; end: number }>;
  tensors: GgufTensor[];
  /** Bytes from the start of the file to the first tensor. */
  dataStart: number;
}

const FIRST_READ = 4 * 1024 * 1024;
/** The header of a model with 256,000 tokens takes about 15 MB. */
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
/** GGML's limit on dimensions. */
const MAX_DIMENSIONS = 4;
/** Known models have no nested arrays; deeper nesting than this is an attack. */
const MAX_ARRAY_DEPTH = 4;
const CONVERT_AGAIN = 'Convert the model again with a current llama.cpp, or download a newer file.';

/** Signals that the header continues after the bytes read so far. */
class NeedMore extends Error {}

/**
 * Reads and checks the header of a GGUF file, versions 2 and 3. Counts are checked against the size of the file before
 * memory is allocated for them. Format: docs/gguf.md of the ggml repository.
 * @throws ModelError
 */
export async function readGgufHeader(file: TensorFile): Promise<GgufHeader> {
  for (let length = FIRST_READ; ; length *= 2) {
    const bytes = await file.read(0, Math.min(length, file.size));
    try {
      return parseHeader(new HeaderCursor(file, bytes));
    } catch (error) {
      if (!(error instanceof NeedMore)) throw error;
      if (length >= file.size) file.fail('the file ends inside its header');
      if (length >= MAX_HEADER_BYTES) file.fail(`the header is longer than ${MAX_HEADER_BYTES} bytes`);
    }
  }
}

function parseHeader(cursor: HeaderCursor): GgufHeader {
  const version = readVersion(cursor);
  const tensorCount = cursor.count(24, 'tensors');
  const pairCount = cursor.count(13, 'metadata entries');
  const metadata = new Map<string, unknown>();
  const metadataPlaces: GgufHeader['metadataPlaces'] = new Map();
  for (let i = 0; i < pairCount; i++) {
    const key = cursor.text();
    if (metadata.has(key)) cursor.file.fail('the metadata key appears twice', key);
    const start = cursor.position;
    metadata.set(key, readValue(cursor, cursor.u32(), key, 0));
    metadataPlaces.set(key, { start, end: cursor.position });
  }
  const tensors: GgufTensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensor(cursor);
    if (names.has(tensor.name)) cursor.file.fail('the header names a tensor twice', tensor.name);
    names.add(tensor.name);
    tensors.push(tensor);
  }
  const alignment = readAlignment(cursor.file, metadata.get('general.alignment') ?? 32);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  checkLayout(cursor.file, tensors, dataStart, alignment);
  checkStatedSizes(cursor.file, metadata);
  return { version, metadata, metadataPlaces, tensors, dataStart };
}

function readVersion(cursor: HeaderCursor): number {
  const { file } = cursor;
  if (cursor.u32() !== 0x46554747)
    file.fail('is not a GGUF file (it does not begin with "GGUF")', undefined, CONVERT_AGAIN);
  const version = cursor.u32();
  if (version !== 0 && (version & 0xffff) === 0) file.fail('is a big-endian GGUF file', undefined, CONVERT_AGAIN);
  if (version !== 2 && version !== 3)
    file.fail(`GGUF version ${version} cannot be read, only 2 and 3`, undefined, CONVERT_AGAIN);
  return version;
}

function readAlignment(file: TensorFile, value: unknown): number {
  if (typeof value === 'number' && value >= 1 && value <= 2 ** 30 && Number.isInteger(Math.log2(value))) return value;
  return file.fail(`general.alignment is ${value}, not a power of two`);
}

function readTensor(cursor: HeaderCursor): GgufTensor {
  const name = cursor.text();
  const dimensions = cursor.u32();
  if (dimensions > MAX_DIMENSIONS) cursor.file.fail(`the tensor has ${dimensions} dimensions`, name);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(cursor.u64());
  const count = elementCount(shape);
  if (count === undefined) cursor.file.fail(`the shape [${shape}] is too large`, name);
  const type = cursor.u32();
  const offset = cursor.u64();
  return { name, dtype: GGML_TYPES[type]?.name ?? `type ${type}`, shape, count, offset };
}

const BYTES_OF_VALUE = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

/** Reads a value by its type number: u8, i8, u16, i16, u32, i32, f32, bool, string, array, u64, i64, f64. */
function readValue(cursor: HeaderCursor, type: number, key: string, depth: number): unknown {
  switch (type) {
    case 0:
      return cursor.take(1, (view, at) => view.getUint8(at));
    case 1:
      return cursor.take(1, (view, at) => view.getInt8(at));
    case 2:
      return cursor.take(2, (view, at) => view.getUint16(at, true));
    case 3:
      return cursor.take(2, (view, at) => view.getInt16(at, true));
    case 4:
      return cursor.u32();
    case 5:
      return cursor.take(4, (view, at) => view.getInt32(at, true));
    case 6:
      return cursor.take(4, (view, at) => view.getFloat32(at, true));
    case 7:
      return cursor.take(1, (view, at) => view.getUint8(at) !== 0);
    case 8:
      return cursor.text();
    case 9:
      return readArray(cursor, key, depth + 1);
    case 10:
      return exactInteger(cursor.take(8, (view, at) => view.getBigUint64(at, true)));
    case 11:
      return exactInteger(cursor.take(8, (view, at) => view.getBigInt64(at, true)));
    case 12:
      return cursor.take(8, (view, at) => view.getFloat64(at, true));
    default:
      return cursor.file.fail(`the metadata entry has an unknown type, ${type}`, key);
  }
}

function readArray(cursor: HeaderCursor, key: string, depth: number): unknown[] {
  if (depth > MAX_ARRAY_DEPTH) cursor.file.fail(`arrays are nested more than ${MAX_ARRAY_DEPTH} deep`, key);
  const type = cursor.u32();
  const length = cursor.count(BYTES_OF_VALUE[type] ?? 1, `values of ${JSON.stringify(key)}`);
  const values: unknown[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(cursor, type, key, depth));
  return values;
}

/** Returns a number if it is exact, else its decimal digits: metadata is shown as JSON, which lacks large integers. */
function exactInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function checkLayout(file: TensorFile, tensors: GgufTensor[], dataStart: number, alignment: number): void {
  let last = { name: '', end: 0 };
  for (const { name, dtype, shape, count, offset } of tensors.toSorted((a, b) => a.offset - b.offset)) {
    if (offset % alignment !== 0)
      file.fail(`the offset ${offset} is not a multiple of the alignment ${alignment}`, name);
    if (offset < last.end) file.fail(`the tensor overlaps ${JSON.stringify(last.name)}`, name);
    const end = offset + tensorBytes(file, name, dtype, shape, count);
    if (dataStart + end > file.size) {
      file.fail(`the tensor ends at byte ${dataStart + end}, but the file has ${file.size}`, name);
    }
    last = { name, end };
  }
}

function tensorBytes(file: TensorFile, name: string, dtype: string, shape: number[], count: number): number {
  const type = Object.values(GGML_TYPES).find((known) => known.name === dtype);
  // The size of an unknown type is unknown. Such a tensor can be listed but not read.
  if (type === undefined) return 0;
  const row = shape.at(-1) ?? 1;
  if (row % type.blockSize !== 0)
    file.fail(`rows of ${row} values do not fill ${dtype}'s blocks of ${type.blockSize}`, name);
  return (count / type.blockSize) * type.blockBytes;
}

/** Steps through the bytes of a header. */
class HeaderCursor {
  readonly file: TensorFile;
  position = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(file: TensorFile, bytes: Uint8Array) {
    this.file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take<T>(width: number, read: (view: DataView, at: number) => T): T {
    const at = this.position;
    if (at + width > this.#bytes.length) throw new NeedMore();
    this.position += width;
    return read(this.#view, at);
  }

  u32(): number {
    return this.take(4, (view, at) => view.getUint32(at, true));
  }

  /** Inexact beyond 2^53. Every use refuses such values as too large. */
  u64(): number {
    return Number(this.take(8, (view, at) => view.getBigUint64(at, true)));
  }

  /** Reads a count of items of at least `width` bytes each. The rest of the file must have room for them. */
  count(width: number, what: string): number {
    const count = this.u64();
    if (count > (this.file.size - this.position) / width)
      this.file.fail(`claims ${count} ${what}, more than it can hold`);
    return count;
  }

  text(): string {
    const length = this.count(1, 'bytes of text');
    const start = this.position;
    return this.take(length, () => this.#decoder.decode(this.#bytes.subarray(start, start + length)));
  }
}
