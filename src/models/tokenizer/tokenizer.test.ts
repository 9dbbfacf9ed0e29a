import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ModelError, UsageError } from '../../system/index.ts';
import { loadTokenizer, type TextTokenizer } from './tokenizer.ts';

interface Goldens {
  vocabulary: string[];
  texts: string[];
  cases: { config: Record<string, unknown>; ids: Record<string, number[][]> }[];
}

const goldens: Goldens = JSON.parse(
  await readFile(new URL('../goldens/tokenizer-small.json', import.meta.url), 'utf8'),
);
let root = '';
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tokenizer-'));
});
afterAll(() => rm(root, { recursive: true }));

async function folderWith(files: Record<string, unknown>): Promise<string> {
  const folder = join(root, String(count++));
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

const vocabulary = `${goldens.vocabulary.join('\n')}\n`;

/** A tokenizer.json that truncates at 3 and pads to 9, as sentence-transformers' models do with 128. */
function written(): Record<string, unknown> {
  const special = (content: string, id: number) => ({
    ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  });
  return {
    version: '1.0',
    truncation: { max_length: 3, strategy: 'LongestFirst', stride: 0, direction: 'Right' },
    padding: {
      ...{ strategy: { Fixed: 9 }, direction: 'Right', pad_to_multiple_of: null },
      ...{ pad_id: 6, pad_type_id: 0, pad_token: 'x' },
    },
    added_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map(special),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      ...{ type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
      vocab: Object.fromEntries(goldens.vocabulary.map((token, id) => [token, id])),
    },
  };
}

describe('vocab.txt', () => {
  test.each(goldens.cases)('gives the same ids as Transformers with $config', async ({ config, ids }) => {
    const tokenizer = await loadTokenizer(
      await folderWith({ 'vocab.txt': vocabulary, 'tokenizer_config.json': config }),
    );
    for (const [limit, rows] of Object.entries(ids)) {
      const found = await tokenizer.encodeBatch(goldens.texts, { maxLength: Number(limit) });
      for (const [i, text] of goldens.texts.entries()) expect([...found[i]!], JSON.stringify(text)).toEqual(rows[i]);
    }
  });

  test('ignores CR LF and a byte order mark', async () => {
    const tokenizer = await loadTokenizer(
      await folderWith({ 'vocab.txt': `\ufeff${vocabulary.replaceAll('\n', '\r\n')}` }),
    );
    expect(tokenizer.vocabularySize).toBe(goldens.vocabulary.length);
    expect(tokenizer.tokenId('[PAD]')).toBe(0);
    expect(tokenizer.tokenId('##saw')).toBe(goldens.vocabulary.length - 1);
    expect(tokenizer.tokenId('absent')).toBeUndefined();
  });

  test('a vocabulary without [SEP] is refused', async () => {
    const loading = loadTokenizer(await folderWith({ 'vocab.txt': '[UNK]\n[CLS]\na\n' }));
    await expect(loading).rejects.toThrow('the vocabulary lacks [SEP]');
  });
});

describe('tokenizer.json', () => {
  let tokenizer: TextTokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(await folderWith({ 'tokenizer.json': written() }));
  });
  const encode = async (text: string, maxLength = 512, addSpecialTokens = true) => {
    const [ids] = await tokenizer.encodeBatch([text], { maxLength, addSpecialTokens });
    return [...ids!];
  };

  test('lower-casing leaves special tokens unchanged', async () => {
    const cased = { ...written(), normalizer: null };
    const folder = await folderWith({ 'tokenizer.json': cased });
    const lower = await loadTokenizer(folder, { lowerCase: true });
    const options = { maxLength: 512 };
    const asWritten = await (await loadTokenizer(folder)).encodeBatch(['the', '[PAD] the'], options);
    expect(await lower.encodeBatch(['THE', '[PAD] The'], options)).toEqual(asWritten);
  });

  test('ignores its own truncation and padding; only the limit of the caller counts', async () => {
    expect(await encode('the quick brown')).toHaveLength(5);
    expect(await encode('the quick brown', 4)).toHaveLength(4);
    expect(await encode('a')).toHaveLength(3);
  });

  test('a truncated row keeps its closing [SEP]', async () => {
    const whole = await encode('the quick brown hello world');
    expect(await encode('the quick brown hello world', 4)).toEqual([...whole.slice(0, 3), 3]);
  });

  test('without special tokens', async () => {
    expect(await encode('hello world', 512, false)).toEqual((await encode('hello world')).slice(1, -1));
    expect(await encode('hello world', 1, false)).toHaveLength(1);
  });

  test('concurrent calls may have different limits', async () => {
    const texts = Array.from({ length: 500 }, () => 'the quick brown hello world '.repeat(4));
    const limits = [5, 9, 5, 14, 9, 7];
    const batches = await Promise.all(limits.map((maxLength) => tokenizer.encodeBatch(texts, { maxLength })));
    for (const [i, rows] of batches.entries())
      expect(new Set(rows.map((row) => row.length))).toEqual(new Set([limits[i]]));
  });

  test('unpaired surrogates, NUL and an empty batch', async () => {
    expect(await encode('the\ud800 quick')).toEqual(await encode('the\ufffd quick'));
    expect(await encode('\udc00')).toEqual([2, 3]);
    expect(await encode('the\0 quick')).toEqual(await encode('the quick'));
    expect(await tokenizer.encodeBatch([], { maxLength: 8 })).toEqual([]);
  });

  test('a text of a megabyte', async () => {
    expect(await encode('hello '.repeat(175_000), 256)).toHaveLength(256);
    expect(await encode('x'.repeat(1_000_000), 256)).toEqual([2, 1, 3]);
  });

  test.each([0, 1, 2, -1, 2.5, Number.NaN])('a limit of %d leaves no room and is refused', async (maxLength) => {
    await expect(tokenizer.encodeBatch(['a'], { maxLength })).rejects.toThrow(UsageError);
  });

  test('decodes ids, and special tokens only if requested', async () => {
    const ids = Int32Array.from(await encode('hello world hacksaw'));
    expect(await tokenizer.decode(ids)).toBe('hello world hacksaw');
    expect(await tokenizer.decode(ids, { keepSpecialTokens: true })).toBe('[CLS] hello world hacksaw [SEP]');
  });

  test('the padding id comes from the configuration, else from tokenizer.json', async () => {
    expect(tokenizer.padId).toBe(6);
    const named = { 'tokenizer.json': written(), 'tokenizer_config.json': { pad_token: { content: '[PAD]' } } };
    expect((await loadTokenizer(await folderWith(named))).padId).toBe(0);
  });
});

test.each([
  ['neither file', {}, 'holds neither tokenizer.json nor vocab.txt'],
  ['broken JSON', { 'tokenizer.json': '{"model":' }, 'is not a tokenizer description'],
  ['no model', { 'tokenizer.json': {} }, 'is not a tokenizer description'],
  ['a model of unknown kind', { 'tokenizer.json': { model: { type: 'Magic' } } }, 'is not a usable tokenizer'],
  [
    'a broken configuration',
    { 'vocab.txt': vocabulary, 'tokenizer_config.json': '[' },
    'is not a tokenizer configuration',
  ],
])('a folder with %s is refused', async (_label, files, reason) => {
  const loading = loadTokenizer(await folderWith(files));
  await expect(loading).rejects.toThrow(ModelError);
  await expect(loading).rejects.toThrow(reason);
});

test('a vocabulary without the unknown token gives a typed error when it is needed', async () => {
  const description = written();
  description.model = { ...(description.model as object), vocab: { '[CLS]': 2, '[SEP]': 3 } };
  const tokenizer = await loadTokenizer(await folderWith({ 'tokenizer.json': { ...description, added_tokens: [] } }));
  const encoding = tokenizer.encodeBatch(['zebra'], { maxLength: 8 });
  await expect(encoding).rejects.toThrow(ModelError);
  await expect(encoding).rejects.toThrow('[UNK]');
});

const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const NO_MAP = { type: 'Precompiled', precompiled_charsmap: '' };

test.each<[string, Record<string, unknown>, string]>([
  ['an empty character map', { normalizer: NO_MAP }, 'Precompiled'],
  ['an empty character map inside others', { normalizer: { type: 'Sequence', normalizers: [NO_MAP] } }, 'Precompiled'],
  [
    'a missing token of a template',
    {
      post_processor: { type: 'TemplateProcessing', single: [piece('[NONE]')], pair: [], special_tokens: {} },
    },
    'no entry found',
  ],
  [
    'a merge beyond its tokens',
    {
      added_tokens: [],
      model: {
        type: 'BPE',
        vocab: { a: 0, b: 1 },
        merges: ['a b'],
        unk_token: '<unk>',
        continuing_subword_prefix: '##',
      },
    },
    'crashes the native tokenizer',
  ],
])('%s, which would crash the process, is refused', async (_what, damage, reason) => {
  const folder = await folderWith({ 'tokenizer.json': { ...written(), ...damage } });
  const loading = loadTokenizer(folder);
  await expect(loading).rejects.toThrow(ModelError);
  await expect(loading).rejects.toThrow(reason);
  await expect(loading).rejects.toMatchObject({ file: join(folder, 'tokenizer.json') });
});
