import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ResolvedModel } from '../models/index.ts';
import { AbortedError, ModelError, UsageError } from '../system/index.ts';
import type { Encoder } from './encoder.ts';
import type { EncoderOptions } from './encoder-options.ts';
import { cosineOfRows, readGoldenTexts, readGoldenVectors } from './goldens/golden-vectors.ts';
import { loadEncoder } from './local-encoder.ts';

const TINY = fileURLToPath(new URL('./goldens/tiny-encoder', import.meta.url));
let folder: string;
let encoder: Encoder;
let texts: string[];

const model = (path = TINY, fingerprint = 'tiny'): ResolvedModel => {
  return { name: 'tiny', path, format: 'safetensors', fingerprint, source: 'fixture' };
};
const load = (options: EncoderOptions = {}, path = TINY, fingerprint = 'tiny') =>
  loadEncoder(model(path, fingerprint), { cache: join(folder, 'graphs'), threads: 2, ...options });

/** Makes a copy of the tiny encoder with one changed JSON file. */
async function variant(name: string, file: string, change: object | string): Promise<string> {
  const copy = join(folder, name);
  await cp(TINY, copy, { recursive: true });
  const content = typeof change === 'string' ? change : JSON.stringify(await merged(join(copy, file), change));
  await writeFile(join(copy, file), content);
  return copy;
}

async function merged(file: string, change: object): Promise<object> {
  return Array.isArray(change) ? change : { ...JSON.parse(await readFile(file, 'utf8')), ...change };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-encoder-'));
  encoder = await load();
  texts = await readGoldenTexts();
});
afterAll(async () => {
  await encoder.close();
  await rm(folder, { recursive: true, force: true });
});

describe('a tiny random BERT with first-token pooling, normalisation and a query prompt', () => {
  test.each(['document', 'query'] as const)('agrees with sentence-transformers on 200 texts as %s', async (role) => {
    const golden = await readGoldenVectors('tiny');
    const half = golden.slice(role === 'document' ? 0 : golden.length / 2).slice(0, golden.length / 2);
    const cosines = cosineOfRows(await encoder.encode(texts, role), half, 32);
    expect(cosines).toHaveLength(200);
    expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.99999);
  });

  test('keeps special tokens in a text if the folder demands lower case', async () => {
    const lower = await load({}, await variant('lower', 'sentence_bert_config.json', { do_lower_case: true }));
    const special = texts.filter((text) => text.includes('[MASK]'));
    expect(lower.settings.lowerCase).toBe(true);
    expect(await lower.encode(special, 'query')).toEqual(await encoder.encode(special, 'query'));
    await lower.close();
  });

  test('states everything that decides a vector', () => {
    expect(encoder.dimensions).toBe(32);
    expect(encoder.settings).toEqual({
      ...{ pooling: 'cls', normalized: true, maxLength: 96, precision: 'f32', lowerCase: false },
      ...{ queryPrefix: 'what is the ', documentPrefix: '', similarity: 'cosine' },
    });
  });

  test.each(['f32', 'int8'] as const)(
    'gives a document the same bits whatever is encoded with it (%s)',
    async (precision) => {
      const one = await load({ precision });
      const all = await one.encode(texts, 'document');
      for (const size of [1, 3, 64]) {
        for (let start = 0; start < 128; start += size) {
          const part = await one.encode(texts.slice(start, start + size), 'document');
          expect(part).toEqual(all.slice(start * 32, (start + size) * 32));
        }
      }
      await one.close();
    },
  );

  test('reports which texts it truncates', async () => {
    const cut: number[] = [];
    const long = Array.from({ length: 95 }, () => 'a').join(' ');
    await encoder.encode(['a', long, 'a a', `${long} a`], 'document', { onCut: (row) => cut.push(row) });
    expect(cut).toEqual([1, 3]);
    // With the two special tokens; what is cut off is not read.
    const tokens: number[] = [];
    const onTokens = (row: number, count: number) => {
      tokens[row] = count;
    };
    await encoder.encode(['a', long, 'a a'], 'document', { onTokens });
    expect([tokens[2]! - tokens[0]!, tokens[1]]).toEqual([1, encoder.settings.maxLength]);
    const asked: number[] = [];
    await encoder.encode([Array.from({ length: 94 }, () => 'a').join(' ')], 'document', {
      onCut: (row) => asked.push(row),
    });
    expect(asked).toEqual([]);
  });

  test('gives the same bits again, also with another number of threads', async () => {
    const first = await encoder.encode(texts, 'document');
    const single = await load({ threads: 1 });
    expect(await encoder.encode(texts, 'document')).toEqual(first);
    expect(await single.encode(texts, 'document')).toEqual(first);
    expect(single.fingerprint).toBe(encoder.fingerprint);
    await single.close();
  });

  test('does not let batch neighbours change a vector beyond rounding', async () => {
    const together = await encoder.encode(texts, 'document');
    for (const index of [0, 45, 99, 150, 199]) {
      const alone = await encoder.encode([texts[index]!], 'document');
      for (let at = 0; at < 32; at++) expect(alone[at]).toBeCloseTo(together[index * 32 + at]!, 5);
    }
  });

  test('encodes an empty list and an empty text', async () => {
    expect(await encoder.encode([], 'query')).toHaveLength(0);
    expect(Math.hypot(...(await encoder.encode([''], 'document')))).toBeCloseTo(1, 5);
  });

  test('keeps the event loop free and counts finished texts', async () => {
    const many = Array.from({ length: 3000 }, (_, index) => texts[index % 200]!);
    let [ticks, done] = [0, 0];
    const timer = setInterval(() => ticks++, 5);
    await encoder.encode(many, 'document', { onTexts: (count) => (done += count) });
    clearInterval(timer);
    expect(done).toBe(3000);
    expect(ticks).toBeGreaterThan(3);
  });

  test('stops soon and remains usable', async () => {
    const many = Array.from({ length: 4000 }, (_, index) => texts[index % 200]!);
    const control = new AbortController();
    let done = 0;
    const onTexts = (count: number) => {
      done += count;
      control.abort();
    };
    await expect(encoder.encode(many, 'document', { signal: control.signal, onTexts })).rejects.toThrow(AbortedError);
    expect(done).toBeLessThan(1000);
    expect(await encoder.encode(['time'], 'query')).toHaveLength(32);
  });

  test('in int8 is close to f32, and has another fingerprint', async () => {
    const rough = await load({ precision: 'int8' });
    const some = texts.slice(0, 64);
    const cosines = cosineOfRows(await rough.encode(some, 'query'), await encoder.encode(some, 'query'), 32);
    expect(Math.min(...cosines)).toBeGreaterThan(0.97);
    expect(rough.fingerprint).not.toBe(encoder.fingerprint);
    await rough.close();
  });
});

describe('options', () => {
  test.each([
    ['pooling', { pooling: 'mean' }],
    ['normalisation', { normalize: false }],
    ['maximum length', { maxLength: 8 }],
    ['query prefix', { queryPrefix: 'search: ' }],
    ['document prefix', { documentPrefix: 'text: ' }],
  ] as const)('another %s gives another fingerprint and other vectors', async (_, options) => {
    const other = await load(options);
    expect(other.fingerprint).not.toBe(encoder.fingerprint);
    const role = 'queryPrefix' in options ? 'query' : 'document';
    const text = 'what is the time of the year in the world of water and money';
    expect(await other.encode([text], role)).not.toEqual(await encoder.encode([text], role));
    await other.close();
  });

  test.each(['mean', 'max', 'mean_sqrt_len'] as const)('%s pooling ignores padding', async (pooling) => {
    const other = await load({ pooling });
    const pair = ['time', 'time is what a people and a way and a day and a man and a thing is'];
    const together = await other.encode(pair, 'document');
    const alone = await other.encode(pair.slice(0, 1), 'document');
    for (let at = 0; at < 32; at++) expect(together[at]).toBeCloseTo(alone[at]!, 5);
    await other.close();
  });

  test('a maximum length beyond the positions is refused', async () => {
    await expect(load({ maxLength: 129 })).rejects.toThrow(UsageError);
    await expect(load({ maxLength: 129 })).rejects.toThrow(/129 tokens.*128 positions/);
  });

  test('an unknown option is refused', async () => {
    await expect(load({ prefix: 'x' } as EncoderOptions)).rejects.toThrow(/prefix/);
  });

  test('without modules.json, uses the mean of the tokens, not normalised', async () => {
    const copy = join(folder, 'plain');
    await cp(TINY, copy, { recursive: true });
    await rm(join(copy, 'modules.json'));
    const plain = await load({}, copy);
    expect(plain.settings).toMatchObject({ pooling: 'mean', normalized: false });
    await plain.close();
  });
});

test.each([
  [null, { max_seq_length: 50 }, 50],
  [1e30, { max_seq_length: 50 }, 50],
  [40, { max_seq_length: null }, 40],
  [null, { max_seq_length: null }, 128],
  [1e30, { max_seq_length: 1e6 }, 128],
])('with model_max_length %s and %j texts are truncated to %s tokens', async (limit, stated, expected) => {
  const copy = await variant(`limit-${limit}-${stated.max_seq_length}`, 'tokenizer_config.json', {
    model_max_length: limit,
  });
  await writeFile(join(copy, 'sentence_bert_config.json'), JSON.stringify(stated));
  const limited = await load({}, copy);
  expect(limited.settings.maxLength).toBe(expected);
  await limited.close();
});

test('the old layout of sentence-transformers gives the vectors of the new one', async () => {
  const old = join(folder, 'old-layout');
  const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'sentence_bert_config.json', 'vocab.txt'];
  await cp(TINY, old, { recursive: true });
  await mkdir(join(old, '0_Transformer'));
  for (const name of [...names, 'model.safetensors']) await rename(join(old, name), join(old, '0_Transformer', name));
  const modules = JSON.parse(await readFile(join(old, 'modules.json'), 'utf8')) as { path: string }[];
  modules[0]!.path = '0_Transformer';
  await writeFile(join(old, 'modules.json'), JSON.stringify(modules));
  const [one, two] = [await load(), await load({}, old)];
  expect(two.settings).toEqual(one.settings);
  expect(await two.encode(['a saw', 'cuts wood'], 'query')).toEqual(await one.encode(['a saw', 'cuts wood'], 'query'));
  await Promise.all([one.close(), two.close()]);
});

describe('a broken or unsupported model folder is refused, and the reason is given', () => {
  test.each([
    ['config.json', { hidden_size: 48 }, /shape \[265, 32\], but the configuration says \[265, 48\]/],
    ['config.json', { num_hidden_layers: 1e8 }, /num_hidden_layers/],
    ['config.json', { max_position_embeddings: 1e15 }, /max_position_embeddings/],
    ['config.json', { layer_norm_eps: -1 }, /layer_norm_eps/],
    ['config.json', { num_hidden_layers: 3 }, /lacks tensor encoder\.layer\.2\./],
    ['config.json', { num_attention_heads: 5 }, /not a multiple of 5 heads/],
    ['config.json', { model_type: 'xlm-roberta' }, /model_type/],
    ['config.json', { hidden_act: 'silu' }, /hidden_act/],
    ['config.json', { position_embedding_type: 'relative_key' }, /position_embedding_type/],
    ['config.json', { vocab_size: 100 }, /tokenizer has 265 tokens, but the model has 100/],
    ['config.json', '{"hidden_size": 32', /config\.json/],
    ['modules.json', [{ path: '2_Dense', type: 'sentence_transformers.models.Dense' }], /module Dense in 2_Dense/],
    ['modules.json', '[1]', /modules\.json/],
    ['1_Pooling/config.json', { pooling_mode_mean_tokens: true }, /cls \+ mean|mean \+ cls/],
    ['1_Pooling/config.json', { pooling_mode_cls_token: false, pooling_mode_lasttoken: true }, /lasttoken/],
    ['1_Pooling/config.json', { include_prompt: false }, /prompt/],
    ['sentence_bert_config.json', { max_seq_length: 'long' }, /max_seq_length/],
    ['tokenizer.json', '{}', /tokenizer/],
    ['model.safetensors', 'not a checkpoint', /model\.safetensors/],
  ])('%s with %j', async (file, change, reason) => {
    const name = `broken-${Math.random().toString(36).slice(2)}`;
    const loading = load({}, await variant(name, file, change), name);
    await expect(loading).rejects.toThrow(ModelError);
    await expect(loading).rejects.toThrow(reason);
  });

  test('a missing config.json', async () => {
    const copy = join(folder, 'no-config');
    await cp(TINY, copy, { recursive: true });
    await rm(join(copy, 'config.json'));
    await expect(load({}, copy)).rejects.toThrow(/config\.json: is missing/);
  });

  test('a GGUF file', async () => {
    await expect(loadEncoder({ ...model('x.gguf'), format: 'gguf' })).rejects.toThrow(/GGUF/);
  });
});
