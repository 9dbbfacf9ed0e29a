import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readExpansions, readQueries } from '../../data/index.ts';
import { AbortedError, DataError, UsageError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { type ExpandOptions, expandQueries } from './expand.ts';

/** Answers backwards, so that order must come from ids; a text is decided by prompt and seed. */
class ToyGenerator implements Generator {
  readonly id = 'toy';
  readonly fingerprint: string;
  readonly asked: GenerationRequest[] = [];
  contextSize: number | undefined;
  finish: Generation['finish'] = 'stop';
  answer: (request: GenerationRequest) => string;

  constructor(fingerprint = 'toy-1') {
    this.fingerprint = fingerprint;
    this.answer = ({ messages, seed }) => `Here is a passage: ${messages[0]!.content.split('\n')[1]} ${seed}`;
  }

  async *generate(requests: Iterable<GenerationRequest>, signal?: AbortSignal): AsyncGenerator<Generation> {
    for (const request of [...requests].reverse()) {
      if (signal?.aborted) throw new AbortedError();
      this.asked.push(request);
      const text = this.answer(request);
      yield { id: request.id, text, finish: this.finish, promptTokens: 9, completionTokens: 4, milliseconds: 12.4 };
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
  it('writes expansions in the order of queries and samples, and the queries in the layout of BEIR', async () => {
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

  it('counts texts that a full context cut apart from those that reached the limit', async () => {
    generator.finish = 'length';
    const cuts = async (maxTokens: number) => (await expand({ sampling: { maxTokens } })).statistics;
    expect(await cuts(5)).toMatchObject({ cutByLength: 3, cutByContext: 0 });
    generator.contextSize = 64;
    expect(await cuts(5)).toMatchObject({ cutByLength: 0, cutByContext: 3 });
    expect(await cuts(4)).toMatchObject({ cutByLength: 3, cutByContext: 0 });
  });

  it('repeats nothing, and does so to the byte', async () => {
    const { files } = await expand({ samples: 2 });
    const before = await Promise.all([files.expansions, files.queries, files.journal].map((file) => readFile(file)));
    const again = await expand({ samples: 2 });
    expect(generator.asked).toHaveLength(6);
    expect(again.statistics).toMatchObject({ reused: 6, seconds: 0 });
    const after = await Promise.all([files.expansions, files.queries, files.journal].map((file) => readFile(file)));
    expect(after).toEqual(before);
  });

  it('makes only what is missing when queries or samples are added', async () => {
    await expand({ queries: QUERIES.slice(0, 2) });
    await expand({ samples: 2 });
    expect(generator.asked).toHaveLength(2 + 4);
  });

  it.each([
    ['seed', { seed: 1 }],
    ['sampling', { sampling: { temperature: 0.8 } }],
    ['prompt', { prompt: PROMPTS.q2e }],
    ['generator', { generator: new ToyGenerator('toy-2') }],
    ['query', { queries: [{ id: 'a', text: 'other?' }] }],
  ])('does not mix in what was made with another %s', async (_name, change: Partial<ExpandOptions>) => {
    await expand({ queries: [QUERIES[1]!] });
    const { statistics } = await expand({ queries: [QUERIES[1]!], ...change });
    expect(statistics.reused).toBe(0);
  });

  it('goes on after an interruption, with the same result', async () => {
    const controller = new AbortController();
    generator.answer = (request) => {
      if (generator.asked.length === 3) controller.abort();
      return `text ${request.seed}`;
    };
    await expect(expand({ samples: 2, signal: controller.signal })).rejects.toThrow(/stopped with 3 of 6/);
    generator.answer = (request) => `text ${request.seed}`;
    const { files, statistics } = await expand({ samples: 2 });
    expect(statistics.reused).toBe(3);
    expect(generator.asked).toHaveLength(6);
    const whole = await expand({ samples: 2, out: join(folder, 'whole', 'expansions.jsonl') });
    expect(await readFile(files.expansions)).toEqual(await readFile(whole.files.expansions));
  });

  it('asks once more for an empty text, with another seed, then keeps it', async () => {
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

  it('leaves wall times out where files are to be equal', async () => {
    const { files } = await expand({ timings: false });
    const [one] = (await readExpansions(files.expansions)).get('a')!;
    expect(one!.milliseconds).toBe(0);
  });

  it('keeps what came before a fault', async () => {
    generator.answer = (request) => {
      if (generator.asked.length === 3) throw new DataError('broken', { fix: 'x' });
      return `text ${request.seed}`;
    };
    await expect(expand()).rejects.toThrow('broken');
    generator.answer = (request) => `text ${request.seed}`;
    expect((await expand()).statistics.reused).toBe(2);
  });

  it.each([
    ['a query that comes twice', { queries: [QUERIES[0]!, QUERIES[0]!] }, DataError],
    ['a prompt without its document', { prompt: PROMPTS.q2a }, DataError],
    ['an impossible temperature', { sampling: { temperature: -1 } }, UsageError],
    ['an impossible nucleus', { sampling: { topP: 0 } }, UsageError],
    ['no samples', { samples: 0 }, UsageError],
  ])('refuses %s', async (_name, change: Partial<ExpandOptions>, kind) => {
    await expect(expand(change)).rejects.toThrow(kind);
    expect(generator.asked).toHaveLength(0);
  });
});
