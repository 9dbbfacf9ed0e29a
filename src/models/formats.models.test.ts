import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../system/index.ts';
import { openCheckpoint } from './formats/checkpoint.ts';
import { ModelStore } from './store/store.ts';
import { ggufChatTemplate } from './tokenizer/chat-template.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

const goldens = async (name: string) =>
  JSON.parse(await readFile(new URL(`./goldens/${name}`, import.meta.url), 'utf8'));
const store = new ModelStore();
const paths: Record<string, string> = {};

beforeAll(async () => {
  for (const name of ['smollm2-135m-instruct', 'all-minilm-l6-v2']) paths[name] = (await store.resolve(name)).path;
}, 600_000);

test.each(['smollm2-135m-instruct', 'all-minilm-l6-v2'])(
  'tensors of %s equal what the reference library reads',
  async (name) => {
    const digests: Record<string, string> = (await goldens('real-models.json'))[name];
    const checkpoint = await openCheckpoint(paths[name]!);
    for (const [tensor, digest] of Object.entries(digests)) {
      const values = await checkpoint.read(tensor);
      expect(sha256(new Uint8Array(values.buffer)), tensor).toBe(digest);
    }
    await checkpoint.close();
  },
);

describe('all-MiniLM-L6-v2', () => {
  test('token ids are those of Transformers', async () => {
    const { texts, ids }: { texts: string[]; ids: Record<string, number[][]> } = await goldens('tokenizer-minilm.json');
    const tokenizer = await loadTokenizer(paths['all-minilm-l6-v2']!);
    for (const [limit, rows] of Object.entries(ids)) {
      const found = await tokenizer.encodeBatch(texts, { maxLength: Number(limit) });
      for (const [i, text] of texts.entries()) expect([...found[i]!], JSON.stringify(text)).toEqual(rows[i]);
    }
    expect(tokenizer.padId).toBe(0);
    expect(tokenizer.vocabularySize).toBe(30522);
  });
});

test("SmolLM2's own template renders as Transformers does", async () => {
  const { cases } = await goldens('chat-templates.json');
  const checkpoint = await openCheckpoint(paths['smollm2-135m-instruct']!);
  const template = ggufChatTemplate(checkpoint)!;
  await checkpoint.close();
  expect(template.tokens).toMatchObject({ bos: '<|im_start|>', eos: '<|im_end|>', addBos: false });
  for (const { template: name, messages, addGenerationPrompt, text } of cases) {
    if (name === 'smollm2') expect(template.render(messages, { addGenerationPrompt })).toBe(text);
  }
});
