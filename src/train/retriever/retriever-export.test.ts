import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { farthest, runInBrowserRuntime } from '../../../test/support/standard-encoder.ts';
import { exportTransformersJs, loadEncoder, loadEncoderTokenizer } from '../../embed/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import type { RetrieverTrainingInput } from './retriever-settings.ts';
import { trainRetriever } from './train-retriever.ts';

const TINY = fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url));
const modelAt = (path: string): ResolvedModel => {
  return { name: 'tiny', path, format: 'safetensors', fingerprint: path, source: 'fixture' };
};
const rows = Array.from({ length: 6 }, (_, index) => ({
  ...{ id: `q${index}`, query: `query ${index}`, expansions: [`river ${index} of stone`] },
  ...{ positives: [{ text: `stone bridge ${index}` }], negatives: [{ text: `paper ${index}` }] },
}));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-retriever-export-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each<[string, RetrieverTrainingInput, string[]]>([
  ['all weights', {}, ['both']],
  ['the query side alone', { train: 'query' }, ['query', 'document']],
  ['a linear map of queries', { method: 'ridge', ridge: 0.01 }, ['query', 'document']],
])('%s trained: exported for a browser, it has the vectors that it has here', async (name, settings, roles) => {
  const out = join(folder, name);
  await trainRetriever({
    ...{ encoder: modelAt(TINY), rows, out, cache: join(folder, 'cache'), threads: 1 },
    settings: { batchSize: 6, maxSteps: 1, learningRate: 0.1, warmupSteps: 0, mode: 'whole', ...settings },
  });
  const exported = await exportTransformersJs(`${out} for the web`, modelAt(out));
  expect(exported.map(({ role }) => role)).toEqual(roles);
  const encoder = await loadEncoder(modelAt(out), { cache: join(folder, 'graphs'), threads: 1 });
  const seen: Float32Array[] = [];
  for (const { folder: one, role, recipe } of exported) {
    const { cutting } = await loadEncoderTokenizer(recipe);
    const asked = role === 'both' ? 'query' : role;
    const texts = ['stone bridge', 'a river of paper'];
    const ids = (await cutting.encode(texts.map((text) => recipe.prefixes[asked] + text))).map((cut) => cut.ids);
    const { vectors } = await runInBrowserRuntime(one, 'model', ids);
    expect(farthest(vectors, await encoder.encode(texts, asked))).toBeLessThan(1e-5);
    expect(await readdir(one)).toContain('1_Pooling');
    seen.push(vectors);
  }
  await encoder.close();
  if (seen.length === 2) expect(farthest(seen[0]!, seen[1]!)).toBeGreaterThan(1e-3);
});
