import { canonicalJson } from '../../system/index.ts';

/** A way to split texts into words before byte-level BPE, with its names in llama.cpp and tokenizer.json. */
export interface PreTokenizer {
  /** `tokenizer.ggml.pre` */
  name: string;
  /** Whether a word that is a token itself bypasses the merges; llama.cpp decides it by the name. */
  ignoresMerges: boolean;
  /** `pre_tokenizer` of tokenizer.json */
  description: Record<string, unknown>;
}

const GPT2_WORDS = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

/** Expressions copied from the models' tokenizer.json; llama.cpp has its forms of them in llama-vocab.cpp. */
const WORDS_LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const WORDS_QWEN2 = WORDS_LLAMA3.replace('\\p{N}{1,3}', '\\p{N}');
const WORDS_TEKKEN =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** The pre-tokenizers of SmolLM, Llama 3, Qwen 2 to 3, Mistral Nemo and GPT-2. */
export const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  {
    name: 'smollm',
    ignoresMerges: false,
    description: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, GPT2_WORDS] },
  },
  { name: 'llama-bpe', ignoresMerges: true, description: splitAt(WORDS_LLAMA3) },
  { name: 'qwen2', ignoresMerges: false, description: splitAt(WORDS_QWEN2) },
  { name: 'tekken', ignoresMerges: true, description: splitAt(WORDS_TEKKEN) },
  { name: 'gpt-2', ignoresMerges: false, description: GPT2_WORDS },
];

function splitAt(expression: string): Record<string, unknown> {
  return {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: expression }, behavior: 'Isolated', invert: false },
      { ...GPT2_WORDS, use_regex: false },
    ],
  };
}

/** Finds llama.cpp's name for a `pre_tokenizer`; undefined if the table lacks it. */
export function findPreTokenizer(description: unknown, ignoresMerges: boolean): PreTokenizer | undefined {
  const wanted = comparable(description);
  return PRE_TOKENIZERS.find(
    (known) => known.ignoresMerges === ignoresMerges && comparable(known.description) === wanted,
  );
}

/** Normalises a description for comparison: drops settings for offsets and settings with their default values. */
function comparable(description: unknown): string {
  return canonicalJson(
    JSON.parse(JSON.stringify(description ?? null), (_key, value: unknown) => {
      if (typeof value !== 'object' || value === null || !('type' in value) || value.type !== 'ByteLevel') return value;
      return { use_regex: true, ...value, trim_offsets: true };
    }),
  );
}
