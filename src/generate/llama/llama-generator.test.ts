import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256File } from '../../system/index.ts';
import type { GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { expandQueries } from '../writing/expand.ts';
import { type GeneratorModel, type LlamaOptions, loadGenerator } from './llama-generator.ts';

/** From reference/lora_adapter.py: a model of two layers. */
const TINY = join(import.meta.dirname, '../goldens', 'tiny-llama.gguf');

let folder: string;
let broken: GeneratorModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lazy-'));
  // A complete file by its header that llama.cpp cannot load: it lacks a weight.
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
  it('does not load the weights until something must be written', async () => {
    const generator = await loadGenerator(broken);
    // llama.cpp's own message names the missing weight.
    const reason = /cannot load the model \(.*missing tensor 'blk\.0\.attn_q\.weight'/;
    await expect(ask(generator)).rejects.toMatchObject({
      ...{ name: 'ModelError', file: broken.path, message: expect.stringMatching(reason) },
    });
    await ask({
      id: 'as if',
      fingerprint: generator.fingerprint,
      contextSize: generator.contextSize,
      async *generate(requests: AsyncIterable<GenerationRequest>) {
        for await (const { id } of requests)
          yield { id, text: id, finish: 'stop', promptTokens: 1, completionTokens: 1, milliseconds: 1 };
      },
      close: async () => {},
    });
    expect((await ask(generator)).statistics).toMatchObject({ expansions: 2, reused: 2 });
    await generator.close();
  });

  it.each([
    ['a vocabulary', 'tokenizer.ggml.tokens', /no vocabulary/],
    ['a chat template', 'tokenizer.chat_template', /no chat template/],
  ])('says that a file lacks %s', async (_name, key, reason) => {
    const bytes = await readFile(TINY);
    bytes.write(key.slice(0, -1), bytes.indexOf(key));
    bytes.write('Z', bytes.indexOf(key.slice(0, -1)) + key.length - 1);
    const path = join(folder, `without-${key}.gguf`);
    await writeFile(path, bytes);
    await expect(loadGenerator({ name: 'x', path, fingerprint: 'x' })).rejects.toThrow(reason);
  });

  it('has a fingerprint that covers the weights and each adapter with its scale', async () => {
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

  it('has a fingerprint that covers everything that changes the bytes of a text, and nothing else', async () => {
    const model = { name: 'tiny', path: TINY, fingerprint: 'of the file' };
    const print = async (options: LlamaOptions) => (await loadGenerator(model, options)).fingerprint;
    const kinds = await Promise.all([
      print({ threads: 2 }),
      print({ threads: 1 }),
      print({ threads: 2, deterministic: true }),
      print({ threads: 2, gpu: 'auto' }),
      print({ threads: 2, chatTemplateKwargs: { enable_thinking: false } }),
      print({ threads: 2, chatTemplateKwargs: { enable_thinking: true } }),
    ]);
    expect(new Set(kinds).size).toBe(kinds.length);
    expect(await print({ threads: 4, sequences: 8 })).toBe(kinds[0]);
    expect(await print({ threads: 1, deterministic: true })).toBe(kinds[2]);
  });

  it('skips a prompt that is longer than the context and writes the others', async () => {
    const generator = await loadGenerator({ name: 'tiny', path: TINY, fingerprint: 'tiny' }, { contextSize: 200 });
    const queries = ['long', 'a', 'b'].map((id) => ({ id, text: id === 'long' ? 'letters '.repeat(2500) : id }));
    const sampling = { maxTokens: 8 };
    const out = join(folder, 'long', 'expansions.jsonl');
    const { statistics } = await expandQueries({ queries, generator, prompt: PROMPTS.q2q, sampling, out });
    expect(statistics).toMatchObject({ expansions: 3, promptTooLong: 1 });
    expect(statistics.completionTokens).toBeGreaterThan(0);
    await generator.close();
  });

  it('waits for lanes that still compute before it reports the fault of one', async () => {
    const generator = await loadGenerator(
      { name: 'tiny', path: TINY, fingerprint: 'tiny' },
      { threads: 2, contextSize: 200 },
    );
    const sampling = { temperature: 1, topP: 0.9, topK: 0, maxTokens: 60 };
    const requests = Array.from({ length: 40 }, (_none, row): GenerationRequest => {
      const messages = [{ role: 'user' as const, content: `number ${row}` }];
      // The chat template cannot read the last one.
      return { id: `${row}`, messages: row < 39 ? messages : (null as never), sampling, seed: row };
    });
    for (let attempt = 0; attempt < 3; attempt++) {
      const asked = (async () => {
        for await (const _text of generator.generate(requests));
      })();
      await expect(asked).rejects.toThrow();
    }
    await generator.close();
  });
});
