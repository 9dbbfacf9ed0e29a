import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  DEFAULT_GENERATOR,
  exportGguf,
  exportGgufAdapter,
  exportSafetensors,
  type GgufTensorType,
  type LoraAdapter,
  loadTokenizer,
  ModelStore,
  openCheckpoint,
  parseLoraConfig,
  writeAdapter,
} from '../models/index.ts';
import { Random } from '../system/index.ts';
import { loadGenerator } from './llama/llama-generator.ts';
import { openTokenScorer, scoreTokens, type TokenScorerOptions } from './llama/token-scorer.ts';

const TEXT =
  "A hacksaw is a fine-toothed saw, made in 1898 for cutting metal; most are hand saws with a C-shaped frame that holds a blade under tension.\nDon't   use it (ever!) on wood: 12,345 teeth… über naïve 日本語 🚀.";

/** Tiny random models and adapters, by reference/architectures.py and reference/adapters.py. */
const TINY = join(import.meta.dirname, '../nn/goldens');
const ADAPTERS = join(import.meta.dirname, '../models/goldens/adapters');

interface Expected {
  ids: number[][];
  attentionMask: number[][];
  logits: number[][][];
}

/** Their texts are token ids, so any tokenizer that llama.cpp accepts will do. */
const LETTERS = {
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
};

let base: string;
/** The default model in F32. */
let exact: string;
let folder: string;
let adapter: LoraAdapter;
let tokens: number[];
beforeAll(async () => {
  base = (await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' })).path;
  folder = await mkdtemp(join(tmpdir(), 'export-'));
  exact = join(folder, 'exact.gguf');
  await exportGguf(exact, { base, type: 'F32' });
  adapter = await randomAdapter();
  await writeAdapter(join(folder, 'adapter'), adapter);
  const scorer = await openTokenScorer(base);
  tokens = scorer.tokenize(TEXT);
  await scorer.close();
});
afterAll(() => rm(folder, { recursive: true }));

/** An adapter on every linear layer; some modules have a rank and alpha of their own. */
async function randomAdapter(): Promise<LoraAdapter> {
  const settings = { rank_pattern: { 'layers.3.self_attn.q_proj': 2 }, alpha_pattern: { down_proj: 4 } };
  const given = { peft_type: 'LORA', r: 4, lora_alpha: 8, use_rslora: true, task_type: 'CAUSAL_LM', ...settings };
  const config = parseLoraConfig('adapter_config.json', JSON.stringify(given));
  const random = new Random(7);
  const draw = (shape: number[], scale: number) => {
    const data = Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.normal() * scale);
    return { shape, data };
  };
  const sizes = {
    q: [576, 576],
    k: [192, 576],
    v: [192, 576],
    o: [576, 576],
    gate: [1536, 576],
    up: [1536, 576],
    down: [576, 1536],
  };
  const tensors: LoraAdapter['tensors'] = new Map();
  for (const layer of [0, 3, 17, 29]) {
    for (const [name, [out, inner]] of Object.entries(sizes)) {
      const module = `model.layers.${layer}.${'qkvo'.includes(name) ? 'self_attn' : 'mlp'}.${name}_proj`;
      const rank = layer === 3 && name === 'q' ? 2 : 4;
      tensors.set(`${module}.lora_A.weight`, draw([rank, inner!], 0.02));
      tensors.set(`${module}.lora_B.weight`, draw([out!, rank], 0.02));
    }
  }
  return { config, tensors };
}

async function scores(path: string, options: TokenScorerOptions = {}): Promise<Float64Array> {
  return (await scoreTokens(path, [{ tokens }], options))[0]!;
}

function meanDifference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(tokens.length - 1);
  return a.reduce((sum, value, index) => sum + Math.abs(value - b[index]!), 0) / a.length;
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(tokens.length - 1);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}

it.each<[GgufTensorType, number]>([
  ['F16', 0.01],
  ['Q8_0', 0.2],
])('the default model as %s gives the log-probabilities of F32', async (type, tolerance) => {
  const out = join(folder, `plain-${type}.gguf`);
  await exportGguf(out, { base, type });
  const reference = await scores(exact);
  expect(reference.reduce((sum, value) => sum + value, 0) / reference.length).toBeGreaterThan(-6);
  // llama.cpp rounds the activations that are multiplied with 8-bit and 4-bit weights to 8 bits. For a rare token the error can be
  // large.
  expect(meanDifference(await scores(out), reference)).toBeLessThan(tolerance);
  expect(meanDifference(await scores(base), reference)).toBeLessThan(0.2);
  // The weights alone are close: converted back to F32, they are multiplied with exact activations.
  const back = join(folder, `back-${type}.gguf`);
  await exportGguf(back, { base: out, type: 'F32' });
  expect(meanDifference(await scores(back), reference)).toBeLessThan(0.1);
  await rm(back);
  const generator = await loadGenerator(
    { name: type, path: out, fingerprint: type },
    { sequences: 1, contextSize: 64 },
  );
  const request = { id: 'r', messages: [{ role: 'user' as const, content: 'Say hi.' }], seed: 1 };
  const sampling = { temperature: 0, topP: 1, topK: 0, maxTokens: 8 };
  for await (const { text } of generator.generate([{ ...request, sampling }])) expect(text).toMatch(/[a-z]/i);
  await generator.close();
});

it('an adapter next to the model and one merged into it give the same log-probabilities', async () => {
  const merged = join(folder, 'merged.gguf');
  await exportGguf(merged, { base, type: 'F32', adapter });
  const folded = await scores(merged);
  const beside = await scores(exact, { adapters: [{ path: join(folder, 'adapter') }] });
  expect(largestDifference(folded, beside)).toBeLessThan(2e-4);
  expect(largestDifference(folded, await scores(exact))).toBeGreaterThan(0.05);
  const ggufAdapter = join(folder, 'adapter.gguf');
  await exportGgufAdapter(ggufAdapter, { base, adapter });
  expect(await scores(exact, { adapters: [{ path: ggufAdapter }] })).toEqual(beside);
  // A Transformers folder in shards gives the same bytes.
  const hub = join(folder, 'hub');
  await exportSafetensors(hub, { base, adapter, maxShardBytes: 200_000_000 });
  const again = join(folder, 'again.gguf');
  await exportGguf(again, { base: hub, type: 'F32' });
  const files = await Promise.all([merged, again].map(openCheckpoint));
  const [direct, around] = files as [(typeof files)[0], (typeof files)[0]];
  expect(
    around
      .tensors()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(
    direct
      .tensors()
      .map(({ name }) => name)
      .sort(),
  );
  for (const { name } of direct.tensors()) {
    expect(Buffer.compare(bytesOf(await around.read(name)), bytesOf(await direct.read(name))), name).toBe(0);
  }
  for (const [key, value] of Object.entries(around.metadata())) {
    if (key in direct.metadata() && key !== 'general.name') expect(value, key).toEqual(direct.metadata()[key]);
  }
  for (const file of files) await file.close();
  expect(await scores(again)).toEqual(folded);
  const tokenizer = await loadTokenizer(hub);
  expect([...(await tokenizer.encodeBatch([TEXT], { maxLength: 1000 }))[0]!]).toEqual(tokens);
});

/** Log-probabilities of every token except the first, from Transformers' logits. */
function expectedScores(logits: number[][], ids: number[]): number[] {
  return ids.slice(1).map((id, position) => {
    const row = logits[position]!;
    return row[id]! - Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
  });
}

it.each(['llama', 'llama31', 'mistral', 'qwen2', 'qwen3'])(
  'a tiny %s has the same log-probabilities in llama.cpp as in Transformers',
  async (family) => {
    const tiny = join(TINY, family);
    const target = join(folder, family);
    await mkdir(target);
    for (const name of ['config.json', 'model.safetensors']) await copyFile(join(tiny, name), join(target, name));
    await writeFile(join(target, 'tokenizer.json'), JSON.stringify(LETTERS));
    const out = join(folder, `${family}.gguf`);
    await exportGguf(out, { base: target, type: 'F32' });
    const expected = JSON.parse(await readFile(join(tiny, 'expected.json'), 'utf8')) as Expected;
    const sequences = expected.ids.map((ids, row) => ({
      tokens: ids.filter((_, at) => expected.attentionMask[row]![at]),
    }));
    const found = await scoreTokens(out, sequences);
    for (const [row, { tokens: ids }] of sequences.entries()) {
      const wanted = expectedScores(expected.logits[row]!, ids);
      expect(found[row]!.length).toBe(wanted.length);
      for (const [at, value] of wanted.entries()) expect(found[row]![at]).toBeCloseTo(value, 4);
    }
  },
);

it.each(['plain', 'rslora', 'patterns'])(
  'the adapter %s gives the same log-probabilities in llama.cpp as in PEFT',
  async (name) => {
    const out = join(folder, 'llama.gguf');
    const path = join(ADAPTERS, name);
    const { ids, logits } = JSON.parse(await readFile(join(path, 'expected.json'), 'utf8')) as {
      ids: number[];
      logits: number[][];
    };
    const [found] = await scoreTokens(out, [{ tokens: ids }], { adapters: [{ path }] });
    for (const [at, value] of expectedScores(logits, ids).entries()) expect(found![at]).toBeCloseTo(value, 4);
  },
);

function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
