import { K_FORMATS } from './dequantize-k.ts';
import { blockFormat, type ElementFormat, halfAt, PLAIN_FORMATS } from './element-formats.ts';

/** The GGUF element types that can be read, by their GGML names. Block layouts: ggml-quants.c of llama.cpp. */
export const GGML_FORMATS: Readonly<Record<string, ElementFormat>> = {
  F64: PLAIN_FORMATS.F64!,
  F32: PLAIN_FORMATS.F32!,
  F16: PLAIN_FORMATS.F16!,
  BF16: PLAIN_FORMATS.BF16!,
  I64: PLAIN_FORMATS.I64!,
  I32: PLAIN_FORMATS.I32!,
  I16: PLAIN_FORMATS.I16!,
  I8: PLAIN_FORMATS.I8!,
  Q4_0: blockFormat(32, 18, decodeQ4_0),
  Q4_1: blockFormat(32, 20, decodeQ4_1),
  Q5_0: blockFormat(32, 22, decodeQ5_0),
  Q5_1: blockFormat(32, 24, decodeQ5_1),
  Q8_0: blockFormat(32, 34, decodeQ8_0),
  ...K_FORMATS,
};

/** scale, 16 bytes: the low halves are values 0-15, the high ones 16-31. */
function decodeQ4_0(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 2 + i]!;
    values[to + i] = scale * ((pair & 15) - 8);
    values[to + 16 + i] = scale * ((pair >> 4) - 8);
  }
}

/** scale, minimum, 16 bytes as in Q4_0. */
function decodeQ4_1(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from);
  const minimum = halfAt(bytes, from + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 4 + i]!;
    values[to + i] = scale * (pair & 15) + minimum;
    values[to + 16 + i] = scale * (pair >> 4) + minimum;
  }
}

/** scale, the fifth bits of all 32 values, 16 bytes as in Q4_0. */
function decodeQ5_0(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from);
  decodeFives(bytes, from + 2, values, to, (five) => scale * (five - 16));
}

/** scale, minimum, then as in Q5_0. */
function decodeQ5_1(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from);
  const minimum = halfAt(bytes, from + 2);
  decodeFives(bytes, from + 4, values, to, (five) => scale * five + minimum);
}

function decodeFives(
  bytes: Uint8Array,
  from: number,
  values: Float32Array,
  to: number,
  value: (five: number) => number,
): void {
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + 4 + i]!;
    const lowFifth = (bytes[from + (i >> 3)]! >> (i & 7)) & 1;
    const highFifth = (bytes[from + 2 + (i >> 3)]! >> (i & 7)) & 1;
    values[to + i] = value((pair & 15) | (lowFifth << 4));
    values[to + 16 + i] = value((pair >> 4) | (highFifth << 4));
  }
}

/** scale, 32 signed bytes. */
function decodeQ8_0(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from);
  for (let i = 0; i < 32; i++) values[to + i] = scale * ((bytes[from + 2 + i]! << 24) >> 24);
}
