import { blockFormat, type ElementFormat, halfAt } from './element-formats.ts';

/**
 * GGML's K types: super-blocks of 256 values whose parts have their own scales (and minima), which are quantised too.
 * Block layouts: ggml-quants.c of llama.cpp.
 */
export const K_FORMATS: Readonly<Record<string, ElementFormat>> = {
  Q2_K: blockFormat(256, 84, decodeQ2K),
  Q3_K: blockFormat(256, 110, decodeQ3K),
  Q4_K: blockFormat(256, 144, decodeQ4K),
  Q5_K: blockFormat(256, 176, decodeQ5K),
  Q6_K: blockFormat(256, 210, decodeQ6K),
};

/** 16 bytes (4-bit scale, 4-bit minimum of 16 values each), 64 bytes of 2-bit values, scale, minimum. */
function decodeQ2K(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from + 80);
  const minimum = halfAt(bytes, from + 82);
  for (let part = 0; part < 16; part++) {
    const packed = bytes[from + part]!;
    const partScale = scale * (packed & 15);
    const partMinimum = minimum * (packed >> 4);
    const source = from + 16 + (part >> 3) * 32 + (part & 1) * 16;
    const shift = ((part >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++) {
      values[to + part * 16 + i] = partScale * ((bytes[source + i]! >> shift) & 3) - partMinimum;
    }
  }
}

/** 32 bytes of third bits, 64 bytes of 2-bit values, 12 bytes of 6-bit scales of 16 values each, scale. */
function decodeQ3K(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from + 108);
  const scales = from + 96;
  for (let part = 0; part < 16; part++) {
    const low = (bytes[scales + (part & 7)]! >> (part < 8 ? 0 : 4)) & 15;
    const high = (bytes[scales + 8 + (part & 3)]! >> ((part >> 2) * 2)) & 3;
    const partScale = scale * ((low | (high << 4)) - 32);
    const thirds = from + (part & 1) * 16;
    const source = from + 32 + (part >> 3) * 32 + (part & 1) * 16;
    const shift = ((part >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++) {
      // An unset third bit subtracts 4.
      const third = (bytes[thirds + i]! >> (part >> 1)) & 1;
      values[to + part * 16 + i] = partScale * (((bytes[source + i]! >> shift) & 3) - (third ? 0 : 4));
    }
  }
}

/** scale, minimum, 12 bytes of 6-bit scales and minima of 32 values each, 128 bytes of 4-bit values. */
function decodeQ4K(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  for (let part = 0; part < 8; part++) {
    const { scale, minimum } = partScale(bytes, from, part);
    const source = from + 16 + (part >> 1) * 32;
    const shift = (part & 1) * 4;
    for (let i = 0; i < 32; i++) {
      values[to + part * 32 + i] = scale * ((bytes[source + i]! >> shift) & 15) - minimum;
    }
  }
}

/** As Q4_K, with 32 bytes of fifth bits before the 4-bit values. */
function decodeQ5K(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  for (let part = 0; part < 8; part++) {
    const { scale, minimum } = partScale(bytes, from, part);
    const source = from + 48 + (part >> 1) * 32;
    const shift = (part & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const fifth = (bytes[from + 16 + i]! >> part) & 1;
      values[to + part * 32 + i] = scale * (((bytes[source + i]! >> shift) & 15) | (fifth << 4)) - minimum;
    }
  }
}

/** The scale and minimum of one eighth of a Q4_K or Q5_K block: 6 bits each, those of parts 4-7 split in two. */
function partScale(bytes: Uint8Array, from: number, part: number): { scale: number; minimum: number } {
  const first = bytes[from + 4 + (part & 3)]!;
  const second = bytes[from + 8 + (part & 3)]!;
  const third = bytes[from + 12 + (part & 3)]!;
  const scale = part < 4 ? first & 63 : (third & 15) | ((first >> 2) & 48);
  const minimum = part < 4 ? second & 63 : (third >> 4) | ((second >> 2) & 48);
  return { scale: halfAt(bytes, from) * scale, minimum: halfAt(bytes, from + 2) * minimum };
}

/** 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed 8-bit scales of 16 values each, scale. */
function decodeQ6K(bytes: Uint8Array, from: number, values: Float32Array, to: number): void {
  const scale = halfAt(bytes, from + 208);
  for (let part = 0; part < 8; part++) {
    const half = part >> 2;
    const lows = from + half * 64 + (part & 1) * 32;
    const lowShift = ((part >> 1) & 1) * 4;
    const highs = from + 128 + half * 32;
    const highShift = (part & 3) * 2;
    for (let i = 0; i < 32; i++) {
      const low = (bytes[lows + i]! >> lowShift) & 15;
      const high = (bytes[highs + i]! >> highShift) & 3;
      const signedScale = (bytes[from + 192 + part * 2 + (i >> 4)]! << 24) >> 24;
      values[to + part * 32 + i] = scale * signedScale * ((low | (high << 4)) - 32);
    }
  }
}
