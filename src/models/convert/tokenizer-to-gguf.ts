import { join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { GgufValue } from '../formats/gguf-writer.ts';
import { readIfPresent } from '../formats/model-text-file.ts';
import { loadChatTemplate } from '../tokenizer/chat-template.ts';
import { findPreTokenizer } from '../tokenizer/pre-tokenizers.ts';
import type { LanguageConfig } from './language-config.ts';

/** GGUF's token types (gguf.md, `tokenizer.ggml.token_type`). */
export const TOKEN_TYPES = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const;

const TokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.number(), content: z.string(), special: z.boolean() })).default([]),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  model: z.looseObject({
    type: z.string().optional(),
    // Not z.record: a token may be called __proto__, and there can be 100,000.
    vocab: z.custom<Record<string, number>>(isVocabulary),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
  }),
});

function isVocabulary(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((id) => Number.isSafeInteger(id));
}

type TokenizerFile = z.output<typeof TokenizerSchema>;

const TokenSchema = z
  .union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)])
  .nullish();
const SettingsSchema = z.looseObject({
  bos_token: TokenSchema,
  eos_token: TokenSchema,
  unk_token: TokenSchema,
  pad_token: TokenSchema,
  add_bos_token: z.boolean().nullish(),
});

/**
 * Converts the tokenizer of a model folder to GGUF metadata, from which llama.cpp makes the same tokens. Supports
 * byte-level BPE with one of the {@link PRE_TOKENIZERS}.
 * @throws ModelError if the tokenizer is of another kind
 */
export async function ggufTokenizer(folder: string, config: LanguageConfig): Promise<Map<string, GgufValue>> {
  const file = join(folder, 'tokenizer.json');
  const tokenizer = parse(file, await readIfPresent(file), TokenizerSchema);
  const settingsFile = join(folder, 'tokenizer_config.json');
  const settings = parse(settingsFile, (await readIfPresent(settingsFile)) ?? '{}', SettingsSchema);
  const { tokens, types } = listTokens(file, tokenizer, config.vocabularySize);
  const merges = tokenizer.model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
  const metadata = new Map<string, GgufValue>([
    ['tokenizer.ggml.model', { text: 'gpt2' }],
    ['tokenizer.ggml.pre', { text: preTokenizerOf(file, tokenizer) }],
    ['tokenizer.ggml.tokens', { texts: tokens }],
    ['tokenizer.ggml.token_type', { i32s: types }],
    ['tokenizer.ggml.merges', { texts: merges }],
    ['tokenizer.ggml.add_space_prefix', { bool: false }],
  ]);
  const put = (name: string, token: string | null | undefined, otherwise?: number) => {
    const id = token == null ? otherwise : tokens.indexOf(token);
    if (id !== undefined && id >= 0) metadata.set(`tokenizer.ggml.${name}_token_id`, { u32: id });
    return id;
  };
  const bos = put('bos', settings.bos_token, config.bosTokenId);
  put('eos', settings.eos_token, config.eosTokenId);
  put('unknown', settings.unk_token);
  put('padding', settings.pad_token);
  const addsBos = bos !== undefined && (settings.add_bos_token ?? beginsWith(tokenizer.post_processor, tokens[bos]));
  metadata.set('tokenizer.ggml.add_bos_token', { bool: addsBos });
  const template = await loadChatTemplate(folder);
  if (template !== undefined) metadata.set('tokenizer.chat_template', { text: template.source });
  return metadata;
}

function parse<T>(file: string, text: string | undefined, schema: z.ZodType<T>): T {
  if (text === undefined) {
    throw new ModelError('no such file', {
      file,
      fix: 'Put the tokenizer file next to the weights: a GGUF file contains it.',
    });
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new ModelError('is not JSON', { file, fix: 'Download the file again.', cause });
    const reason = 'does not describe a byte-level BPE tokenizer (vocab, merges)';
    throw new ModelError(reason, { file, fix: OTHER_TOKENIZERS, cause });
  }
}

const OTHER_TOKENIZERS =
  "SentencePiece, Unigram and WordPiece tokenizers cannot be exported. Convert the model with llama.cpp's convert_hf_to_gguf.py, and export the adapter with --to gguf-adapter.";

function preTokenizerOf(file: string, { model, normalizer, pre_tokenizer }: TokenizerFile): string {
  if ((model.type ?? 'BPE') !== 'BPE' || model.byte_fallback === true) {
    throw new ModelError('the tokenizer is not byte-level BPE', { file, id: 'model', fix: OTHER_TOKENIZERS });
  }
  if (!changesNothing(normalizer)) {
    const reason = 'this normalizer changes texts, which llama.cpp cannot do';
    throw new ModelError(reason, { file, id: 'normalizer', fix: OTHER_TOKENIZERS });
  }
  const found = findPreTokenizer(pre_tokenizer, model.ignore_merges ?? false);
  if (found !== undefined) return found.name;
  throw new ModelError('llama.cpp has no known name for this pre-tokenizer', {
    file,
    id: 'pre_tokenizer',
    fix: OTHER_TOKENIZERS,
  });
}

/** Returns whether there is no normalizer, or NFC (Qwen's). llama.cpp omits NFC: nearly all texts are in NFC. */
function changesNothing(normalizer: unknown): boolean {
  const parsed = z
    .looseObject({ type: z.string(), normalizers: z.array(z.unknown()).optional() })
    .safeParse(normalizer);
  if (normalizer == null || parsed.data?.type === 'NFC') return true;
  return parsed.data?.normalizers?.every(changesNothing) ?? false;
}

/** Gives every id below `size` a token: the embedding may have more rows than the tokenizer has tokens. */
function listTokens(file: string, { model, added_tokens }: TokenizerFile, size: number) {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types: number[] = new Array(size).fill(TOKEN_TYPES.unused);
  const put = (id: number, token: string, type: number) => {
    if (id >= size) {
      const reason = `the token has the id ${id}, but the model has embeddings for ${size} ids`;
      throw new ModelError(reason, { file, id: token, fix: 'Use the tokenizer that belongs to the model.' });
    }
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab)) put(id, token, TOKEN_TYPES.normal);
  for (const { id, content, special } of added_tokens) {
    put(id, content, special || looksSpecial(content) ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined);
  }
  return { tokens, types };
}

/**
 * Some models do not mark the tokens of their chat template as special; llama.cpp's converter recognises them by their
 * form.
 */
function looksSpecial(token: string): boolean {
  return /^<\|.*\|>$/.test(token) || ['<pad>', '<mask>', '<unk>', '<s>', '</s>'].includes(token);
}

/** Returns whether a post-processor, or one in its sequence, puts this token before a text. */
function beginsWith(processor: unknown, token: string | undefined): boolean {
  const parsed = z
    .looseObject({
      type: z.string(),
      processors: z.array(z.unknown()).optional(),
      single: z.array(z.unknown()).optional(),
    })
    .safeParse(processor).data;
  if (parsed?.processors !== undefined) return parsed.processors.some((one) => beginsWith(one, token));
  const first = z.object({ SpecialToken: z.object({ id: z.string() }) }).safeParse(parsed?.single?.[0]).data;
  return first !== undefined && first.SpecialToken.id === token;
}
