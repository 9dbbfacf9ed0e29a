import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256File } from '../../system/index.ts';
import type { GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { expandQueries } from '../writing/expand.ts';
import { type GeneratorModel, loadGenerator } from './llama-generator.ts';

/** From reference/lora_adapter.py: a model of two layers. */
const TINY = join(import.meta.dirname, '../goldens', 'tiny-llama.gguf');

let folder: string;
let broken: GeneratorModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lazy-'));
  // A whole file to look at, and one that llama.cpp cannot load: it misses a weight.
  const path = join(folder, 'broken.gguf');
  const bytes = await readFile(TINY);
  bytes.write('blk.0.attn_z.weight', bytes.indexOf('blk.0.attn_q.weight'));
  await writeFile(path, bytes);
  broken = { name: 'broken', path, fingerprint: await sha256File(path) };
});
afterAll(() => rm(folder, { recursive: true }));

function ask(generator: Generator) {
  const queries = ['a', 'b'].map((id) => ({ id, text: `what is ${id}?` }));
  return expandQueries({ queries, generator, prompt: PROMPTS.q2d, out: join(folder, 'expansions.jsonl') });
}

describe('loadGenerator', () => {
  it('leaves the weights alone until something must be written', async () => {
    const generator = await loadGenerator(broken);
    await expect(ask(generator)).rejects.toMatchObject({ name: 'ModelError', file: broken.path });
    await ask({
      id: 'as if',
      fingerprint: generator.fingerprint,
      async *generate(requests: Iterable<GenerationRequest>) {
        for (const { id } of requests)
          yield { id, text: id, finish: 'stop', promptTokens: 1, completionTokens: 1, milliseconds: 1 };
      },
      close: async () => {},
    });
    expect((await ask(generator)).statistics).toMatchObject({ expansions: 2, reused: 2 });
    await generator.close();
  });

  it('has a fingerprint of the weights and of each adapter at its scale', async () => {
    const adapter = join(import.meta.dirname, '../goldens', 'tiny-lora.gguf');
    const model = { name: 'tiny', path: TINY, fingerprint: 'of the file' };
    const print = async (...scales: number[]): Promise<string> => {
      const generator = await loadGenerator(model, { adapters: scales.map((scale) => ({ path: adapter, scale })) });
      await generator.close();
      return generator.fingerprint;
    };
    const prints = [await print(), await print(1), await print(0.5), await print(1, 0.5)];
    expect(new Set(prints).size).toBe(4);
    expect(await print(0.5)).toBe(prints[2]);
    expect((await loadGenerator({ ...model, fingerprint: 'other' })).fingerprint).not.toBe(prints[0]);
  });
});
