import { endianness } from 'node:os';

/** Encodes 32-bit floats as blocks of a fixed number of elements in a fixed number of bytes. */
export interface ElementEncoder {
  blockSize: number;
  blockBytes: number;
  /** Encodes whole blocks. */
  encode(values: Float32Array): Uint8Array;
}

/** The element types that can be written, by their safetensors and GGML names. Little-endian. */
export const ENCODERS = {
  F32: { blockSize: 1, blockBytes: 4, encode: encodeF32 },
  F16: { blockSize: 1, blockBytes: 2, encode: encodeF16 },
  BF16: { blockSize: 1, blockBytes: 2, encode: encodeBF16 },
  Q8_0: { blockSize: 32, blockBytes: 34, encode: encodeQ8 },
} as const satisfies Readonly<Record<string, ElementEncoder>>;

const LITTLE_ENDIAN = endianness() === 'LE';

function encodeF32(values: Float32Array): Uint8Array {
  if (LITTLE_ENDIAN) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return Buffer.from(new Uint8Array(values.slice().buffer)).swap32();
}

function encodeF16(values: Float32Array): Uint8Array {
  const bits = bitsOf(values);
  const bytes = new Uint8Array(values.length * 2);
  for (let i = 0; i < values.length; i++) putHalf(bytes, 2 * i, halfBits(bits[i]!));
  return bytes;
}

function encodeBF16(values: Float32Array): Uint8Array {
  const bits = bitsOf(values);
  const bytes = new Uint8Array(values.length * 2);
  for (let i = 0; i < values.length; i++) putHalf(bytes, 2 * i, upperBits(bits[i]!));
  return bytes;
}

/**
 * Blocks of 32: a half-precision scale (the largest magnitude / 127), then the values divided by the scale, rounded
 * half away from zero. Like `quantize_row_q8_0_ref` in llama.cpp's ggml-quants.c, it divides by the scale before the
 * scale itself is rounded.
 */
function encodeQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / 32;
  const bytes = new Uint8Array(blocks * 34);
  const scale = new Float32Array(1);
  const scaleBits = new Uint32Array(scale.buffer);
  for (let block = 0; block < blocks; block++) {
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[block * 32 + i]!));
    scale[0] = largest / 127;
    const inverse = scale[0] === 0 ? 0 : Math.fround(1 / scale[0]!);
    const at = block * 34;
    putHalf(bytes, at, halfBits(scaleBits[0]!));
    for (let i = 0; i < 32; i++) {
      const value = Math.fround(values[block * 32 + i]! * inverse);
      bytes[at + 2 + i] = Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
    }
  }
  return bytes;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function putHalf(bytes: Uint8Array, at: number, bits: number): void {
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}

/** Converts binary32 to binary16 (IEEE 754), rounded to nearest, ties to even. */
function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is the smallest number that overflows: the largest half is 65504.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | roundedShift(magnitude - 0x38000000, 13);
  // Below 2^-14 the leading one becomes explicit (a subnormal); below 2^-25 the result is zero.
  const shift = 126 - (magnitude >>> 23);
  return shift > 24 ? sign : sign | roundedShift((magnitude & 0x7fffff) | 0x800000, shift);
}

/** Converts binary32 to its upper half (bfloat16), rounded to nearest, ties to even. */
function upperBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return roundedShift(bits, 16);
}

/** Returns value / 2^shift, rounded to nearest, ties to even. */
function roundedShift(value: number, shift: number): number {
  const half = 2 ** (shift - 1);
  const kept = Math.floor(value / (2 * half));
  const rest = value - kept * 2 * half;
  return rest > half || (rest === half && kept % 2 === 1) ? kept + 1 : kept;
}
