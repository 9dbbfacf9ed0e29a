import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PROMPTS } from '../../generate/index.ts';
import { expandTopics } from './expand-topics.ts';

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-expand-topics-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const golden = (name: string) => resolve('src/generate/goldens', name);
const MODEL = {
  ...{ name: 'tiny', path: golden('tiny-llama.gguf'), format: 'gguf' as const },
  ...{ fingerprint: 'tiny', source: 'goldens' },
};

it('writes with the given adapters, and names them', async () => {
  const topics = {
    ...{ dataset: 'none', split: 'test' },
    queries: [{ id: 'q1', text: 'saw', expansions: [] }],
    qrels: new Map([['q1', new Map([['d1', 1]])]]),
  };
  const sampling = { temperature: 1, topP: 0.9, topK: 0, maxTokens: 2 };
  const settings = { folder, prompt: PROMPTS.q2d, sampling, seed: 1, threads: 1 };
  const factsWith = async (...adapters: string[]) => {
    const { provenance, topics: expanded } = await expandTopics(topics, MODEL, { ...settings, adapters }, {});
    expect(expanded.queries[0]!.expansions).toHaveLength(1);
    return Object.fromEntries(provenance);
  };
  const [plain, adapted] = [await factsWith(), await factsWith(golden('tiny-lora.gguf'))];
  expect(plain.adapter).toBeUndefined();
  expect(adapted.adapter).toBe(golden('tiny-lora.gguf'));
  expect(adapted['generator key']).not.toBe(plain['generator key']);
});
