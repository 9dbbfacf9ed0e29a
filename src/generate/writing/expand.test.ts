import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readExpansions, readQueries } from '../../data/index.ts';
import { OtherSettingsError } from '../../files/index.ts';
import { AbortedError, DataError, SILENT, UsageError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { type ExpandOptions, expandQueries } from './expand.ts';

/** Answers backwards, so the order must come from the ids. Prompt and seed decide a text. */
class ToyGenerator implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly asked: GenerationRequest[] = [];
  contextSize: number | undefined;
  finish: Generation['finish'] = 'stop';
  answer: (request: GenerationRequest) => string | (Partial<Generation> & { text: string });

  constructor(fingerprint = 'toy-1', id = 'toy') {
    this.id = id;
    this.fingerprint = fingerprint;
    this.answer = ({ messages, seed }) => `Here is a passage: ${messages[0]!.content.split('\n')[1]} ${seed}`;
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    const iterator = (requests as AsyncIterable<GenerationRequest>)[Symbol.asyncIterator]();
    let held: GenerationRequest[] = [];
    for (;;) {
      const next = iterator.next();
      // Requests already pulled continue while the next one is awaited: it may depend on their texts.
      if (held.length === 2 || (await Promise.race([next, sleep(5, 'nothing')])) === 'nothing') {
        yield* this.#answerAll(held.reverse(), signal);
        held = [];
      }
      const { value, done } = await next;
      if (done) break;
      held.push(value);
    }
    yield* this.#answerAll(held.reverse(), signal);
  }

  *#answerAll(requests: GenerationRequest[], signal: AbortSignal | undefined) {
    for (const request of requests) {
      if (signal?.aborted) throw new AbortedError();
      this.asked.push(request);
      const facts = { finish: this.finish, promptTokens: 9, completionTokens: 4, milliseconds: 12.4 };
      const answer = this.answer(request);
      yield { id: request.id, ...facts, ...(typeof answer === 'string' ? { text: answer } : answer) };
    }
  }

  async close() {}
}

const QUERIES = ['b', 'a', 'c/0'].map((id) => ({ id, text: `what is ${id}?` }));
let folder: string;
let generator: ToyGenerator;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expand-'));
  generator = new ToyGenerator();
});
afterEach(() => rm(folder, { recursive: true }));

function expand(options: Partial<ExpandOptions> = {}) {
  return expandQueries({
    queries: QUERIES,
    generator,
    prompt: PROMPTS.q2d,
    out: join(folder, 'expansions.jsonl'),
    ...options,
  });
}

describe('expandQueries', () => {
  it("writes expansions in the order of queries and samples, and the queries in BEIR's layout", async () => {
    const { files, statistics } = await expand({ samples: 2 });
    const lines = (await readFile(files.expansions, 'utf8')).trim().split('\n');
    const places = lines.map((line) => JSON.parse(line)).map(({ query, sample }) => `${query} ${sample}`);
    expect(places).toEqual(['b 0', 'b 1', 'a 0', 'a 1', 'c/0 0', 'c/0 1']);
    const expansions = await readExpansions(files.expansions);
    const [first, second] = expansions.get('a')!;
    expect(first!.text).toMatch(/^Question: what is a\? \d+$/);
    expect(first!.raw).toBe(`Here is a passage: ${first!.text}`);
    expect(second!.text).not.toBe(first!.text);
    expect(files.queries).toBe(join(folder, 'queries_q2d.jsonl'));
    const queries = await readQueries(files.queries);
    expect([...queries.keys()]).toEqual(['b', 'a', 'c/0']);
    expect(queries.get('a')).toEqual({ id: 'a', text: 'what is a?', expansions: [first!.text, second!.text] });
    expect(statistics).toMatchObject({ queries: 3, expansions: 6, reused: 0, empty: 0, completionTokens: 24 });
  });

  it('records the log-probability of a text where the generator gives it, also after an interruption', async () => {
    generator.answer = ({ seed }) => ({ text: `${seed}`, logProbability: -0.123456 });
    await expand({ queries: QUERIES.slice(0, 1) });
    generator.answer = () => 'without';
    const { files } = await expand();
    const written = await readExpansions(files.expansions);
    expect(QUERIES.map(({ id }) => written.get(id)![0]!.logProbability)).toEqual([-0.1235, undefined, undefined]);
    expect(await readFile(files.expansions, 'utf8')).toMatch(
      /"completionTokens":4,"logProbability":-0\.1235,"milliseconds":12,/,
    );
  });

  it('counts texts cut by a full context separately from those cut by the token limit', async () => {
    generator.finish = 'length';
    const cuts = async (maxTokens: number) => (await expand({ sampling: { maxTokens }, force: true })).statistics;
    expect(await cuts(5)).toMatchObject({ cutByLength: 3, cutByContext: 0 });
    generator.contextSize = 64;
    expect(await cuts(5)).toMatchObject({ cutByLength: 0, cutByContext: 3 });
    expect(await cuts(4)).toMatchObject({ cutByLength: 3, cutByContext: 0 });
  });

  it('repeats nothing, and writes the same bytes', async () => {
    const { files } = await expand({ samples: 2 });
    const before = await Promise.all([files.expansions, files.queries, files.journal].map((file) => readFile(file)));
    const again = await expand({ samples: 2 });
    expect(generator.asked).toHaveLength(6);
    expect(again.statistics).toMatchObject({ reused: 6, seconds: 0 });
    const after = await Promise.all([files.expansions, files.queries, files.journal].map((file) => readFile(file)));
    expect(after).toEqual(before);
  });

  it('writes only what is missing when queries or samples are added', async () => {
    await expand({ queries: QUERIES.slice(0, 2) });
    await expand({ samples: 2 });
    expect(generator.asked).toHaveLength(2 + 4);
  });

  it.each([
    ['seed', { seed: 1 }, /seed: 42, now 1/],
    ['sampling', { sampling: { temperature: 0.8 } }, /temperature: 1, now 0.8/],
    ['prompt', { prompt: PROMPTS.q2e }, /prompt.name: "q2d", now "q2e"/],
    ['generator', { generator: new ToyGenerator('toy-2') }, /generator: "toy-1", now "toy-2"/],
    ['name of a generator', { generator: new ToyGenerator('toy-2', 'other') }, /by: "toy", now "other"/],
    ['context', { generator: Object.assign(new ToyGenerator(), { contextSize: 300 }) }, /context: none, now 300/],
  ])('replaces nothing that was made with another %s, except with force', async (_name, change, words) => {
    const { files } = await expand();
    const before = await Promise.all([files.expansions, files.queries].map((file) => readFile(file, 'utf8')));
    const refused = await expand(change).catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(OtherSettingsError);
    expect(refused).toMatchObject({
      message: expect.stringMatching(words),
      fix: expect.stringMatching(/--out.*--force/),
    });
    expect(await Promise.all([files.expansions, files.queries].map((file) => readFile(file, 'utf8')))).toEqual(before);
    expect((await expand({ ...change, force: true })).statistics).toMatchObject({ expansions: 3, reused: 0 });
    expect(await readFile(files.expansions, 'utf8')).not.toBe(before[0]);
    // The journal still holds the earlier texts.
    expect((await expand({ force: true })).statistics).toMatchObject({ reused: 3, seconds: 0 });
    expect(await readFile(files.expansions, 'utf8')).toBe(before[0]);
  });

  it('writes a text again if the words of its query changed, and keeps the old one', async () => {
    await expand();
    const other = [{ id: 'b', text: 'new words' }, ...QUERIES.slice(1)];
    expect((await expand({ queries: other })).statistics).toMatchObject({ expansions: 3, reused: 2 });
    expect((await expand()).statistics).toMatchObject({ expansions: 3, reused: 3 });
  });

  it('does not replace files that it did not write', async () => {
    await writeFile(join(folder, 'queries_q2d.jsonl'), 'mine');
    await expect(expand()).rejects.toThrow(/queries_q2d.jsonl: already exists/);
    await rm(join(folder, 'queries_q2d.jsonl'));
    await expand();
    await expect(expand({ out: join(folder, 'second.jsonl') })).rejects.toThrow(/not written with second.jsonl/);
    await rm(join(folder, 'expansions.manifest.json'));
    await rm(join(folder, 'queries_q2d.jsonl'));
    await expect(expand()).rejects.toThrow(/no manifest says how/);
    expect(generator.asked).toHaveLength(3);
    expect((await expand({ force: true })).statistics.reused).toBe(3);
  });

  it('refuses the journal of version 0.1.0, and moves it aside with force', async () => {
    const journal = join(folder, 'expansions.jsonl.journal');
    const line =
      '{"query":"a","sample":0,"text":"old","finish":"stop","promptTokens":1,"completionTokens":1,"key":"k"}\n';
    await writeFile(journal, line);
    await expect(expand()).rejects.toThrow(/earlier version of llm-qe/);
    expect(await readFile(journal, 'utf8')).toBe(line);
    expect((await expand({ force: true })).statistics.reused).toBe(0);
    expect(await readFile(`${journal}.earlier`, 'utf8')).toBe(line);
  });

  it('writes the files again if one is missing, without new requests', async () => {
    const { files } = await expand();
    const before = await readFile(files.queries);
    await rm(files.queries);
    expect((await expand()).statistics.reused).toBe(3);
    expect(await readFile(files.queries)).toEqual(before);
    await rm(files.expansions);
    await expand();
    expect(generator.asked).toHaveLength(3);
  });

  it('requests nothing for blank queries and counts what could not be written', async () => {
    generator.contextSize = 64;
    generator.answer = ({ id }) =>
      id.startsWith('a') ? { text: '', promptTooLong: true } : { text: '', reasoning: 'Let me think' };
    const { statistics, files } = await expand({ queries: [...QUERIES, { id: 'blank', text: ' \n' }] });
    expect(statistics).toMatchObject({
      expansions: 4,
      empty: 4,
      blankQuery: 1,
      promptTooLong: 1,
      unfinishedThought: 2,
    });
    // A prompt that is too long will be too long the second time, so it is not requested again.
    expect(generator.asked.map(({ id }) => id).sort()).toEqual(['a/0', 'b/0', 'b/0', 'c/0/0', 'c/0/0']);
    const expansions = await readExpansions(files.expansions);
    expect(expansions.get('b')![0]).toMatchObject({ text: '', raw: 'Let me think', emptyBecause: 'unfinishedThought' });
    expect(await expand({ queries: [...QUERIES, { id: 'blank', text: ' \n' }] })).toMatchObject({
      statistics: { ...statistics, reused: 4, repeated: 0, seconds: 0, tokensPerSecond: 0 },
    });
  });

  const BLANK = { id: 'blank', text: ' ' };
  it.each([
    ['of an embedded model', 64, QUERIES, /longer than the context of toy \(64 tokens\)/, /--context/],
    ['of a server', undefined, QUERIES, /longer than the context of toy$/, /--max-tokens/],
    ['except blank queries', 64, [...QUERIES, BLANK], /every prompt is longer/, /--context/],
  ])('fails and writes no files if every prompt is too long: %s', async (_name, context, queries, message, fix) => {
    generator.contextSize = context;
    generator.answer = () => ({ text: '', promptTooLong: true });
    for (const _again of [1, 2]) {
      const failed = expand({ queries });
      await expect(failed).rejects.toThrow(message);
      await expect(failed).rejects.toMatchObject({ name: 'DataError', fix: expect.stringMatching(fix) });
      expect(await readdir(folder)).toEqual([]);
    }
    const { statistics } = await expand({ queries, allowNoneFits: true });
    expect(statistics).toMatchObject({ promptTooLong: 3, expansions: queries.length, empty: queries.length });
  });

  it('requests a text that a filter cut once more, with another seed, and keeps nothing of it', async () => {
    generator.answer = ({ id }) => (id === 'a/0' ? { text: 'A to', filtered: true } : 'fine');
    const { statistics, files } = await expand();
    expect(statistics).toMatchObject({ contentFilter: 1, repeated: 1 });
    expect((await readExpansions(files.expansions)).get('a')![0]).toMatchObject({ text: '', raw: 'A to' });
    generator.answer = () => ({ text: '', filtered: true });
    await expect(expand({ force: true, seed: 99 })).rejects.toThrow(/refuses every prompt/);
  });

  it('does not fail if every query is blank, or if one prompt fits', async () => {
    expect((await expand({ queries: [BLANK] })).statistics).toMatchObject({ blankQuery: 1, empty: 1 });
    generator.answer = ({ id }) => (id === 'b/0' ? { text: '' } : { text: '', promptTooLong: true });
    expect((await expand()).statistics).toMatchObject({ promptTooLong: 2, empty: 3 });
  });

  it.each([
    ['too long', { promptTooLong: true }, { promptTooLong: 1 }],
    ['refused by a content filter', { filtered: true }, { contentFilter: 1 }],
  ])(
    'requests what was %s for a server again, and nothing else: the server may have changed',
    async (_name, why, count) => {
      generator.answer = ({ id, seed }) =>
        id === 'a/0' ? { text: '', completionTokens: 0, ...why } : `Here is a passage: ${seed}`;
      expect((await expand()).statistics).toMatchObject({ ...count, empty: 1 });
      expect(generator.asked).toHaveLength(3);
      generator.answer = () => 'fits now';
      generator.asked.length = 0;
      const { statistics, files } = await expand();
      expect(statistics).toMatchObject({ promptTooLong: 0, contentFilter: 0, reused: 2 });
      expect(generator.asked.map(({ id }) => id)).toEqual(['a/0']);
      expect((await readExpansions(files.expansions)).get('a')![0]).toMatchObject({ text: 'fits now' });
    },
  );

  it('holds few queries in memory, however many there are', async () => {
    let [read, widest] = [0, 0];
    generator.answer = () => {
      widest = Math.max(widest, read - generator.asked.length / 32);
      return 'text';
    };
    let passes = 0;
    const many = async function* () {
      passes++;
      for (read = 0; read < 300; read++) yield { id: `q${read}`, text: 'x' };
    };
    expect((await expand({ queries: many, samples: 32 })).statistics.expansions).toBe(9600);
    expect(passes).toBe(2);
    expect(widest).toBeLessThan(70);
  });

  it('resumes after an interruption, with the same result', async () => {
    const controller = new AbortController();
    generator.answer = (request) => {
      if (generator.asked.length === 3) controller.abort();
      return `text ${request.seed}`;
    };
    await expect(expand({ samples: 2, signal: controller.signal })).rejects.toThrow(
      /stopped with 1 of 3 queries finished, and 1 expansion of other queries/,
    );
    generator.answer = (request) => `text ${request.seed}`;
    const { files, statistics } = await expand({ samples: 2 });
    expect(statistics.reused).toBe(3);
    expect(generator.asked).toHaveLength(6);
    const whole = await expand({ samples: 2, out: join(folder, 'whole', 'expansions.jsonl') });
    expect(await readFile(files.expansions)).toEqual(await readFile(whole.files.expansions));
  });

  it('says that an unfinished run with other settings left texts, and keeps them for the same command', async () => {
    const told: string[] = [];
    const progress = { ...SILENT, warn: (line: string) => told.push(line) };
    const interrupt = async (by: ToyGenerator) => {
      const controller = new AbortController();
      by.answer = ({ messages }) => {
        if (by.asked.length === 2) controller.abort();
        return messages[0]!.content;
      };
      await expect(expand({ generator: by, signal: controller.signal, progress })).rejects.toThrow(AbortedError);
    };
    await interrupt(generator);
    expect(told).toEqual([]);
    await interrupt(new ToyGenerator('toy-2'));
    expect(told).toEqual([expect.stringMatching(/texts by another generator or with other settings.*journal/)]);
    expect((await expand({ progress })).statistics.reused).toBeGreaterThan(0);
    expect(told).toHaveLength(1);
  });

  it('requests an empty text once more with another seed, then keeps it', async () => {
    const first = new Set<string>();
    generator.answer = ({ id }) => {
      if (id.startsWith('a')) return "Here's a passage:\n";
      if (id.startsWith('b') && !first.has(id)) {
        first.add(id);
        return ' ';
      }
      return `text of ${id}`;
    };
    const { files, statistics } = await expand();
    expect(statistics).toMatchObject({ repeated: 2, empty: 1 });
    const seeds = generator.asked.filter(({ id }) => id === 'b/0').map(({ seed }) => seed);
    expect(new Set(seeds).size).toBe(2);
    const lines = (await readFile(files.queries, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toEqual({ _id: 'b', text: ['what is b?', 'text of b/0'] });
    expect(lines[1]).toEqual({ _id: 'a', text: 'what is a?' });
    await expand();
    expect(generator.asked).toHaveLength(5);
  });

  it('omits wall times if files must be equal', async () => {
    const { files } = await expand({ timings: false });
    const [one] = (await readExpansions(files.expansions)).get('a')!;
    expect(one!.milliseconds).toBe(0);
  });

  it('keeps the texts that were written before a fault', async () => {
    generator.answer = (request) => {
      if (generator.asked.length === 3) throw new DataError('broken', { fix: 'x' });
      return `text ${request.seed}`;
    };
    await expect(expand()).rejects.toThrow('broken');
    generator.answer = (request) => `text ${request.seed}`;
    expect((await expand()).statistics.reused).toBe(2);
  });

  it.each([
    ['a query that occurs twice', { queries: [QUERIES[0]!, QUERIES[0]!] }, DataError],
    ['a prompt without its document', { prompt: PROMPTS.q2a }, DataError],
    ['an impossible temperature', { sampling: { temperature: -1 } }, UsageError],
    ['an impossible nucleus', { sampling: { topP: 0 } }, UsageError],
    ['no samples', { samples: 0 }, UsageError],
  ])('refuses %s', async (_name, change: Partial<ExpandOptions>, kind) => {
    await expect(expand(change)).rejects.toThrow(kind);
    expect(generator.asked).toHaveLength(0);
  });
});
