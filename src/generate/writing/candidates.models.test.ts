import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerSchema, type CandidateRecord, candidateSchema, type TrainingQuery } from '../../data/index.ts';
import { readJsonl } from '../../files/index.ts';
import { DEFAULT_GENERATOR, ModelStore, openCheckpoint, type ResolvedModel } from '../../models/index.ts';
import type { Generation, Generator } from '../generator.ts';
import { type LlamaOptions, loadGenerator } from '../llama/llama-generator.ts';
import { quickCopyOf } from '../llama/quick-weights.ts';
import { PROMPTS } from '../prompts.ts';
import { writeAnswers } from './answers.ts';
import { sampleCandidates } from './candidates.ts';

const QUERIES: TrainingQuery[] = [
  ['lagoon', 'a body of water cut off from a larger body by a reef of sand or coral'],
  ['hacksaw', 'saw used with one hand for cutting metal'],
  ['sonnet', 'a verse form consisting of 14 lines with a fixed rhyme scheme'],
].map(([word, gloss]) => ({ id: word!, text: `What is a ${word}?`, documents: [`d-${word}`], goldText: gloss! }));

let model: ResolvedModel;
let folder: string;
beforeAll(async () => {
  model = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
  folder = await mkdtemp(join(tmpdir(), 'candidates-models-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function withGenerator<T>(options: LlamaOptions, work: (generator: Generator) => Promise<T>): Promise<T> {
  const generator = await loadGenerator(model, { contextSize: 256, threads: 2, ...options });
  try {
    return await work(generator);
  } finally {
    await generator.close();
  }
}

/** The generator, each of whose generations is shown. */
function watched(generator: Generator, see: (generation: Generation) => void): Generator {
  return {
    id: generator.id,
    fingerprint: generator.fingerprint,
    async *generate(...given) {
      for await (const generation of generator.generate(...given)) {
        see(generation);
        yield generation;
      }
    },
    close: () => generator.close(),
  };
}

describe('candidates and answers by the default model', () => {
  it('samples candidates that are about their query, and the same ones again when deterministic', async () => {
    const out = join(folder, 'candidates.jsonl');
    const sample = (generator: Generator, file: string, queries = QUERIES) =>
      sampleCandidates({
        ...{
          queries: () => queries,
          generator,
          prompt: PROMPTS.q2d,
          samples: 2,
          sampling: { maxTokens: 16 },
          out: file,
        },
      });
    const result = await withGenerator({ deterministic: true }, (generator) => sample(generator, out));
    expect(result).toMatchObject({ queries: 3, candidates: 24, empty: 0 });
    expect(result.tokensPerSecond).toBeGreaterThan(1);
    const records: CandidateRecord[] = [];
    for await (const { value } of readJsonl(out, candidateSchema)) records.push(value);
    expect(records.map(({ queryId }) => queryId)).toEqual(QUERIES.flatMap(({ id }) => Array(8).fill(id)));
    const onTopic = records.filter(({ queryId, text }) => new RegExp(`${queryId}|water|saw|poem|line`, 'i').test(text));
    expect(onTopic.length).toBeGreaterThan(12);
    const again = join(folder, 'again.jsonl');
    await withGenerator({ deterministic: true, threads: 1 }, (generator) => sample(generator, again));
    expect(await readFile(again)).toEqual(await readFile(out));
  });

  it('answers from as much of the document as fits', async () => {
    const out = join(folder, 'answers.jsonl');
    const [lagoon, ...others] = QUERIES;
    const long = { ...lagoon!, goldText: `${lagoon!.goldText}. ${'It is often warm and shallow there. '.repeat(200)}` };
    const promptTokens: number[] = [];
    const result = await withGenerator({ sequences: 4 }, (generator) =>
      writeAnswers({
        ...{ queries: () => [long, ...others], sampling: { maxTokens: 32 }, out },
        generator: watched(generator, (generation) => promptTokens.push(generation.promptTokens!)),
      }),
    );
    // The context has 256 tokens, of which the answer needs 32; a sentence of the document has 8.
    expect(Math.max(...promptTokens)).toBeLessThanOrEqual(256 - 32);
    expect(Math.max(...promptTokens)).toBeGreaterThan(256 - 32 - 10);
    expect(result).toMatchObject({ queries: 3, shortened: 1 });
    expect(result.answers + result.skipped).toBe(3);
    for await (const { value } of readJsonl(out, answerSchema)) {
      expect(value.documentId).toBe(`d-${value.queryId}`);
      expect(value.text).toMatch(/\w{3}/);
    }
  });

  it("runs from a copy of the weights that differs from the file by less than 1/254 of a block's largest weight", async () => {
    const copy = await openCheckpoint(await quickCopyOf(model));
    const file = await openCheckpoint(model.path);
    const name = 'blk.3.ffn_down.weight';
    expect(file.tensors().find((tensor) => tensor.name === name)!.dtype).toBe('Q4_1');
    const [quick, exact] = await Promise.all([copy.read(name), file.read(name)]);
    let differences = 0;
    for (let block = 0; block < exact.length; block += 32) {
      const values = exact.subarray(block, block + 32);
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (let at = 0; at < 32; at++) {
        const difference = Math.abs(quick[block + at]! - values[at]!);
        // The scale itself is rounded to half precision.
        if (difference > (largest / 254) * 1.001 + largest / 2048) throw new Error(`block ${block / 32} is off`);
        if (difference > 0) differences++;
      }
    }
    expect(differences).toBeGreaterThan(0);
    await copy.close();
    await file.close();
  });
});
