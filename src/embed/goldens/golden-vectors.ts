import { readFile } from 'node:fs/promises';

/** Reads the texts that `reference/encoder_goldens.py` encoded. For tests only. */
export async function readGoldenTexts(): Promise<string[]> {
  return JSON.parse(await readFile(new URL('./encoder-texts.json', import.meta.url), 'utf8')).texts;
}

/** Reads the 16-bit floats of an .npy file that `reference/encoder_goldens.py` wrote. */
export async function readGoldenVectors(name: string): Promise<Float32Array> {
  const bytes = await readFile(new URL(`./${name}.npy`, import.meta.url));
  const start = 10 + bytes.readUInt16LE(8);
  return Float32Array.from({ length: (bytes.length - start) / 2 }, (_, at) => halfFloat(bytes.readUInt16LE(start + at * 2)));
}

/** Decodes IEEE 754 binary16. */
function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Returns the cosine of each pair of rows. */
export function cosineOfRows(a: Float32Array, b: Float32Array, dimensions: number): number[] {
  return Array.from({ length: Math.max(a.length, b.length) / dimensions }, (_, row) => {
    let [product, squareA, squareB] = [0, 0, 0];
    for (let at = row * dimensions; at < (row + 1) * dimensions; at++) {
      product += a[at]! * b[at]!;
      squareA += a[at]! ** 2;
      squareB += b[at]! ** 2;
    }
    return product / Math.sqrt(squareA * squareB);
  });
}
