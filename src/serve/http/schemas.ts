import { z } from '@hono/zod-openapi';
import { EXPANSION_STATES, LONGEST_BUDGET_MS } from '../expander-options.ts';

/** Longest text of a request, in characters: encoders read a small part of it. */
const LONGEST_TEXT = 1_000_000;
/** Most texts of a call. */
export const MOST_TEXTS = 2048;
const LONGEST_QUERY = 32_768;

const text = z.string().max(LONGEST_TEXT);
const budget = z.number().min(0).max(LONGEST_BUDGET_MS).nullish().openapi({
  description: 'time for writing an expansion, in milliseconds; 0 never asks the LLM (default: that of the server)',
});
const expansions = z.array(text).max(64).nullish().openapi({
  description: "the caller's own expansions of the query, or none; then no LLM is asked",
});
const roles = {
  input_type: z
    .string()
    .nullish()
    .openapi({ description: 'query or document (Cohere, Voyage, NVIDIA)', example: 'query' }),
  prompt_name: z.string().nullish().openapi({ description: 'query or document (TEI, sentence-transformers)' }),
  task: z.string().nullish().openapi({ description: 'retrieval.query or retrieval.passage (Jina)' }),
  task_type: z.string().nullish().openapi({ description: 'RETRIEVAL_QUERY or RETRIEVAL_DOCUMENT (Gemini, Weaviate)' }),
};

/** OpenAI's API takes token ids, too. They are read so that they can be refused with a reason. */
const tokenIds = z
  .custom<number[] | number[][]>(areTokenIds)
  .openapi({ type: 'array', items: { type: 'number' }, description: 'token ids are refused' });
const texts = z.array(text).min(1).max(MOST_TEXTS);

export const embeddingsBody = z
  .object({
    model: z.string().max(1000).nullish().openapi({ example: 'all-minilm-l6-v2-query' }),
    input: z.union([text, texts, tokenIds], { error: needsTexts }),
    encoding_format: z.enum(['float', 'base64']).nullish(),
    dimensions: z.number().int().positive().nullish(),
    ...roles,
    expansion_budget_ms: budget,
    expansions,
  })
  .openapi('EmbeddingsRequest');

const expansion = z
  .object({
    state: z.enum(EXPANSION_STATES),
    reason: z.string().optional(),
    alpha: z.number().openapi({ description: 'weight of the texts in the vector' }),
    tokens: z.number(),
    milliseconds: z.number(),
    gate: z
      .object({ probability: z.number(), reason: z.string(), milliseconds: z.number() })
      .optional()
      .openapi({ description: 'what the gate decided: the probability that gains outweigh losses, and why' }),
  })
  .openapi('Expansion');

export const embeddingsAnswer = z
  .object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        object: z.literal('embedding'),
        index: z.number(),
        embedding: z.union([z.array(z.number()), z.string()]),
        expansion: expansion.extend({ texts: z.array(z.string()) }).optional(),
      }),
    ),
    model: z.string(),
    usage: z.object({ prompt_tokens: z.number(), total_tokens: z.number() }),
  })
  .openapi('Embeddings');

export const expandBody = z
  .strictObject(
    {
      query: z.string().max(LONGEST_QUERY),
      samples: z
        .number()
        .int()
        .min(1)
        .max(32)
        .nullish()
        .openapi({ description: 'number of texts (default: that of the server)' }),
      expansion_budget_ms: budget,
      expansions,
      stream: z.boolean().nullish().openapi({ description: 'send the text as it grows, as server-sent events' }),
    },
    { error: unknownField },
  )
  .openapi('ExpandRequest');

export const expandAnswer = expansion
  .extend({ query: z.string(), texts: z.array(z.string()) })
  .openapi('ExpandedQuery');

export const searchBody = z
  .strictObject(
    {
      query: z.string().max(LONGEST_QUERY),
      index: z.string().nullish().openapi({ description: 'name of the index; needed if there are several' }),
      top: z.number().int().min(1).max(1000).nullish().openapi({ description: 'number of documents (default: 10)' }),
      expansion_budget_ms: budget,
      expansions,
    },
    { error: unknownField },
  )
  .openapi('SearchRequest');

export const searchAnswer = z
  .object({
    query: z.string(),
    index: z.string(),
    expansion: expandAnswer,
    milliseconds: z.object({
      ...{ gate: z.number().optional(), expand: z.number(), embed: z.number(), search: z.number() },
    }),
    documents: z.array(
      z.object({
        ...{ rank: z.number(), id: z.string(), score: z.number(), title: z.string().optional(), text: z.string() },
        passage: z
          .object({ start: z.number(), end: z.number() })
          .optional()
          .openapi({ description: 'where the best passage stands in the text of the document, in characters' }),
      }),
    ),
  })
  .openapi('SearchAnswer');

/** Text Embeddings Inference. */
export const teiBody = z
  .object({
    inputs: z.union([text, texts], { error: needsTexts }),
    prompt_name: z.string().nullish(),
    dimensions: z.number().int().positive().nullish(),
    truncate: z.boolean().nullish(),
    normalize: z.boolean().nullish(),
  })
  .openapi('TeiEmbedRequest');

/** Weaviate's transformers module. */
export const weaviateBody = z
  .object({
    text,
    config: z.object({ task_type: z.string().nullish(), dimensions: z.number().int().positive().nullish() }).nullish(),
  })
  .openapi('WeaviateVectorsRequest');

/** Whether a list is one of token ids. */
function areTokenIds(value: unknown): boolean {
  const areNumbers = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every(Number.isFinite);
  return areNumbers(value) || (Array.isArray(value) && value.length > 0 && value.every(areNumbers));
}

function needsTexts({ input }: { input?: unknown }): string {
  const wanted = `a text, or a list of 1 to ${MOST_TEXTS} texts of at most ${LONGEST_TEXT} characters`;
  return input === undefined ? `is missing; it must be ${wanted}` : `must be ${wanted}`;
}

export const failure = z
  .object({ error: z.object({ message: z.string(), type: z.string(), fix: z.string().optional() }) })
  .openapi('Error');

/** Our own routes refuse fields that they do not have: one that is misspelt would change nothing, without a word. */
function unknownField({ code, keys }: { code?: string | undefined; keys?: string[] }): string | undefined {
  if (code !== 'unrecognized_keys' || keys === undefined) return undefined;
  return `there is no field ${keys.map((key) => JSON.stringify(key.slice(0, 100))).join(', ')}; GET /openapi.json lists those that are`;
}
