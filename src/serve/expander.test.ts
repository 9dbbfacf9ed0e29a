import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Behaviour, ChatServer, completion, refusal } from '../../test/support/chat-server.ts';
import type { EncodeOptions, Encoder, TextRole } from '../embed/index.ts';
import { connectGenerator, type Generator } from '../generate/index.ts';
import { createExpander } from './expander.ts';
import type { ExpanderOptions } from './expander-options.ts';
import { ExpansionStore } from './expansion-store.ts';

/** Vectors that tell apart texts and roles, and calls that are counted. */
class CountingEncoder implements Encoder {
  readonly id = 'counting';
  readonly fingerprint = 'counting';
  readonly dimensions = 2;
  readonly settings = {};
  readonly calls: { texts: string[]; role: TextRole }[] = [];
  waits: Promise<void> = Promise.resolve();

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    this.calls.push({ texts: [...texts], role });
    await sleep(1);
    await this.waits;
    for (const [row, text] of texts.entries()) options.onTokens?.(row, text.length);
    return Float32Array.from(texts.flatMap((text) => [text.length, role === 'query' ? 1 : 2]));
  }

  async close() {}
}

let folder: string;
const opened: { close(): unknown }[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expander-'));
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(behaviour: Behaviour = () => undefined, options: Partial<ExpanderOptions> = {}) {
  const server = await ChatServer.start(behaviour);
  opened.push({ close: () => server.stop() });
  const generator = await connectGenerator({ baseUrls: [server.baseUrl], retries: 0 });
  const encoder = new CountingEncoder();
  const expander = createExpander({ encoder, generator, store: { folder }, budgetMs: 60_000, ...options });
  opened.push(expander);
  return { server, encoder, expander };
}

/** A server that writes ten words, and the others when it is told to. */
function pausing() {
  let goOn = (): void => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const behaviour: Behaviour = async (_call, _number, _request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [at, content] of WORDS.entries()) {
      if (at === 10) await gate;
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
    }
    response.end('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
    return undefined;
  };
  return { behaviour, goOn };
}

const WORDS = Array.from({ length: 40 }, (_, at) => `word${at} `);
const QUERY = 'how old are stone bridges';

test('a query is expanded, embedded with its expansion, and found in the cache the next time, in another process too', async () => {
  const { server, encoder, expander } = await open();
  const first = await expander.embedQuery(QUERY);
  expect(first).toMatchObject({ state: 'generated', alpha: 0.5, tokens: 5 });
  const [text] = first.texts;
  expect(text).toMatch(/^on Please write a passage/);
  expect(first.vector).toEqual(Float32Array.of((QUERY.length + text!.length) / 2, 1));
  expect(encoder.calls).toEqual([{ texts: [QUERY, text], role: 'query' }]);
  expect(await expander.expand(QUERY)).toMatchObject({ state: 'hit', texts: first.texts });
  const again = await open(() => refusal(500, 'down'));
  // It reaches the disk after the answer.
  await expect.poll(() => again.expander.expand(QUERY)).toMatchObject({ state: 'hit', texts: first.texts });
  expect(server.calls).toHaveLength(1);
});

test('a caller that brings no expansion at all gets none from the LLM either', async () => {
  const { server, expander } = await open();
  for (const expansions of [[], ['', ' ']]) {
    expect(await expander.embedQuery(QUERY, { expansions })).toMatchObject({
      ...{ state: 'given', texts: [], alpha: 0, vector: Float32Array.of(QUERY.length, 1) },
    });
  }
  expect(server.calls).toEqual([]);
});

test('an LLM that writes without end is stopped', async () => {
  let isStopped = false;
  const { expander } = await open(
    (_call, _number, _request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const line = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'blah '.repeat(40) } }] })}\n\n`;
      const write = () => {
        if (response.destroyed) isStopped = true;
        else if (response.write(line)) setImmediate(write);
        else response.once('drain', write).once('close', write);
      };
      write();
      return undefined;
    },
    { sampling: { maxTokens: 16 }, budgetMs: 60_000 },
  );
  const { state, reason, texts } = await expander.expand(QUERY);
  expect({ state, reason }).toEqual({ state: 'partial', reason: 'the LLM failed' });
  expect(texts[0]!.length).toBeLessThanOrEqual(1600);
  await expect.poll(() => isStopped).toBe(true);
});

test('long texts fill the memory no more than short ones', async () => {
  const store = new ExpansionStore({ folder });
  const entry = (at: number) => ({ query: `${at}`, texts: ['x'.repeat(2 ** 23)], tokens: 1 });
  for (const at of [1, 2, 3, 4]) await store.put(`${at}${at}`, entry(at));
  await rm(folder, { recursive: true });
  const found = await Promise.all(['11', '22', '33', '44'].map((key) => store.get(key)));
  expect(found.map((one) => one?.query)).toEqual([undefined, '2', '3', '4']);
});

test('documents are embedded as documents, and never expanded', async () => {
  const { server, expander } = await open();
  expect(await expander.embedDocuments([QUERY, 'a'])).toEqual(Float32Array.of(QUERY.length, 2, 1, 2));
  expect(server.calls).toEqual([]);
});

describe('at the end of the budget', () => {
  test('what is written counts by its length, and the whole text is there for the next call', async () => {
    const { behaviour, goOn } = pausing();
    const { expander } = await open(behaviour, { wordsOfWhole: 20 });
    const grown: string[] = [];
    const partial = await expander.expand(QUERY, { budgetMs: 1500, onTexts: ([text]) => grown.push(text!) });
    expect(partial).toMatchObject({
      state: 'partial',
      reason: 'too slow',
      texts: [WORDS.slice(0, 10).join('').trim()],
    });
    expect(partial.alpha).toBeCloseTo((0.5 * 10) / 20, 6);
    expect(grown.at(-1)).toBe(partial.texts[0]);
    goOn();
    const whole = await expander.expand(QUERY);
    expect(whole).toMatchObject({ texts: [WORDS.join('').trim()], alpha: 0.5 });
  });

  test('without a word, the query is embedded as it is, or by the student', async () => {
    const slow: Behaviour = () => sleep(60_000, undefined, { ref: false });
    const { expander } = await open(slow);
    expect(await expander.embedQuery(QUERY, { budgetMs: 20 })).toMatchObject({
      ...{ state: 'fallback', reason: 'too slow', alpha: 0, vector: Float32Array.of(QUERY.length, 1) },
    });
    const student = new CountingEncoder();
    const taught = await open(slow, { student });
    expect(await taught.expander.embedQuery(QUERY, { budgetMs: 20 })).toMatchObject({ state: 'student' });
    expect([student.calls.length, taught.encoder.calls.length]).toEqual([1, 0]);
  });

  test('a budget of 0 never asks the LLM', async () => {
    const { server, expander } = await open();
    expect(await expander.expand(QUERY, { budgetMs: 0 })).toMatchObject({ state: 'fallback', reason: 'no budget' });
    expect(server.calls).toEqual([]);
  });

  test.each([Number.POSITIVE_INFINITY, 2 ** 40])('a budget of %s ms waits for the text', async (budgetMs) => {
    const { expander } = await open();
    expect(await expander.expand(QUERY, { budgetMs })).toMatchObject({ state: 'generated' });
  });

  test('a budget that is no number never asks the LLM', async () => {
    const { server, expander } = await open();
    expect(await expander.expand(QUERY, { budgetMs: Number.NaN })).toMatchObject({ reason: 'no budget' });
    expect(server.calls).toEqual([]);
  });

  test('the text is not completed if nothing keeps it', async () => {
    let isGone = false;
    const { behaviour, goOn } = pausing();
    const { expander } = await open(
      (call, number, request, response) => {
        response.on('close', () => {
          isGone = !response.writableFinished;
          goOn();
        });
        return behaviour(call, number, request, response);
      },
      { store: false },
    );
    const leaves = new AbortController();
    const left = expander.expand(QUERY, { signal: leaves.signal, onTexts: () => leaves.abort() });
    await expect(left).rejects.toMatchObject({ name: 'AbortedError' });
    await expect.poll(() => isGone).toBe(true);
  });
});

describe('the failure of the LLM is not that of the query', () => {
  test.each<[string, Behaviour, string]>([
    ['an error', () => refusal(500, 'down'), 'the LLM failed'],
    ['a refusal', () => refusal(401, 'no key'), 'the LLM failed'],
    ['an empty text', () => ({ status: 200, body: { choices: [{ message: { content: ' ' } }] } }), 'nothing written'],
    [
      'a thought without an end',
      () => ({ status: 200, body: { choices: [{ message: { content: '<think>Hm' } }] } }),
      'nothing written',
    ],
  ])('%s', async (_what, behaviour, reason) => {
    const { expander } = await open(behaviour);
    expect(await expander.expand(QUERY)).toMatchObject({ state: 'fallback', reason, texts: [] });
    // It is not kept.
    expect((await expander.expand(QUERY)).state).toBe('fallback');
  });

  test('one query that fails leaves the others alone', async () => {
    const { expander } = await open(async (call) => {
      if (call.messages[0]!.content.includes('bad')) return refusal(400, 'no');
      await sleep(20);
      return { status: 200, body: completion(call) };
    });
    const states = await Promise.all(
      ['bad bridges are these', 'good bridges are these'].map((one) => expander.expand(one)),
    );
    expect(states.map(({ state }) => state)).toEqual(['fallback', 'generated']);
  });
});

test('equal queries of the same moment share one text; a full queue expands no more', async () => {
  // Without a store no query waits for the disk, so their order is that of the calls.
  const { server, expander } = await open(() => sleep(50, undefined), { mostTexts: 2, store: false });
  const all = [QUERY, QUERY, 'the second of the bridges', 'the third of the bridges'].map((one) =>
    expander.expand(one),
  );
  const outcomes = await Promise.all(all);
  expect(outcomes.map(({ state, reason }) => reason ?? state)).toEqual(['generated', 'generated', 'generated', 'busy']);
  expect(server.calls).toHaveLength(2);
});

test('the caller of one of two equal queries leaves: the other gets the text', async () => {
  const { expander } = await open(() => sleep(60, undefined), { store: false });
  const leaves = new AbortController();
  const [left, stays] = [expander.expand(QUERY, { signal: leaves.signal }), expander.expand(QUERY)];
  leaves.abort();
  await expect(left).rejects.toMatchObject({ name: 'AbortedError' });
  expect((await stays).state).toBe('generated');
});

test('expansions of the caller are used, and no LLM is asked', async () => {
  const { server, expander } = await open();
  expect(await expander.expand(QUERY, { expansions: ['own', ' '] })).toMatchObject({ state: 'given', texts: ['own'] });
  expect(server.calls).toEqual([]);
});

test.each([
  ['"exact words" of a song', 'quoted'],
  ['ERR_CONNECTION_REFUSED', 'identifier'],
  ['src/main.ts', 'identifier'],
  ['getUserById', 'identifier'],
  ['Marie Curie', 'name'],
  ['  ', 'blank'],
])('%s is left alone', async (query, reason) => {
  const { server, expander } = await open();
  expect(await expander.expand(query)).toMatchObject({ state: 'skipped', reason });
  expect(server.calls).toEqual([]);
});

test('other queries are not', async () => {
  const { expander } = await open();
  for (const query of ['who was Marie Curie', 'bridge', 'rotate a key in 2024']) {
    expect((await expander.expand(query)).state, query).toBe('generated');
  }
});

test('a damaged file of the cache is written anew, and the oldest are removed when there are too many', async () => {
  const { server, expander } = await open(undefined, { store: { folder, limit: 2 } });
  await expander.expand(QUERY);
  const files = async () => (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.json'));
  await expect.poll(files).toHaveLength(1);
  await writeFile(join(folder, (await files())[0]!), '{"texts": [1]}');
  const second = await open(undefined, { store: { folder, limit: 2 } });
  expect((await second.expander.expand(QUERY)).state).toBe('generated');
  expect([server.calls.length, second.server.calls.length]).toEqual([1, 1]);
});

test('an embedded LLM gets later requests in the run in progress', async () => {
  let runs = 0;
  const generator: Generator = {
    ...{ id: 'embedded', fingerprint: 'embedded', contextSize: 100, isExclusive: true },
    async *generate(requests, signal) {
      runs++;
      for await (const { id, messages, until } of requests) {
        if (signal?.aborted) return;
        const text = `about ${messages[0]!.content.slice(-4)}`;
        yield {
          id,
          text,
          finish: 'stop',
          promptTokens: 1,
          completionTokens: 2,
          milliseconds: 1,
          ...(until?.aborted && { stopped: true }),
        };
      }
    },
    async close() {},
  };
  const expander = createExpander({ encoder: new CountingEncoder(), generator, store: false, budgetMs: 1000 });
  opened.push(expander);
  const first = await Promise.all(['the first one', 'the other two'].map((one) => expander.expand(one)));
  expect((await expander.expand('the third one')).state).toBe('generated');
  expect([runs, ...first.map(({ state }) => state)]).toEqual([1, 'generated', 'generated']);
});

test('what is asked again is not embedded again, and the tokens are told all the same', async () => {
  const { encoder, expander } = await open();
  const [first, again] = [await expander.embedQuery(QUERY), await expander.embedQuery(QUERY)];
  expect(again).toMatchObject({ state: 'hit', encodedTokens: first.encodedTokens });
  expect(again.vector).toEqual(first.vector);
  expect(encoder.calls).toHaveLength(1);
  for (const _time of [1, 2]) await expander.embedDocuments([QUERY]);
  expect(encoder.calls).toHaveLength(3);
});

test('what is known does not wait for others', async () => {
  const { encoder, expander } = await open(undefined, { rule: () => 'as it is' });
  await expander.embedQuery(QUERY);
  let goOn = (): void => {};
  encoder.waits = new Promise((resolve) => {
    goOn = resolve;
  });
  const documents = expander.embedDocuments(['a long one']);
  await expander.embedQuery(QUERY);
  goOn();
  await documents;
  expect(encoder.calls.map(({ role }) => role)).toEqual(['query', 'document']);
});

test('long lists of documents are embedded in pieces, between which queries have their turn', async () => {
  const { encoder, expander } = await open(undefined, { rule: () => 'as it is' });
  let goOn = (): void => {};
  encoder.waits = new Promise((resolve) => {
    goOn = resolve;
  });
  const texts = Array.from({ length: 300 }, (_none, at) => 'x'.repeat(at % 50));
  const documents = expander.embedDocuments([...texts, 'long '.repeat(2000), 'longer '.repeat(2000)]);
  await expect.poll(() => encoder.calls.length).toBe(1);
  const query = expander.embedQuery(QUERY);
  await expect.poll(() => expander.waitingTexts).toBe(302 - 128 + 1);
  goOn();
  expect((await query).vector).toEqual(Float32Array.of(QUERY.length, 1));
  const lengths = [...texts.map(({ length }) => length), 10_000, 14_000];
  expect(await documents).toEqual(Float32Array.from(lengths.flatMap((length) => [length, 2])));
  expect(encoder.calls.map((call) => [call.role, call.texts.length])).toEqual([
    ['document', 128],
    ['query', 1],
    ['document', 128],
    ['document', 45],
    ['document', 1],
  ]);
});
