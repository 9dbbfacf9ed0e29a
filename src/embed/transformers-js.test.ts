import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { farthest, runInBrowserRuntime } from '../../test/support/standard-encoder.ts';
import type { ResolvedModel } from '../models/index.ts';
import { cosineOfRows, readGoldenTexts, readGoldenVectors } from './goldens/golden-vectors.ts';
import { loadEncoder, loadEncoderTokenizer, readEncoderRecipe } from './local-encoder.ts';
import { exportTransformersJs } from './transformers-js.ts';

const TINY = fileURLToPath(new URL('./goldens/tiny-encoder', import.meta.url));
const modelAt = (path: string): ResolvedModel => {
  return { name: 'tiny', path, format: 'safetensors', fingerprint: 'tiny', source: 'goldens' };
};

let folder: string;
let out: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-transformers-js-'));
  out = join(folder, 'out');
  await exportTransformersJs(out, modelAt(TINY));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function tokensOf(texts: readonly string[], path = TINY) {
  const { cutting } = await loadEncoderTokenizer(await readEncoderRecipe(modelAt(path)));
  return (await cutting.encode(texts)).map(({ ids }) => ids);
}

test('the folder has the layout of transformers.js, with the files of sentence-transformers', async () => {
  expect((await readdir(out)).sort()).toEqual([
    ...['1_Pooling', '2_Normalize', 'config.json', 'config_sentence_transformers.json', 'modules.json', 'onnx'],
    ...['sentence_bert_config.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.txt'],
  ]);
  expect((await readdir(join(out, 'onnx'))).sort()).toEqual(['model.onnx', 'model_quantized.onnx']);
  const recipe = await readEncoderRecipe(modelAt(TINY));
  const { model: _model, ...same } = await readEncoderRecipe(modelAt(out));
  expect(same).toEqual({ ...recipe, model: undefined });
  const tokenizer = JSON.parse(await readFile(join(out, 'tokenizer_config.json'), 'utf8'));
  expect(tokenizer).toMatchObject({ tokenizer_class: 'BertTokenizer', model_max_length: recipe.maxLength });
  await expect(exportTransformersJs(out, modelAt(TINY))).rejects.toThrow(/already holds other files/);
});

test('in the runtime of browsers, the f32 model has the vectors of sentence-transformers, the int8 one nearly', async () => {
  const texts = (await readGoldenTexts()).slice(0, 12);
  const [ids, wanted] = [await tokensOf(texts), (await readGoldenVectors('tiny')).subarray(0, 12 * 32)];
  const { vectors } = await runInBrowserRuntime(out, 'model', ids);
  expect(farthest(vectors, wanted)).toBeLessThan(1e-3); // the goldens have 16 bits
  const encoder = await loadEncoder(modelAt(TINY), { cache: join(folder, 'graphs'), threads: 1 });
  const ours = await encoder.encode(texts, 'document');
  await encoder.close();
  expect(farthest(vectors, ours)).toBeLessThan(1e-5);
  const bytes = await runInBrowserRuntime(out, 'model_quantized', ids);
  const cosines = cosineOfRows(bytes.vectors, ours, 32);
  expect(cosines.reduce((sum, one) => sum + one, 0) / cosines.length).toBeGreaterThan(0.98);
  expect(farthest(bytes.vectors, ours)).toBeGreaterThan(1e-4);
});

test("the first token's vector, scaled, is the text's: transformers.js pools by itself", async () => {
  const { tokens, vectors } = await runInBrowserRuntime(out, 'model', await tokensOf(['a river']));
  const length = Math.hypot(...tokens.subarray(0, 32));
  expect(
    farthest(
      tokens.slice(0, 32).map((value) => value / length),
      vectors,
    ),
  ).toBeLessThan(1e-6);
});

test('only standard operators are used', async () => {
  for (const name of ['model', 'model_quantized']) {
    const nodes = await readFile(join(out, 'onnx', `${name}.onnx`), 'latin1');
    expect(nodes).not.toMatch(/QAttention|FusedMatMul|DynamicQuantizeMatMul|GatherBlockQuantized|QuickGelu/);
    expect(nodes.includes('MatMulInteger')).toBe(name === 'model_quantized');
  }
});

test('an encoder without tokenizer.json is refused', async () => {
  const path = join(folder, 'without');
  await cp(TINY, path, { recursive: true });
  await rm(join(path, 'tokenizer.json'));
  await expect(exportTransformersJs(join(folder, 'no'), modelAt(path))).rejects.toThrow(/lacks tokenizer\.json/);
});
