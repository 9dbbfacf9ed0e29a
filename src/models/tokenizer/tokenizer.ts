import { join } from 'node:path';
import type { Tokenizer as NativeTokenizer } from 'tokenizers';
import { z } from 'zod';
import { ModelError, refuseIfSlim, UsageError } from '../../system/index.ts';
import { readIfPresent } from '../formats/model-text-file.ts';
import { tryTokenizer } from './native-trial.ts';

/** Converts texts to the token ids of the model. Calls may overlap. */
export interface TextTokenizer {
  /**
   * Returns the token ids of each text. Rows differ in length; the caller pads with {@link padId}.
   *
   * Longer rows are truncated to `maxLength`, special tokens included: the end of the text is dropped, and the closing
   * special tokens (BERT's [SEP]) stay. The truncation and padding settings of tokenizer.json are ignored. Unpaired
   * surrogates become U+FFFD.
   * @throws UsageError if `maxLength` leaves no room for text
   */
  encodeBatch(
    texts: readonly string[],
    options: { maxLength: number /** Default true. */; addSpecialTokens?: boolean },
  ): Promise<Int32Array[]>;
  /** Returns the text of ids, by default without special tokens. */
  decode(ids: ArrayLike<number>, options?: { keepSpecialTokens?: boolean }): Promise<string>;
  /** Returns the id of the token with this exact text, or undefined. */
  tokenId(token: string): number | undefined;
  readonly padId: number;
  /** The number of ids, including added tokens. */
  readonly vocabularySize: number;
}

const TokenSchema = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);

/** The settings used from tokenizer_config.json. */
const TokenizerConfigSchema = z.object({
  do_lower_case: z.boolean().optional(),
  strip_accents: z.boolean().nullish(),
  tokenize_chinese_chars: z.boolean().optional(),
  pad_token: TokenSchema.nullish().catch(undefined),
});
type TokenizerConfig = z.output<typeof TokenizerConfigSchema>;

/** The settings used from tokenizer.json; the rest is passed to the tokenizer unchanged. */
const TokenizerFileSchema = z.looseObject({
  model: z.looseObject({}),
  normalizer: z.looseObject({ type: z.string() }).nullish(),
  padding: z.looseObject({ pad_id: z.number().int().nonnegative() }).nullish(),
});
type TokenizerFile = z.output<typeof TokenizerFileSchema>;

/**
 * Loads the tokenizer of a model folder: `tokenizer.json`, or BERT's `vocab.txt` with the settings of
 * `tokenizer_config.json`.
 * @param options lowerCase: lower-case texts first, except special tokens, whatever the files say
 * @throws ModelError if both files are missing, or one is broken
 */
export async function loadTokenizer(
  folder: string,
  { lowerCase = false }: { lowerCase?: boolean } = {},
): Promise<TextTokenizer> {
  const config = await readConfig(join(folder, 'tokenizer_config.json'));
  const written = await readIfPresent(join(folder, 'tokenizer.json'));
  if (written !== undefined) {
    const description = parseTokenizerFile(folder, written);
    const wanted = lowerCase ? inLowerCase(description) : description;
    return NativeTextTokenizer.create(join(folder, 'tokenizer.json'), wanted, config);
  }
  const file = join(folder, 'vocab.txt');
  const vocabulary = await readIfPresent(file);
  if (vocabulary !== undefined) {
    const { do_lower_case = true } = config;
    const wanted = { ...config, do_lower_case: lowerCase || do_lower_case };
    return NativeTextTokenizer.create(file, wordPiece(file, vocabulary, wanted), config);
  }
  throw new ModelError('holds neither tokenizer.json nor vocab.txt', {
    file: folder,
    fix: 'Choose a folder with the files of a Transformers model.',
  });
}

class NativeTextTokenizer implements TextTokenizer {
  readonly padId: number;
  readonly vocabularySize: number;
  readonly #native: NativeTokenizer;
  readonly #file: string;
  /** The number of special tokens around a text. */
  readonly #framing: number;
  /** The current native truncation limit, and the number of running batches that use it. */
  #limit = 0;
  #running = new Set<Promise<unknown>>();

  private constructor(file: string, native: NativeTokenizer, padId: number, framing: number) {
    this.#file = file;
    this.#native = native;
    this.#framing = framing;
    this.padId = padId;
    this.vocabularySize = native.getVocabSize(true);
  }

  static async create(file: string, description: TokenizerFile, config: TokenizerConfig): Promise<TextTokenizer> {
    const text = JSON.stringify({ ...description, truncation: null, padding: null });
    refuseIfSlim('tokenizers', 'a local model', ' Or use a server: --encoder URL, --generator URL.');
    await tryTokenizer(file, text);
    const { Tokenizer } = await import('tokenizers');
    try {
      const native = Tokenizer.fromString(text);
      const framing = (await native.encode('')).getLength();
      return new NativeTextTokenizer(file, native, padIdOf(native, description, config), framing);
    } catch (cause) {
      throw brokenTokenizer(file, cause);
    }
  }

  async encodeBatch(
    texts: readonly string[],
    { maxLength, addSpecialTokens = true }: { maxLength: number; addSpecialTokens?: boolean },
  ): Promise<Int32Array[]> {
    const shortest = (addSpecialTokens ? this.#framing : 0) + 1;
    if (!Number.isSafeInteger(maxLength) || maxLength < shortest) {
      throw new UsageError(`a maximum length of ${maxLength} tokens leaves no room for text`, {
        fix: `Allow at least ${shortest} tokens.`,
      });
    }
    if (texts.length === 0) return [];
    const encodings = await this.#encode(texts.map(wellFormed), Math.min(maxLength, 2 ** 31), addSpecialTokens);
    return encodings.map((encoding) => Int32Array.from(encoding.getIds()));
  }

  /**
   * Native truncation avoids copying ids that are dropped. But it is a setting of the tokenizer, shared with the
   * running batches, so a batch with another limit waits for them.
   */
  async #encode(texts: string[], limit: number, addSpecialTokens: boolean) {
    while (limit !== this.#limit && this.#running.size > 0) await Promise.allSettled(this.#running);
    if (limit !== this.#limit) {
      this.#native.setTruncation(limit);
      this.#limit = limit;
    }
    const batch = this.#native.encodeBatch(texts, { addSpecialTokens });
    this.#running.add(batch);
    try {
      return await batch;
    } catch (cause) {
      throw brokenTokenizer(this.#file, cause);
    } finally {
      this.#running.delete(batch);
    }
  }

  async decode(ids: ArrayLike<number>, { keepSpecialTokens = false } = {}): Promise<string> {
    return this.#native.decode(Array.from(ids), !keepSpecialTokens);
  }

  tokenId(token: string): number | undefined {
    return this.#native.tokenToId(token) ?? undefined;
  }
}

function brokenTokenizer(file: string, cause: unknown): ModelError {
  const reason = `is not a usable tokenizer (${cause instanceof Error ? cause.message : cause})`;
  return new ModelError(reason, { file, fix: 'Download the file again.', cause });
}

/** Replaces unpaired surrogates, which UTF-8 cannot represent. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

function padIdOf(native: NativeTokenizer, description: TokenizerFile, config: TokenizerConfig): number {
  const named = config.pad_token == null ? null : native.tokenToId(config.pad_token);
  return named ?? description.padding?.pad_id ?? native.tokenToId('[PAD]') ?? native.tokenToId('<pad>') ?? 0;
}

function parseTokenizerFile(folder: string, text: string): TokenizerFile {
  try {
    return TokenizerFileSchema.parse(JSON.parse(text));
  } catch (cause) {
    const file = join(folder, 'tokenizer.json');
    throw new ModelError('is not a tokenizer description', { file, fix: 'Download the file again.', cause });
  }
}

/**
 * Adds lower-casing as in sentence-transformers: a step of the normaliser, which never sees special tokens in a text.
 */
function inLowerCase(description: TokenizerFile): TokenizerFile {
  const normalizers = [{ type: 'Lowercase' }, ...(description.normalizer == null ? [] : [description.normalizer])];
  return { ...description, normalizer: { type: 'Sequence', normalizers } };
}

/** Makes BERT's WordPiece tokenizer from a vocabulary file, with the defaults of Transformers' BertTokenizer. */
function wordPiece(file: string, text: string, config: TokenizerConfig): TokenizerFile {
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const vocab = Object.fromEntries(lines.map((token, id) => [token, id]));
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].filter((token) => Object.hasOwn(vocab, token));
  const missing = ['[UNK]', '[CLS]', '[SEP]'].find((token) => !special.includes(token));
  if (missing !== undefined) {
    throw new ModelError(`the vocabulary lacks ${missing}`, { file, fix: 'Use a model with tokenizer.json.' });
  }
  const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  return {
    version: '1.0',
    added_tokens: special.map((content) => ({
      ...{ id: vocab[content], content, special: true },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case ?? true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, piece('[SEP]')],
      pair: [
        piece('[CLS]'),
        { Sequence: { id: 'A', type_id: 0 } },
        piece('[SEP]'),
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: Object.fromEntries(['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

async function readConfig(file: string): Promise<TokenizerConfig> {
  const text = await readIfPresent(file);
  if (text === undefined) return {};
  try {
    return TokenizerConfigSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('is not a tokenizer configuration', { file, fix: 'Download the file again.', cause });
  }
}
