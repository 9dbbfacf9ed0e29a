import { endianness } from 'node:os';

/** How the elements of a tensor are stored: blocks of a fixed number of elements in a fixed number of bytes. */
export interface ElementFormat {
  /** Elements per block; 1 for unquantised types. */
  blockSize: number;
  blockBytes: number;
  /** Converts whole blocks; `bytes` must be aligned to 8 bytes. */
  decode(bytes: Uint8Array, values: Float32Array): void;
}

/** Plain (unquantised) little-endian element types, by their safetensors names. Integers beyond 2^24 are rounded. */
export const PLAIN_FORMATS: Readonly<Record<string, ElementFormat>> = {
  F64: { blockSize: 1, blockBytes: 8, decode: decodeWith(8, (view, at) => view.getFloat64(at, true)) },
  F32: { blockSize: 1, blockBytes: 4, decode: decodeF32 },
  F16: { blockSize: 1, blockBytes: 2, decode: decodeF16 },
  BF16: { blockSize: 1, blockBytes: 2, decode: decodeBF16 },
  I64: { blockSize: 1, blockBytes: 8, decode: decodeWith(8, (view, at) => Number(view.getBigInt64(at, true))) },
  U64: { blockSize: 1, blockBytes: 8, decode: decodeWith(8, (view, at) => Number(view.getBigUint64(at, true))) },
  I32: { blockSize: 1, blockBytes: 4, decode: decodeWith(4, (view, at) => view.getInt32(at, true)) },
  U32: { blockSize: 1, blockBytes: 4, decode: decodeWith(4, (view, at) => view.getUint32(at, true)) },
  I16: { blockSize: 1, blockBytes: 2, decode: decodeWith(2, (view, at) => view.getInt16(at, true)) },
  U16: { blockSize: 1, blockBytes: 2, decode: decodeWith(2, (view, at) => view.getUint16(at, true)) },
  I8: { blockSize: 1, blockBytes: 1, decode: decodeWith(1, (view, at) => view.getInt8(at)) },
  U8: { blockSize: 1, blockBytes: 1, decode: decodeWith(1, (view, at) => view.getUint8(at)) },
  BOOL: { blockSize: 1, blockBytes: 1, decode: decodeWith(1, (view, at) => (view.getUint8(at) === 0 ? 0 : 1)) },
};

const LITTLE_ENDIAN = endianness() === 'LE';

function decodeWith(width: number, read: (view: DataView, at: number) => number): ElementFormat['decode'] {
  return (bytes, values) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < values.length; i++) values[i] = read(view, i * width);
  };
}

function decodeF32(bytes: Uint8Array, values: Float32Array): void {
  const target = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  target.set(bytes);
  if (!LITTLE_ENDIAN) Buffer.from(target.buffer, target.byteOffset, target.byteLength).swap32();
}

function decodeF16(bytes: Uint8Array, values: Float32Array): void {
  const table = halfTable();
  for (let i = 0; i < values.length; i++) values[i] = table[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!;
}

function decodeBF16(bytes: Uint8Array, values: Float32Array): void {
  // bfloat16 is the upper half of a 32-bit float.
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) bits[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
}

let halves: Float32Array | undefined;

/** The value of each of the 65,536 half-precision bit patterns (IEEE 754 binary16). */
function halfTable(): Float32Array {
  if (halves === undefined) {
    halves = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) halves[bits] = halfValue(bits);
  }
  return halves;
}

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Decodes the block at `bytes[from]` into `values`, starting at `values[to]`. */
export type BlockDecoder = (bytes: Uint8Array, from: number, values: Float32Array, to: number) => void;

/** Makes an element format from the decoder of one block. */
export function blockFormat(blockSize: number, blockBytes: number, decodeBlock: BlockDecoder): ElementFormat {
  return {
    blockSize,
    blockBytes,
    decode(bytes, values) {
      for (let block = 0; block * blockSize < values.length; block++) {
        decodeBlock(bytes, block * blockBytes, values, block * blockSize);
      }
    },
  };
}

/** The half-precision number at `bytes[at]`. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return halfTable()[bytes[at]! | (bytes[at + 1]! << 8)]!;
}
