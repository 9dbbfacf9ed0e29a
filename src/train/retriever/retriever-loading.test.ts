import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadEncoder, type TextRole } from '../../embed/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import type { RetrieverTrainingInput } from './retriever-settings.ts';
import { trainRetriever } from './train-retriever.ts';

const read = async (name: string) => JSON.parse(await readFile(new URL(`../goldens/${name}`, import.meta.url), 'utf8'));
const { rows } = await read('retriever.json');
/** What sentence-transformers and Transformers say of folders that `train retriever` wrote (reference/retriever_loading.py). */
const golden = await read('retriever-loading.json');

const modelAt = (path: string): ResolvedModel => {
  return { name: 'tiny', path, format: 'safetensors', fingerprint: path, source: 'fixture' };
};
const TINY = fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url));
const SHARED = { batchSize: 4, maxSteps: 3, learningRate: 0.01, warmupSteps: 0 };
/** The options of the golden's runs. */
const CASES: Record<string, RetrieverTrainingInput> = {
  'whole encoder': {},
  LoRA: { loraR: 2 },
  'query side alone (Router)': { train: 'query' },
  'query side alone by LoRA (Router)': { train: 'query', loraR: 2, method: 'distil' },
  'projection (Router)': { train: 'projection' },
  'ridge (Router)': { method: 'ridge', ridge: 0.1 },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-retriever-loading-'));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(Object.keys(golden.cases))(
  '%s: loads here with the vectors that it has in sentence-transformers',
  async (name) => {
    const out = join(folder, name);
    const settings = { ...SHARED, ...CASES[name]! };
    await trainRetriever({ encoder: modelAt(TINY), rows, out, settings, cache: join(folder, 'cache'), threads: 1 });
    const encoder = await loadEncoder(modelAt(out), { cache: join(folder, 'graphs'), threads: 1 });
    for (const role of ['query', 'document'] as const satisfies TextRole[]) {
      const found = await encoder.encode([golden.texts[role]], role);
      const wanted: number[] = golden.cases[name][role];
      const difference = Math.max(...wanted.map((value, at) => Math.abs(value - found[at]!)));
      expect(difference, role).toBeLessThan(1e-4);
    }
    await encoder.close();
  },
);
