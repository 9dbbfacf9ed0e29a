import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AnswerRecord, answerSchema, type TrainingQuery } from '../../data/index.ts';
import { OtherSettingsError, readJsonl } from '../../files/index.ts';
import { AbortedError, DataError, UsageError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { type AnswerOptions, writeAnswers } from './answers.ts';

/** Keeps two requests in progress at once, as real generators keep several. The request decides which one ends first. */
class ToyGenerator implements Generator {
  readonly id = 'toy';
  fingerprint = 'toy-1';
  readonly asked: GenerationRequest[] = [];
  answer: (request: GenerationRequest) => string = ({ id }) => `answer to ${id}`;

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    for await (const request of requests) {
      if (signal?.aborted) throw new AbortedError();
      this.asked.push(request);
      const facts = { finish: 'stop', promptTokens: 9, completionTokens: 4, milliseconds: 12.4 } as const;
      yield { id: request.id, text: this.answer(request), promptCut: request.id === 'a', ...facts };
    }
  }

  async close() {}
}

const QUERIES: TrainingQuery[] = ['b', 'a', 'c'].map((id) => ({
  id,
  text: `what is ${id}?`,
  documents: [`d-${id}`, 'other'],
  goldText: `Title ${id} text of ${id} {query}`,
}));
let folder: string;
let out: string;
let generator: ToyGenerator;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'answers-'));
  out = join(folder, 'answers.jsonl');
  generator = new ToyGenerator();
});
afterEach(() => rm(folder, { recursive: true }));

function write(options: Partial<AnswerOptions> = {}) {
  return writeAnswers({ queries: () => QUERIES, generator, out, ...options });
}

async function recordsIn(file: string): Promise<AnswerRecord[]> {
  const records: AnswerRecord[] = [];
  for await (const { value } of readJsonl(file, answerSchema)) records.push(value);
  return records;
}

describe('writeAnswers', () => {
  it('uses the published prompt and settings with the gold document', async () => {
    const result = await write();
    expect(result).toMatchObject({ queries: 3, answers: 3, repeated: 0, skipped: 0, shortened: 1, tokens: 12 });
    expect(await recordsIn(out)).toEqual(
      ['b', 'a', 'c'].map((id) => ({
        ...{ queryId: id, documentId: `d-${id}`, text: `answer to ${id}`, attempts: 1, tokens: 4 },
      })),
    );
    const [request] = generator.asked;
    const fields = { id: 'b', query: 'what is b?', document: 'Title b text of b {query}' };
    expect(request!.messages).toEqual(PROMPTS.q2a.messages(fields));
    expect(request!.sampling).toEqual({ temperature: 1, topP: 0.9, topK: 0, maxTokens: 512 });
    expect(request!.cuttable!.text).toBe(fields.document);
    expect(request!.cuttable!.messagesWith('Title')).toEqual(PROMPTS.q2a.messages({ ...fields, document: 'Title' }));
  });

  it('requests an empty answer once more with another seed, then skips the query', async () => {
    const asked = () => generator.asked.map(({ id }) => id).join('');
    const seen = new Set<string>();
    generator.answer = ({ id }) => {
      if (id === 'b' || (id === 'a' && !seen.has(id))) {
        seen.add(id);
        return " Here's a passage:\n";
      }
      return 'text';
    };
    expect(await write()).toMatchObject({ answers: 2, repeated: 2, skipped: 1 });
    expect(asked()).toBe('bbaac');
    expect(new Set(generator.asked.slice(0, 2).map(({ seed }) => seed)).size).toBe(2);
    expect((await recordsIn(out)).map(({ queryId, text, attempts }) => [queryId, text, attempts])).toEqual([
      ['b', '', 2],
      ['a', 'text', 2],
      ['c', 'text', 1],
    ]);
    // The next run does not request again what stayed empty.
    expect(await write()).toMatchObject({ answers: 2, repeated: 2, skipped: 1, reused: 3, seconds: 0 });
    expect(asked()).toBe('bbaac');
  });

  it('resumes after an interruption and ends with the file of an uninterrupted run', async () => {
    await write();
    const whole = await readFile(out);
    await truncate(out, whole.length - 5);
    expect(await write()).toMatchObject({ reused: 2, answers: 3 });
    expect(generator.asked).toHaveLength(4);
    expect(await readFile(out)).toEqual(whole);
  });

  it.each([
    ['seed', { seed: 1 }, /seed: 42, now 1/],
    ['sampling', { sampling: { temperature: 0.5 } }, /temperature: 1, now 0.5/],
    ['document', { queries: () => QUERIES.map((one) => ({ ...one, goldText: 'new' })) }, /queries.sha256/],
  ])('refuses to mix with another %s', async (_name, change: Partial<AnswerOptions>, words) => {
    await write();
    await expect(write(change)).rejects.toThrow(words);
    await expect(write(change)).rejects.toThrow(OtherSettingsError);
  });

  it.each([
    ['a query without its document', { queries: () => [{ ...QUERIES[0]!, goldText: undefined }] }, DataError],
    ['a prompt that reads no document', { prompt: PROMPTS.q2d }, UsageError],
    ['an impossible temperature', { sampling: { temperature: -1 } }, UsageError],
  ])('refuses %s', async (_name, change: Partial<AnswerOptions>, kind) => {
    await expect(write(change)).rejects.toThrow(kind);
    expect(generator.asked).toHaveLength(0);
  });
});
