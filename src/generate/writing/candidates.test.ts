import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ChatCall, ChatServer } from '../../../test/support/chat-server.ts';
import { type CandidateRecord, candidateSchema, type TrainingQuery } from '../../data/index.ts';
import { manifestFileOf, OtherSettingsError, readJsonl, readStageManifest } from '../../files/index.ts';
import { AbortedError, DataError, ModelError, UsageError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { connectGenerator } from '../server-generator.ts';
import { type CandidateOptions, sampleCandidates } from './candidates.ts';

/** Answers a few requests at a time, the last first, so the order must come from the ids. */
class ToyGenerator implements Generator {
  readonly id = 'toy';
  readonly fingerprint: string;
  readonly asked: GenerationRequest[] = [];
  contextSize: number | undefined;
  finish: Generation['finish'] = 'stop';
  /** Maximum number of requests that were pulled but not yet answered. */
  mostHeld = 0;
  answer: (request: GenerationRequest) => string | undefined = ({ seed }) => `Here is a passage: text ${seed}`;
  readonly #width: number;

  constructor({ fingerprint = 'toy-1', width = 5 } = {}) {
    this.fingerprint = fingerprint;
    this.#width = width;
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    let held: GenerationRequest[] = [];
    for await (const request of requests) {
      this.asked.push(request);
      held.push(request);
      if (held.length < this.#width) continue;
      yield* this.#answerAll(held, signal);
      held = [];
    }
    yield* this.#answerAll(held, signal);
  }

  *#answerAll(held: GenerationRequest[], signal: AbortSignal | undefined) {
    for (const request of held.reverse()) {
      if (signal?.aborted) throw new AbortedError();
      const text = this.answer(request);
      if (text === undefined) continue;
      const facts = { finish: this.finish, promptTokens: 9, completionTokens: 4, milliseconds: 12.4 } as const;
      yield { id: request.id, text, ...facts };
    }
  }

  async close() {}
}

const QUERIES: TrainingQuery[] = ['b', 'a', 'c/0', 'd#1'].map((id) => ({
  id,
  text: `what is ${id}?`,
  documents: ['x'],
}));
let folder: string;
let out: string;
let generator: ToyGenerator;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'candidates-'));
  out = join(folder, 'candidates.jsonl');
  generator = new ToyGenerator();
});
afterEach(() => rm(folder, { recursive: true }));

function sample(options: Partial<CandidateOptions> = {}) {
  return sampleCandidates({ queries: () => QUERIES, generator, prompt: PROMPTS.q2d, samples: 2, out, ...options });
}

async function recordsIn(file: string): Promise<CandidateRecord[]> {
  const records: CandidateRecord[] = [];
  for await (const { value } of readJsonl(file, candidateSchema)) records.push(value);
  return records;
}

describe('sampleCandidates', () => {
  it('writes the candidates of each query together, temperature by temperature', async () => {
    const result = await sample();
    expect(result).toMatchObject({
      file: out,
      queries: 4,
      reused: 0,
      candidates: 32,
      duplicates: 0,
      empty: 0,
      tokens: 128,
    });
    expect(result.tokensPerSecond).toBeGreaterThan(0);
    const records = await recordsIn(out);
    expect(records.map(({ candidateId }) => candidateId)).toEqual(
      QUERIES.flatMap(({ id }) => Array.from({ length: 8 }, (_none, index) => `${id}#${index}`)),
    );
    expect(records.slice(8, 16).map(({ queryId, index, temperature }) => [queryId, index, temperature])).toEqual(
      [0.8, 0.8, 0.9, 0.9, 1, 1, 1.1, 1.1].map((temperature, index) => ['a', index, temperature]),
    );
    // Each has its own seed and the text that was written with it, without its opening.
    expect(new Set(records.map(({ seed }) => seed)).size).toBe(32);
    for (const { text, seed } of records) expect(text).toBe(`text ${seed}`);
    for (const { id, sampling, seed, messages } of generator.asked) {
      const record = records.find(({ candidateId }) => candidateId === id)!;
      expect(record).toMatchObject({ temperature: sampling.temperature, seed });
      expect(messages).toEqual(PROMPTS.q2d.messages({ id, query: `what is ${record.queryId}?` }));
      expect(sampling).toMatchObject({ topP: 0.9, topK: 0, maxTokens: 512 });
    }
  });

  it('marks exact duplicates after the opening is cut, and counts empty texts separately', async () => {
    const texts = ['one', ' ', 'Here is a passage:\n\none', 'two', 'one', '', 'One', 'two '];
    generator.answer = ({ id }) => texts[Number(id.split('#').at(-1))]!;
    const result = await sample({ queries: () => QUERIES.slice(0, 1) });
    expect(result).toMatchObject({ candidates: 8, duplicates: 3, empty: 2 });
    const records = await recordsIn(out);
    expect(records.map(({ text }) => text)).toEqual(['one', '', 'one', 'two', 'one', '', 'One', 'two']);
    expect(records.map(({ duplicateOf }) => duplicateOf)).toEqual([
      ...[undefined, undefined, 'b#0', undefined],
      ...['b#0', 'b#1', undefined, 'b#3'],
    ]);
  });

  it('counts texts cut by a full context separately from those cut by the token limit, and reports them', async () => {
    generator.finish = 'length';
    generator.contextSize = 64;
    const notes: (string | undefined)[] = [];
    const progress = {
      task: () => ({ advance() {}, skip() {}, note() {}, done: (note?: string) => notes.push(note) }),
    };
    const wide = { sampling: { maxTokens: 5 }, progress };
    expect(await sample(wide)).toMatchObject({ cutByLength: 0, cutByContext: 32 });
    expect(await sample(wide)).toMatchObject({ reused: 4, cutByLength: 0, cutByContext: 32 });
    expect(notes).toEqual(Array(2).fill(expect.stringMatching(/^32 cut by a full context/)));
    const short = { sampling: { maxTokens: 4 }, out: join(folder, 'short.jsonl') };
    expect(await sample(short)).toMatchObject({ cutByLength: 32, cutByContext: 0 });
  });

  it('repeats nothing, and reports the same counts for a finished file', async () => {
    const first = await sample();
    const before = await readFile(out);
    const manifest = await readFile(manifestFileOf(out));
    const again = await sample();
    expect(await readFile(manifestFileOf(out))).toEqual(manifest);
    expect(generator.asked).toHaveLength(32);
    expect(again).toEqual({ ...first, reused: 4, reusedTexts: 32, seconds: 0, tokensPerSecond: 0 });
    expect(await readFile(out)).toEqual(before);
  });

  it('resumes after an interruption at any point and ends with the same bytes as an uninterrupted run', async () => {
    await sample();
    const whole = await readFile(out);
    for (const share of [0.1, 0.3, 0.5, 0.51, 0.9, 0.999]) {
      const length = Math.floor(whole.length * share);
      await truncate(out, length);
      const kept = whole.subarray(0, length).toString().split('\n').length - 1;
      const asked = generator.asked.length;
      expect(await sample()).toMatchObject({ reused: Math.floor(kept / 8), candidates: 32 });
      expect(generator.asked.length - asked).toBe(32 - Math.floor(kept / 8) * 8);
      expect(await readFile(out)).toEqual(whole);
    }
  });

  it.each([
    ['seed', { seed: 1 }, /seed: 42, now 1/],
    ['samples', { samples: 3 }, /samples: 2, now 3/],
    ['temperatures', { temperatures: [1] }, /temperatures: \[0.8,0.9,1,1.1\], now \[1\]/],
    ['sampling', { sampling: { maxTokens: 64 } }, /maxTokens: 512, now 64/],
    ['prompt', { prompt: PROMPTS.q2e }, /prompt.name: "q2d", now "q2e"/],
    ['generator', { generator: new ToyGenerator({ fingerprint: 'toy-2' }) }, /generator: "toy-1", now "toy-2"/],
    ['context', { generator: Object.assign(new ToyGenerator(), { contextSize: 300 }) }, /context: none, now 300/],
    ['queries', { queries: () => QUERIES.slice(1) }, /queries.count: 4, now 3/],
    ['text of a query', { queries: () => QUERIES.map((one) => ({ ...one, text: 'new' })) }, /queries.sha256/],
  ])(
    'refuses to mix with another %s, and names what changed',
    async (_name, change: Partial<CandidateOptions>, words) => {
      await sample();
      const before = await readFile(out);
      const asked = generator.asked.length;
      const error = await sample(change).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(OtherSettingsError);
      expect((error as OtherSettingsError).message).toMatch(words);
      expect(await readFile(out)).toEqual(before);
      expect(generator.asked).toHaveLength(asked);
    },
  );

  it('records in the manifest what the file was made from', async () => {
    await sample();
    expect(await readStageManifest(out)).toMatchObject({
      stage: 'candidates',
      settings: { prompt: { name: 'q2d', text: PROMPTS.q2d.text }, samples: 2, topP: 0.9, queries: { count: 4 } },
      about: { generator: 'toy' },
      result: { queries: 4 },
    });
    await rm(join(folder, 'candidates.manifest.json'));
    await expect(sample()).rejects.toThrow(/no manifest says how/);
  });

  it('holds few queries in memory, however many there are', async () => {
    const count = 300;
    let read = 0;
    let [written, ahead] = [0, 0];
    async function* many() {
      for (let row = 0; row < count; row++) {
        read++;
        yield { id: `q${row}`, text: 'x', documents: ['d'] };
      }
    }
    generator.answer = ({ id, seed }) => {
      written = Math.max(written, Number(/\d+/.exec(id)![0]));
      if (read < count) ahead = Math.max(ahead, read - written);
      return `text ${seed}`;
    };
    let passes = 0;
    await sample({
      queries: () => {
        if (passes++ === 1) read = 0;
        return many();
      },
    });
    expect(passes).toBe(2);
    expect(ahead).toBeLessThan(70);
    expect((await recordsIn(out)).length).toBe(8 * count);
  });

  it('keeps every finished text when it is stopped, and writes only complete queries', async () => {
    await sample();
    const whole = await readFile(out);
    for (const file of ['candidates.jsonl', 'candidates.manifest.json']) await rm(join(folder, file));
    generator = new ToyGenerator();
    const controller = new AbortController();
    generator.answer = ({ seed }) => {
      if (generator.asked.length === 20) controller.abort();
      return `Here is a passage: text ${seed}`;
    };
    await expect(sample({ signal: controller.signal })).rejects.toThrow(
      /stopped with 1 of 4 queries finished, and 8 candidates of other queries/,
    );
    expect(await recordsIn(out)).toHaveLength(8);
    expect(await sample()).toMatchObject({ reused: 1, candidates: 32 });
    expect(generator.asked).toHaveLength(20 + 32 - 16);
    expect(await readFile(out)).toEqual(whole);
    expect(await readdir(folder)).toEqual(['candidates.jsonl', 'candidates.manifest.json']);
  });

  it('does not reuse a text that was made with unknown settings', async () => {
    const controller = new AbortController();
    generator.answer = ({ seed }) => {
      if (generator.asked.length === 20) controller.abort();
      return `text ${seed}`;
    };
    await expect(sample({ signal: controller.signal })).rejects.toThrow(AbortedError);
    for (const file of ['candidates.jsonl', 'candidates.manifest.json']) await rm(join(folder, file));
    await sample({ seed: 1 });
    expect(generator.asked).toHaveLength(20 + 32);
  });

  it('reports a generator that skips a request or answers it twice', async () => {
    generator.answer = ({ id }) => (id === 'a#3' ? undefined : 'text');
    await expect(sample({ queries: () => QUERIES.slice(0, 2) })).rejects.toMatchObject({ id: 'a#3' });
    const doubling = new ToyGenerator();
    const generate = doubling.generate.bind(doubling);
    doubling.generate = async function* (requests) {
      for await (const generation of generate(requests)) yield* [generation, generation];
    };
    await expect(sample({ generator: doubling, out: join(folder, 'other.jsonl') })).rejects.toThrow(ModelError);
  });

  it.each([
    ['a query that occurs twice', { queries: () => [QUERIES[0]!, QUERIES[0]!] }, DataError],
    ['no query', { queries: () => [] }, DataError],
    ['a prompt that reads the gold document', { prompt: PROMPTS.q2a }, UsageError],
    ['no samples', { samples: 0 }, UsageError],
    ['no temperature', { temperatures: [] }, UsageError],
    ['a temperature twice', { temperatures: [1, 1] }, UsageError],
    ['an impossible temperature', { temperatures: [1, -1] }, UsageError],
    ['an impossible nucleus', { sampling: { topP: 0 } }, UsageError],
  ])('refuses %s', async (_name, change: Partial<CandidateOptions>, kind) => {
    await expect(sample(change)).rejects.toThrow(kind);
    expect(generator.asked).toHaveLength(0);
  });

  it('refuses a file that holds a query twice', async () => {
    await sample();
    const text = await readFile(out, 'utf8');
    await writeFile(out, `${text + text.split('\n').slice(0, 8).join('\n')}\n`);
    await expect(sample()).rejects.toMatchObject({ id: 'b', line: 40 });
  });
});

describe('sampleCandidates over servers', () => {
  const servers: ChatServer[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop();
  });

  /** Writes as many texts as requested. */
  async function serve(pause = 0): Promise<ChatServer> {
    const server = await ChatServer.start(async (call) => {
      await sleep(pause);
      return { status: 200, body: { choices: choicesFor(call), usage: { prompt_tokens: 7, completion_tokens: 80 } } };
    });
    servers.push(server);
    return server;
  }

  function choicesFor({ n = 1, seed, temperature }: ChatCall) {
    const content = (index: number) => `${temperature} ${seed} ${index}`;
    return Array.from({ length: n }, (_none, index) => ({
      index,
      message: { content: content(index) },
      finish_reason: 'stop',
    }));
  }

  it('spreads them over two servers, one call for all samples of a temperature', async () => {
    const [one, two] = [await serve(15), await serve(15)];
    const baseUrls = [one.baseUrl, two.baseUrl];
    const remote = await connectGenerator({ baseUrls, model: 'toy', concurrency: 4, useN: true });
    const queries = () =>
      Array.from({ length: 10 }, (_none, row) => ({ id: `q${row}`, text: `${row}?`, documents: ['d'] }));
    const result = await sample({ generator: remote, queries, samples: 8 });
    expect(result).toMatchObject({ queries: 10, candidates: 320, duplicates: 0, tokens: 40 * 80 });
    const calls = [...one.calls, ...two.calls];
    expect(calls).toHaveLength(40);
    expect(calls.every(({ n }) => n === 8)).toBe(true);
    expect(Math.min(one.calls.length, two.calls.length)).toBeGreaterThan(10);
    for (const { text, temperature } of await recordsIn(out)) expect(Number(text.split(' ')[0])).toBe(temperature);
  });

  it('resumes after kill -9 in another process, and loses no finished text', async () => {
    const server = await serve(4);
    const script = `
      import { sampleCandidates, connectGenerator, PROMPTS } from ${JSON.stringify(resolve('dist/generate/index.js'))};
      const generator = await connectGenerator({ baseUrls: [process.argv[1]], model: 'toy', concurrency: 2 });
      const queries = () => Array.from({ length: 8 }, (_none, row) => ({ id: 'q' + row, text: row + '?', documents: ['d'] }));
      console.log(JSON.stringify(await sampleCandidates({ queries, generator, prompt: PROMPTS.q2d, samples: 8, out: process.argv[2] })));`;
    const start = (file: string) =>
      spawn(process.execPath, ['--input-type=module', '-e', script, server.baseUrl, file], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const lines = async (file: string) => (await readFile(file, 'utf8').catch(() => '')).split('\n').length - 1;
    for (const least of [40, 120]) {
      const child = start(out);
      while ((await lines(`${out}.journal`)) < least) await sleep(3);
      child.kill('SIGKILL');
      expect((await once(child, 'exit'))[1]).toBe('SIGKILL');
    }
    const kept = await lines(`${out}.journal`);
    expect(kept).toBeLessThan(8 * 32);
    const written = Math.floor((await lines(out)) / 32);
    const calls = server.calls.length;
    const last = start(out);
    let printed = '';
    last.stdout.on('data', (chunk) => {
      printed += chunk;
    });
    expect(await once(last, 'close')).toEqual([0, null]);
    expect(JSON.parse(printed)).toMatchObject({ queries: 8, reused: written, candidates: 8 * 32 });
    expect(server.calls.length - calls).toBe(8 * 32 - kept);
    const other = join(folder, 'whole.jsonl');
    const remote = await connectGenerator({ baseUrls: [server.baseUrl], model: 'toy' });
    const queries = () =>
      Array.from({ length: 8 }, (_none, row) => ({ id: `q${row}`, text: `${row}?`, documents: ['d'] }));
    await sample({ generator: remote, queries, samples: 8, out: other });
    expect(await readFile(out)).toEqual(await readFile(other));
  });
});
