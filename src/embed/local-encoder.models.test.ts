import { afterAll, beforeAll, expect, test } from 'vitest';
import { ModelStore } from '../models/index.ts';
import type { Encoder } from './encoder.ts';
import { cosineOfRows, readGoldenTexts, readGoldenVectors } from './goldens/golden-vectors.ts';
import { loadEncoder } from './local-encoder.ts';

let exact: Encoder;
let rough: Encoder;
let texts: string[];

beforeAll(async () => {
  const model = await new ModelStore().resolve('all-minilm-l6-v2', { kind: 'encoder' });
  exact = await loadEncoder(model);
  rough = await loadEncoder(model, { precision: 'int8' });
  texts = await readGoldenTexts();
});
afterAll(async () => {
  await exact.close();
  await rough.close();
});

test('all-MiniLM-L6-v2 agrees with sentence-transformers on 200 texts', async () => {
  const cosines = cosineOfRows(
    await exact.encode(texts, 'document'),
    await readGoldenVectors('all-minilm-l6-v2'),
    exact.dimensions,
  );
  expect(cosines).toHaveLength(200);
  expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.99999);
});

test('int8 is close to f32', async () => {
  const cosines = cosineOfRows(
    await rough.encode(texts, 'document'),
    await exact.encode(texts, 'document'),
    exact.dimensions,
  );
  expect(Math.min(...cosines)).toBeGreaterThan(0.9);
  expect(cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length).toBeGreaterThan(0.97);
});
