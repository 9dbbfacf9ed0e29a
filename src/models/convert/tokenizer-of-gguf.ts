import { ModelError } from '../../system/index.ts';
import type { Checkpoint } from '../formats/checkpoint-contract.ts';
import { PRE_TOKENIZERS, type PreTokenizer } from '../tokenizer/pre-tokenizers.ts';
import { TOKEN_TYPES } from './tokenizer-to-gguf.ts';

/**
 * Converts the tokenizer in a GGUF file to Transformers' files: names and contents. Supports byte-level BPE with one of
 * the {@link PRE_TOKENIZERS}.
 * @throws ModelError if the tokenizer is of another kind
 */
export function hfTokenizerFiles(gguf: Checkpoint): Map<string, unknown> {
  const metadata = gguf.metadata();
  const preTokenizer = preTokenizerOf(gguf);
  const tokens = listOf(gguf, 'tokenizer.ggml.tokens', 'string');
  const types = listOf(gguf, 'tokenizer.ggml.token_type', 'number');
  const merges = listOf(gguf, 'tokenizer.ggml.merges', 'string');
  const special = (name: string): string | undefined =>
    tokens[Number(metadata[`tokenizer.ggml.${name}_token_id`] ?? -1)];
  const [bos, eos] = [special('bos'), special('eos')];
  const addsBos = bos !== undefined && metadata['tokenizer.ggml.add_bos_token'] === true;
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(tokens, types),
    normalizer: preTokenizer.name === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: preTokenizer.description,
    post_processor: addsBos ? startingWith(bos, tokens.indexOf(bos)) : null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: preTokenizer.ignoresMerges,
      vocab: Object.fromEntries(
        tokens.map((token, id): [string, number] => [token, id]).filter(([, id]) => types[id] !== TOKEN_TYPES.unused),
      ),
      merges,
    },
  };
  const template = metadata['tokenizer.chat_template'];
  const settings = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    clean_up_tokenization_spaces: false,
    add_bos_token: addsBos,
    bos_token: bos,
    eos_token: eos,
    unk_token: special('unknown'),
    pad_token: special('padding'),
    ...(typeof template === 'string' && { chat_template: template }),
  };
  return new Map<string, unknown>([
    ['tokenizer.json', tokenizer],
    ['tokenizer_config.json', settings],
  ]);
}

function preTokenizerOf(gguf: Checkpoint): PreTokenizer {
  const metadata = gguf.metadata();
  const model = metadata['tokenizer.ggml.model'];
  const name = metadata['tokenizer.ggml.pre'];
  const found = model === 'gpt2' ? PRE_TOKENIZERS.find((known) => known.name === name) : undefined;
  if (found !== undefined) return found;
  const what = model === 'gpt2' ? `splits texts by "${name}"` : `is of the kind "${model}"`;
  throw new ModelError(`the tokenizer ${what}, which cannot be converted to tokenizer.json`, {
    file: gguf.path,
    id: model === 'gpt2' ? 'tokenizer.ggml.pre' : 'tokenizer.ggml.model',
    fix: 'Use the folder of the same model in safetensors as the base: its tokenizer files are copied.',
  });
}

function listOf(gguf: Checkpoint, key: string, type: 'string'): string[];
function listOf(gguf: Checkpoint, key: string, type: 'number'): number[];
function listOf(gguf: Checkpoint, key: string, type: string): unknown[] {
  const list = gguf.metadata()[key];
  if (Array.isArray(list) && list.every((item) => typeof item === type)) return list;
  throw new ModelError('the tokenizer lacks this list', { file: gguf.path, id: key, fix: 'Download a newer file.' });
}

function addedTokens(tokens: readonly string[], types: readonly number[]) {
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return tokens
    .map((content, id) => ({ id, content, ...plain, special: types[id] === TOKEN_TYPES.control }))
    .filter(({ id }) => types[id] === TOKEN_TYPES.control || types[id] === TOKEN_TYPES.userDefined);
}

function startingWith(token: string, id: number) {
  const first = { SpecialToken: { id: token, type_id: 0 } };
  const text = (sequence: string, type: number) => ({ Sequence: { id: sequence, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [first, text('A', 0)],
    pair: [first, text('A', 0), { SpecialToken: { id: token, type_id: 1 } }, text('B', 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
