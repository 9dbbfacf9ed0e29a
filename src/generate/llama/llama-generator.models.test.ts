import { truncate } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_GENERATOR, ModelStore, type ResolvedModel } from '../../models/index.ts';
import { AbortedError, ModelError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator, Sampling } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { type LlamaOptions, loadGenerator } from './llama-generator.ts';
import { openLlamaModel } from './llama-model.ts';
import { openLlama } from './llama-runtime.ts';

let model: ResolvedModel;
beforeAll(async () => {
  model = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
});

const QUESTIONS = ['What is a hacksaw?', 'What is a lagoon?', 'why is the sky blue', 'who was Marie Curie'];

function requestsFor(count: number, sampling: Partial<Sampling> = {}): GenerationRequest[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `r${index}`,
    messages: PROMPTS.q2d.messages({ id: `r${index}`, query: QUESTIONS[index % QUESTIONS.length]! }),
    sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens: 12, ...sampling },
    seed: 100 + index,
  }));
}

async function collect(
  generator: Generator,
  requests: GenerationRequest[],
  signal?: AbortSignal,
): Promise<Map<string, Generation>> {
  const found = new Map<string, Generation>();
  for await (const generation of generator.generate(requests, signal)) found.set(generation.id, generation);
  return found;
}

async function withGenerator<T>(options: LlamaOptions, work: (generator: Generator) => Promise<T>): Promise<T> {
  const generator = await loadGenerator(model, { contextSize: 512, ...options });
  try {
    return await work(generator);
  } finally {
    await generator.close();
  }
}

function texts(generations: Map<string, Generation>): Record<string, string> {
  return Object.fromEntries([...generations].map(([id, { text }]) => [id, text]));
}

describe('loadGenerator with the default model', () => {
  it('writes the most likely text at temperature 0', async () => {
    const generations = await withGenerator({ deterministic: true }, (generator) =>
      collect(generator, requestsFor(2, { temperature: 0, maxTokens: 16 })),
    );
    // llama-cpp-python writes the same. Later in the text, near ties fall differently from one processor to the next.
    expect(generations.get('r0')!.text).toMatch(/^A hacksaw is a specialized tool designed /);
    expect(generations.get('r1')!.text).toMatch(/^A lagoon is a /);
    // System message, prompt and generation prompt; no token occurs twice.
    expect(generations.get('r0')!.promptTokens).toBe(52);
  });

  it('gives the same text for the same seed when deterministic, whatever else is requested', async () => {
    const requests = requestsFor(6);
    const options = { deterministic: true, threads: 2 };
    const first = await withGenerator(options, (generator) => collect(generator, requests));
    const other = await withGenerator({ ...options, threads: 1 }, async (generator) => ({
      ...texts(await collect(generator, requests.slice(3).reverse())),
      ...texts(await collect(generator, requests.slice(0, 3))),
    }));
    expect(other).toEqual(texts(first));
    expect(new Set(Object.values(other)).size).toBe(6);
  });

  it('writes many texts side by side, and stops at the end of the turn', async () => {
    const requests = requestsFor(24, { maxTokens: 40 });
    const greeting: GenerationRequest = {
      id: 'greeting',
      messages: [{ role: 'user', content: 'Say hi.' }],
      sampling: { temperature: 0, topP: 1, topK: 0, maxTokens: 80 },
      seed: 1,
    };
    const answers = [...requests, greeting];
    const generations = await withGenerator({ sequences: 8, threads: 2 }, (generator) => collect(generator, answers));
    expect(generations.size).toBe(25);
    for (const { id, text, finish, completionTokens } of generations.values()) {
      expect(text).not.toMatch(/<\|im_/);
      expect(text.length).toBeGreaterThan(0);
      if (finish === 'length' && id !== 'greeting') expect(completionTokens).toBe(40);
    }
    expect(generations.get('greeting')!.finish).toBe('stop');
    // Each text belongs to its own prompt. Which words it draws depends on the arithmetic of the processor.
    const aboutLagoons = (isAsked: boolean) =>
      [...generations.values()].filter(
        ({ id, text }) =>
          id !== 'greeting' && (Number(id.slice(1)) % 4 === 1) === isAsked && /lagoon|water|sea/i.test(text),
      ).length;
    expect(aboutLagoons(true)).toBeGreaterThanOrEqual(3);
    expect(aboutLagoons(false) / 3).toBeLessThan(aboutLagoons(true) / 2);
  });

  it('draws first tokens from the nucleus of the published order', async () => {
    const sampling = { temperature: 0.8, topP: 0.9, topK: 0, maxTokens: 1 };
    const draws = 400;
    const requests = Array.from({ length: draws }, (_, index) => ({
      ...requestsFor(1, sampling)[0]!,
      id: `${index}`,
      seed: index,
    }));
    const counts = new Map<string, number>();
    // The expectation is computed from the weights in the file, not from their Q8_0 copy.
    await withGenerator({ sequences: 16, threads: 2, quickWeights: false }, async (generator) => {
      for (const { text } of (await collect(generator, requests)).values())
        counts.set(text, (counts.get(text) ?? 0) + 1);
    });
    const expected = await nucleusOfFirstToken(requests[0]!, sampling);
    let statistic = 0;
    for (const text of counts.keys()) expect(expected.has(text)).toBe(true);
    // Rare tokens are pooled: chi-square needs at least five expected draws per cell.
    let [rareSeen, rareExpected, cells] = [0, 0, 0];
    for (const [text, probability] of expected) {
      const [seen, wanted] = [counts.get(text) ?? 0, probability * draws];
      if (wanted < 5) {
        rareSeen += seen;
        rareExpected += wanted;
      } else {
        cells++;
        statistic += (seen - wanted) ** 2 / wanted;
      }
    }
    if (rareExpected > 0) statistic += (rareSeen - rareExpected) ** 2 / rareExpected;
    expect(cells).toBeGreaterThan(2);
    expect(statistic).toBeLessThan(cells + 5 * Math.sqrt(2 * cells) + 10);
  });

  it('stops within a second and can be used again', async () => {
    await withGenerator({ sequences: 16, threads: 2 }, async (generator) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 500);
      const running = collect(generator, requestsFor(64, { maxTokens: 300 }), controller.signal);
      await expect(running).rejects.toThrow(AbortedError);
      const startedAt = performance.now();
      expect((await collect(generator, requestsFor(1, { maxTokens: 2 }))).size).toBe(1);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
    });
  });

  it('reports a prompt that is too long', async () => {
    const [request] = requestsFor(1);
    const long = { ...request!, id: 'long', messages: [{ role: 'user' as const, content: 'word '.repeat(600) }] };
    const texts = await withGenerator({ sequences: 2 }, (generator) => collect(generator, [long]));
    expect(texts.get('long')).toMatchObject({ id: 'long', text: '', completionTokens: 0, promptTooLong: true });
  });

  it('has a fingerprint that covers what decides a text, but not how many are written side by side', async () => {
    const prints = [];
    for (const options of [
      { sequences: 1, threads: 2 },
      { sequences: 4, threads: 4 },
    ]) {
      prints.push(await withGenerator(options, async ({ fingerprint }) => fingerprint));
    }
    expect(prints[0]).toBe(prints[1]);
  });
});

/** From reference/lora_adapter.py, with values that llama-cpp-python computes with it. */
const GOLDENS = join(import.meta.dirname, '../goldens');
const ADAPTER = join(GOLDENS, 'lora-smollm2.gguf');

describe('a LoRA adapter', () => {
  const greedy = requestsFor(2, { temperature: 0, maxTokens: 12 });
  const write = (adapters: LlamaOptions['adapters'], options: LlamaOptions = {}) =>
    withGenerator({ deterministic: true, threads: 2, adapters, ...options }, async (generator) => ({
      fingerprint: generator.fingerprint,
      texts: texts(await collect(generator, greedy)),
    }));

  it('changes the text according to its scale, and not at all at 0', async () => {
    const plain = await write([]);
    const adapted = await write([{ path: ADAPTER }]);
    const without = await write([{ path: ADAPTER, scale: 0 }]);
    expect(adapted.texts).not.toEqual(plain.texts);
    expect(without.texts).toEqual(plain.texts);
    expect(new Set([plain, adapted, without].map(({ fingerprint }) => fingerprint)).size).toBe(3);
  });

  it.each([undefined, 0, 0.5, 1])('gives the same log-probabilities as llama-cpp-python at scale %s', async (scale) => {
    const golden = (await readGoldens()).tiny;
    const model = join(GOLDENS, 'tiny-llama.gguf');
    const adapter = join(GOLDENS, 'tiny-lora.gguf');
    const adapters = scale === undefined ? [] : [{ file: adapter, scale }];
    const ours = await firstLogProbabilities(golden, model, adapters);
    // Both store keys and values as 16-bit floats, and round them after adding in a different order.
    expect(Math.max(...differences(ours, expectedAt(golden, scale)))).toBeLessThan(0.01);
    if (scale !== undefined && scale > 0) expect(mean(differences(ours, golden.plain))).toBeGreaterThan(0.5);
  });

  it('is added to another adapter', async () => {
    const golden = (await readGoldens()).tiny;
    const folder = await mkdtemp(join(tmpdir(), 'lora-'));
    const files = [join(GOLDENS, 'tiny-lora.gguf'), join(folder, 'copy.gguf')];
    await copyFile(files[0]!, files[1]!);
    const halves = files.map((file) => ({ file, scale: 0.5 }));
    const ours = await firstLogProbabilities(golden, join(GOLDENS, 'tiny-llama.gguf'), halves);
    expect(Math.max(...differences(ours, expectedAt(golden, 1)))).toBeLessThan(0.01);
    await rm(folder, { recursive: true });
  });

  it('changes the log-probabilities of the default model as in llama-cpp-python', async () => {
    const golden = (await readGoldens()).smollm2;
    const ours = await firstLogProbabilities(golden, model.path, [{ file: ADAPTER, scale: 1 }]);
    // With 4-bit weights llama.cpp rounds activations to 8 bits, which magnifies the smallest difference.
    const distance = mean(differences(ours, expectedAt(golden, 1)));
    expect(distance).toBeLessThan(0.25);
    expect(distance).toBeLessThan(mean(differences(ours, golden.plain)) / 2);
  });

  it('is refused before anything is loaded if it is missing, broken or made for another model', async () => {
    const load = (path: string) => loadGenerator(model, { adapters: [{ path }] });
    const folder = await mkdtemp(join(tmpdir(), 'lora-'));
    const other = join(folder, 'other.gguf');
    const bytes = await readFile(ADAPTER);
    bytes.write('blk.3.attn_k.weight.lora_a', bytes.indexOf('blk.3.attn_q.weight.lora_a'));
    bytes.write('blk.3.attn_k.weight.lora_b', bytes.indexOf('blk.3.attn_q.weight.lora_b'));
    await writeFile(other, bytes);
    await expect(load(other)).rejects.toMatchObject({ name: 'ModelError', id: 'blk.3.attn_k.weight', file: other });
    const cut = join(folder, 'cut.gguf');
    await writeFile(cut, bytes.subarray(0, 6000));
    await expect(load(cut)).rejects.toMatchObject({ name: 'ModelError', file: cut });
    await expect(load(join(folder, 'missing.gguf'))).rejects.toMatchObject({ name: 'DataError' });
    await rm(folder, { recursive: true });
  });
});

interface LoraGolden {
  prompt: string;
  vocabularySize: number;
  tokens: number[];
  plain: number[];
  adapted: { scale: number; logProbabilities: number[] }[];
}

async function readGoldens(): Promise<Record<'tiny' | 'smollm2', LoraGolden>> {
  return JSON.parse(await readFile(join(GOLDENS, 'lora.json'), 'utf8'));
}

function expectedAt({ plain, adapted }: LoraGolden, scale: number | undefined): number[] {
  return scale === undefined ? plain : adapted.find((one) => one.scale === scale)!.logProbabilities;
}

function differences(a: number[], b: number[]): number[] {
  return a.map((value, index) => Math.abs(value - b[index]!));
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Log-probabilities of the golden file's tokens directly after its prompt. */
async function firstLogProbabilities(golden: LoraGolden, path: string, adapters: { file: string; scale: number }[]) {
  const unhashed = adapters.map((adapter) => ({ ...adapter, sha256: 'not looked at' }));
  const file = { path, vocabularySize: golden.vocabularySize, adapters: unhashed };
  const opened = await openLlamaModel(file, { sequences: 1, threads: 1, contextSize: 256 });
  try {
    const tokens: number[] = [...opened.model.tokenize(golden.prompt, true)];
    const [scores] = await opened.lanes[0]!.context.decode([{ sequence: 0, start: 0, tokens, scores: true }]);
    const all = await scores!.top(golden.vocabularySize, 1);
    const logTotal = Math.log(await scores!.totalWeight(1));
    const byToken = new Map(all.tokens.map((token, rank) => [token, all.scores[rank]! - all.scores[0]! - logTotal]));
    return golden.tokens.map((token) => byToken.get(token)!);
  } finally {
    await opened.close();
  }
}

describe('files that are not a complete chat model', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gguf-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('weights that llama.cpp refuses: at the first use, and again at the next', async () => {
    const path = join(folder, 'renamed.gguf');
    const bytes = await readFile(model.path);
    const at = bytes.indexOf('blk.0.attn_q.weight');
    bytes.write('blk.0.attn_z.weight', at);
    await writeFile(path, bytes);
    const generator = await loadGenerator({ ...model, path, fingerprint: 'renamed' });
    for (let attempt = 0; attempt < 2; attempt++) {
      const asked = collect(generator, requestsFor(1));
      await expect(asked).rejects.toMatchObject({ name: 'ModelError', file: path, fix: expect.any(String) });
    }
    await generator.close();
  });

  it('a truncated GGUF', async () => {
    const path = join(folder, 'cut.gguf');
    await copyFile(model.path, path);
    await promisify(truncate)(path, 40_000_000);
    const loading = loadGenerator({ ...model, path });
    await expect(loading).rejects.toMatchObject({ file: path, fix: expect.any(String) });
    await expect(loading).rejects.toThrow(ModelError);
  });

  it('a folder', async () => {
    await expect(loadGenerator({ ...model, path: folder })).rejects.toThrow(ModelError);
  });
});

/** Computed with the library's public interface: the probabilities of the complete vocabulary at the temperature, then the nucleus. */
async function nucleusOfFirstToken(
  request: GenerationRequest,
  { temperature, topP }: Sampling,
): Promise<Map<string, number>> {
  const llama = await openLlama(false);
  const native = await llama.loadModel({ modelPath: model.path });
  const context = await native.createContext({ contextSize: 512, threads: 1 });
  const text =
    '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' +
    `<|im_start|>user\n${request.messages[0]!.content}<|im_end|>\n<|im_start|>assistant\n`;
  const prompt = native.tokenize(text, true);
  const last = prompt.pop()!;
  const generateNext = { probabilities: true, options: { temperature, topK: 0, topP: 1 } };
  const results = await context.getSequence().controlledEvaluate([...prompt, [last, { generateNext }]]);
  const probabilities = results.at(-1)!.next.probabilities!;
  const kept = new Map<string, number>();
  let mass = 0;
  for (const [token, probability] of probabilities) {
    if (mass >= topP) break;
    mass += probability;
    const word = native.detokenize([token]);
    kept.set(word, (kept.get(word) ?? 0) + probability);
  }
  await native.dispose();
  return new Map([...kept].map(([word, probability]) => [word, probability / mass]));
}
