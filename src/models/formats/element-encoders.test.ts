import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { GGML_FORMATS } from './dequantize.ts';
import { ENCODERS } from './element-encoders.ts';

/** Made by reference/gguf_goldens.py. */
const goldens: Record<string, string> = JSON.parse(
  await readFile(new URL('../goldens/encodings.json', import.meta.url), 'utf8'),
);
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
const values = new Float32Array(bytesOf(goldens.values!).buffer);

test.each(['F16', 'BF16', 'Q8_0'] as const)('%s gives the same bytes as llama.cpp, NumPy and PyTorch', (type) => {
  expect(values.length).toBeGreaterThan(300);
  expect(Buffer.from(ENCODERS[type].encode(values)).toString('hex')).toBe(
    Buffer.from(bytesOf(goldens[type]!)).toString('hex'),
  );
});

test.each(['F32', 'F16', 'BF16'] as const)('%s survives reading and writing unchanged', (type) => {
  const once = ENCODERS[type].encode(values);
  const read = new Float32Array(values.length);
  GGML_FORMATS[type]!.decode(once.slice(), read);
  expect(Buffer.from(ENCODERS[type].encode(read)).equals(once)).toBe(true);
});

test('NaN stays NaN', () => {
  const odd = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e39);
  for (const type of ['F16', 'BF16'] as const) {
    const read = new Float32Array(4);
    GGML_FORMATS[type]!.decode(ENCODERS[type].encode(odd), read);
    expect([...read]).toEqual([...odd]);
  }
});

test('encodes only the view of a larger array', () => {
  const part = values.subarray(32, 64);
  for (const type of ['F32', 'F16', 'BF16', 'Q8_0'] as const) {
    expect(ENCODERS[type].encode(part)).toEqual(ENCODERS[type].encode(part.slice()));
  }
});
