import { expect, test } from 'vitest';
import { choosePrefixes } from './prefixes.ts';
import type { FolderSettings } from './sentence-transformers.ts';

const folder = (prompts: Record<string, string> = {}, defaultPrompt?: string): FolderSettings => {
  return {
    ...{ pooling: 'cls', normalize: true, maxLength: undefined, lowerCase: false },
    ...{ prompts, defaultPrompt, similarity: undefined },
  };
};
const BGE = { query: 'Represent this sentence for searching relevant passages: ', document: '' };
const E5 = { query: 'query: ', document: 'passage: ' };

test.each([
  ['bge-small-en-v1.5', BGE],
  ['hf:BAAI/bge-base-en-v1.5', BGE],
  ['/home/x/.cache/torch/sentence_transformers/BAAI_bge-large-en/', BGE],
  ['hf:intfloat/e5-base-v2', E5],
  ['intfloat/multilingual-e5-small', E5],
  ['all-minilm-l6-v2', { query: '', document: '' }],
  ['/models/cube5-small', { query: '', document: '' }],
])('%s', (name, prefixes) => {
  expect(choosePrefixes(folder(), ['x', name])).toEqual(prefixes);
});

test("the folder's prompts override those of the family", () => {
  const own = folder({ query: 'ask: ', passage: 'read: ' });
  expect(choosePrefixes(own, ['e5-base'])).toEqual({ query: 'ask: ', document: 'read: ' });
});

test('a role without a prompt gets the default prompt', () => {
  const own = folder({ query: 'ask: ', general: 'any: ' }, 'general');
  expect(choosePrefixes(own, [])).toEqual({ query: 'ask: ', document: 'any: ' });
});

test('empty prompts, as in newer files, do not override the family', () => {
  expect(choosePrefixes(folder({ query: '', document: '' }), ['bge-small-en-v1.5'])).toEqual(BGE);
});
