import type { TextRole } from './encoder.ts';
import type { FolderSettings } from './sentence-transformers.ts';

/** The prefix of a text, by its role. */
export type Prefixes = Record<TextRole, string>;

/**
 * Families of encoders that were trained with prefixes but omit them from their files. The prefixes come from the model
 * cards (bge: Xiao et al. 2023; e5: Wang et al. 2022; nomic: Nussbaum et al. 2024).
 */
const FAMILIES: { name: RegExp; prefixes: Prefixes }[] = [
  {
    name: /\bbge-(small|base|large)-zh\b/,
    prefixes: { query: '为这个句子生成表示以用于检索相关文章：', document: '' },
  },
  {
    name: /\bbge-(small|base|large|micro)(-en)?\b/,
    prefixes: { query: 'Represent this sentence for searching relevant passages: ', document: '' },
  },
  { name: /\be5-(small|base|large)\b/, prefixes: { query: 'query: ', document: 'passage: ' } },
  { name: /\bnomic-embed-text\b/, prefixes: { query: 'search_query: ', document: 'search_document: ' } },
  {
    name: /\bmxbai-embed-(large|xsmall)\b/,
    prefixes: { query: 'Represent this sentence for searching relevant passages: ', document: '' },
  },
  { name: /\barctic-embed(2\b|-.*\bv2\b)/, prefixes: { query: 'query: ', document: '' } },
  {
    name: /\barctic-embed\b/,
    prefixes: { query: 'Represent this sentence for searching relevant passages: ', document: '' },
  },
  {
    name: /\bembedding-?gemma\b/,
    prefixes: { query: 'task: search result | query: ', document: 'title: none | text: ' },
  },
];

/** The names under which sentence-transformers looks up a document's prompt, in its order. */
const DOCUMENT_PROMPTS = ['document', 'passage', 'corpus'];

/**
 * Returns the prefixes of an encoder: the folder's prompts, or else those of its family.
 * @param names the names of the model (as requested, and in its files)
 */
export function choosePrefixes({ prompts, defaultPrompt }: FolderSettings, names: readonly string[]): Prefixes {
  const documentPrompt = DOCUMENT_PROMPTS.find((name) => prompts[name] !== undefined);
  const query = prompts.query;
  const document = documentPrompt === undefined ? undefined : prompts[documentPrompt];
  const general = defaultPrompt === undefined ? undefined : prompts[defaultPrompt];
  const stated = query || document || general;
  if (stated) return { query: query ?? general ?? '', document: document ?? general ?? '' };
  return familyPrefixes(names);
}

/** Returns the prefixes of a known family, by the names of an encoder; empty ones for any other. */
export function familyPrefixes(names: readonly string[]): Prefixes {
  const spelled = names.map((name) => name.toLowerCase().replaceAll('_', '-'));
  const family = FAMILIES.find(({ name }) => spelled.some((one) => name.test(one)));
  return { ...(family?.prefixes ?? { query: '', document: '' }) };
}
