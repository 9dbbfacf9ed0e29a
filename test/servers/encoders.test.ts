import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectEncoder, type Encoder, type RemoteEncoderOptions } from '../../src/embed/index.ts';
import { LengthMemory } from '../../src/embed/length-memory.ts';
import { LlmQeError, type Progress } from '../../src/system/index.ts';
import {
  embeddings,
  isProbe,
  type Scenario,
  type ScenarioCall,
  type ScenarioReply,
  ScenarioServer,
  vectorOf,
} from '../support/scenario-server.ts';

const TEXTS = Array.from({ length: 70 }, (_, index) => `text ${index}`);
const refuse = (status: number, body: unknown, headers: Record<string, string> = {}): ScenarioReply => ({
  status,
  body,
  headers,
});

const scenarios: Record<string, Scenario> = {};
/** Registers a scenario and returns its name. */
function scenario(behaviour: Scenario): string {
  const name = `s${Object.keys(scenarios).length}`;
  scenarios[name] = behaviour;
  return name;
}

let server: ScenarioServer;
let cache: string;
beforeAll(async () => {
  server = await ScenarioServer.start(scenarios);
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-encoders-'));
});
afterAll(async () => {
  await server.stop();
  await rm(cache, { recursive: true });
});

const warnings: string[] = [];
const progress: Progress = {
  task: () => ({ advance() {}, skip() {}, note() {}, done() {} }),
  warn: (line) => warnings.push(line),
};

function connect(name: string, options: Partial<RemoteEncoderOptions> = {}): Promise<Encoder> {
  return connectEncoder({ baseUrl: server.at(name), model: 'm', progress, cache, retries: 0, ...options });
}

async function encode(name: string, texts: readonly string[], options: Partial<RemoteEncoderOptions> = {}) {
  const encoder = await connect(name, options);
  const vectors = await encoder.encode(texts, 'document');
  return { encoder, rows: texts.map((_, row) => [...vectors.subarray(4 * row, 4 * row + 4)]) };
}

async function faultOf(name: string, texts: readonly string[] = ['one', 'two', 'three'], options = {}) {
  const error: unknown = await encode(name, texts, options).then(
    () => new Error('no fault'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LlmQeError);
  expect((error as Error).message.length).toBeLessThan(500);
  expect((error as Error).message).not.toContain('\n');
  return error as LlmQeError;
}

/** Answers if the call satisfies the server's limits, and refuses otherwise. */
function takes(fits: (call: ScenarioCall) => boolean, refusal: (call: ScenarioCall) => ScenarioReply): string {
  return scenario((call) => (fits(call) ? embeddings(call) : refusal(call)));
}

describe('limits on a batch are detected and remembered', () => {
  const few = (most: number) => (call: ScenarioCall) => call.body.input.length <= most;
  it.each<[string, number, ScenarioReply | ((call: ScenarioCall) => ScenarioReply), number]>([
    [
      'TEI',
      32,
      ({ body }: ScenarioCall) =>
        refuse(422, {
          message: `batch size ${body.input.length} > maximum allowed batch size 32`,
          code: 422,
          type: 'Validation',
        }),
      32,
    ],
    [
      'TEI, natively',
      32,
      ({ body }: ScenarioCall) =>
        refuse(422, {
          error: `batch size ${body.input.length} > maximum allowed batch size 32`,
          error_type: 'Validation',
        }),
      32,
    ],
    [
      'a page from a proxy',
      20,
      refuse(413, '<html><head><title>413 Request Entity Too Large</title></head></html>'),
      16,
    ],
    ['no words at all', 5, refuse(413, ''), 4],
    [
      'FastAPI',
      10,
      refuse(422, {
        detail: [{ loc: ['body', 'input'], msg: 'List should have at most 10 items after validation, not 64' }],
      }),
      10,
    ],
    ["OpenAI's words for more than it takes", 16, refuse(400, { error: { message: "'$.input' is invalid." } }), 16],
    ['Gemini', 16, refuse(400, { error: { message: 'at most 100 requests can be in one batch' } }), 16],
    ['memory', 8, refuse(500, { error: { message: 'CUDA out of memory. Tried to allocate 2 GiB' } }), 8],
    ['OpenAI', 16, refuse(400, { error: { message: "'$.input' is too long. Maximum number of items is 16." } }), 16],
    [
      'a sum of tokens',
      12,
      refuse(400, { error: { message: 'Requested 310000 tokens, max 300000 tokens per request' } }),
      8,
    ],
    [
      'a rate that no wait would meet',
      12,
      refuse(429, { error: { message: 'Request too large for m on tokens per min' } }, { 'retry-after': '3600' }),
      8,
    ],
    ['a fault under status 200', 16, { body: { error: { message: 'too many inputs, at most 16', code: 400 } } }, 16],
  ])('of %s', async (_name, most, refusal, learnt) => {
    const name = takes(few(most), typeof refusal === 'object' ? () => refusal : (refusal as never));
    const { rows, encoder } = await encode(name, TEXTS, { concurrency: 1 });
    expect(rows).toEqual(TEXTS.map(vectorOf));
    const before = server.calls(name).length;
    await encoder.encode(TEXTS, 'query');
    const sizes = server
      .calls(name)
      .slice(before)
      .map(({ body }) => body.input.length);
    expect(Math.max(...sizes)).toBe(learnt);
    expect(sizes).toHaveLength(Math.ceil(70 / learnt));
  });

  it.concurrent.each<[string, ScenarioReply]>([
    ['a bare 500', refuse(500, '')],
    ['a gateway', refuse(502, '<html><title>502 Bad Gateway</title></html>')],
    ['a lost connection', (response) => response.socket!.destroy()],
    ['half an answer', { body: '{"data": [' }],
  ])('by %s, once a smaller batch is accepted twice', async (_name, refusal) => {
    const name = takes(few(20), () => refusal);
    const { rows, encoder } = await encode(name, TEXTS, { concurrency: 1, batchSize: 30 });
    expect(rows).toEqual(TEXTS.map(vectorOf));
    const before = server.calls(name).length;
    await encoder.encode(TEXTS, 'query');
    expect(
      server
        .calls(name)
        .slice(before)
        .map(({ body }) => body.input.length),
    ).toEqual([15, 15, 15, 15, 10]);
  });

  it.concurrent('not if a server is down for a while', async () => {
    let down = 3;
    const name = scenario((call) => (isProbe(call) || down-- <= 0 ? embeddings(call) : refuse(500, '')));
    const { rows } = await encode(name, TEXTS, { concurrency: 1, batchSize: 35, retries: 2 });
    expect(rows).toEqual(TEXTS.map(vectorOf));
    // The batch twice, one text of it, then the batch and its successor whole.
    expect(
      server
        .calls(name)
        .slice(1)
        .map(({ body }) => body.input.length),
    ).toEqual([35, 35, 1, 35, 35]);
  });

  it.concurrent.each<[string, ScenarioReply]>([
    ['FastAPI', refuse(422, { detail: [{ loc: ['body', 'input'], msg: 'Input should be a valid string' }] })],
    ['Go', refuse(400, { error: 'json: cannot unmarshal array into Go struct field Request.input of type string' })],
    ['Rust', refuse(400, 'input: invalid type: sequence, expected a string')],
    ['one that explains nothing', refuse(400, '')],
    ['one that fails', refuse(500, 'Internal Server Error')],
  ])('of a server that takes only one text, not a list: %s', async (_name, refusal) => {
    const name = scenario((call) => {
      const { input } = call.body as { input: unknown };
      return typeof input === 'string' ? embeddings({ ...call, body: { ...call.body, input: [input] } }) : refusal;
    });
    const { rows, encoder } = await encode(name, TEXTS.slice(0, 6), { concurrency: 1 });
    expect(rows).toEqual(TEXTS.slice(0, 6).map(vectorOf));
    const before = server.calls(name).length;
    await encoder.encode(TEXTS, 'query');
    expect(server.calls(name)).toHaveLength(before + TEXTS.length);
  });

  it.concurrent('of a server that embeds only the first text of a list', async () => {
    const name = scenario((call) =>
      embeddings({ ...call, body: { ...call.body, input: call.body.input.slice(0, 1) } }),
    );
    const { rows } = await encode(name, TEXTS, { concurrency: 1 });
    expect(rows).toEqual(TEXTS.map(vectorOf));
  });

  it("obeys the caller's limit", async () => {
    const name = takes(few(7), () => refuse(500, 'no'));
    expect((await encode(name, TEXTS, { batchSize: 7 })).rows).toEqual(TEXTS.map(vectorOf));
  });

  it('quotes a refusal that a smaller batch does not avoid', async () => {
    const name = scenario((call) =>
      isProbe(call) ? embeddings(call) : refuse(400, { detail: 'model m is not an embedding model' }),
    );
    expect((await faultOf(name, TEXTS)).message).toMatch(/status 400: model m is not an embedding model/);
  });
});

describe('a text that is longer than the server accepts', () => {
  it('is predicted after a few, so that each of the others costs one call at most', async () => {
    const long = Array.from({ length: 120 }, (_, index) => `${index} ${'word '.repeat(60 + (index % 40))}`);
    const fits = ({ body }: ScenarioCall) => body.input.every((text) => text.length <= 200);
    const name = takes(fits, () => refuse(400, { message: "This model's maximum context length is 40 tokens" }));
    const { encoder } = await encode(name, long, { concurrency: 1, batchSize: 20 });
    const calls = server.calls(name).length;
    expect(calls).toBeLessThan(70);
    await encoder.encode(long, 'query');
    expect(server.calls(name).length - calls).toBeLessThan(120 / 3);
  });

  it('does not make longer texts lose their end that the server accepts', () => {
    const memory = new LengthMemory();
    for (const dense of [600, 700, 650]) memory.tookCut(dense, 300);
    expect([memory.lengthFor(500), memory.lengthFor(2000)]).toEqual([500, 300]);
    const tried = Array.from({ length: 64 }, () => memory.lengthFor(2000));
    expect(tried.filter((length) => length === 2000)).toHaveLength(1);
    memory.tookWhole(2000);
    expect(memory.lengthFor(1900)).toBe(1900);
    expect(memory.lengthFor(2100)).toBe(2000);
  });

  const sizesAfter = async (name: string) => {
    const { encoder } = await encode(name, ['x'.repeat(400), ...TEXTS], { concurrency: 1 });
    const before = server.calls(name).length;
    await encoder.encode(TEXTS, 'document');
    return server
      .calls(name)
      .slice(before)
      .map(({ body }) => body.input.length);
  };
  const short = ({ body }: ScenarioCall) => body.input.every((text) => text.length <= 100);
  it.each([
    [400, { error: { message: "This model's maximum context length is 512 tokens" } }],
    [413, { error: '`inputs` must have less than 512 tokens. Given: 1000', error_type: 'Validation' }],
    [500, { error: 'the input length exceeds the context length' }],
    [500, { error: { message: 'input is too large to process. increase the physical batch size' } }],
  ])('is cut at its end, and no other text is (%i %j)', async (status, body) => {
    const name = takes(short, () => refuse(status, body));
    const long = 'x'.repeat(400);
    warnings.length = 0;
    const { rows } = await encode(name, [...TEXTS.slice(0, 9), long]);
    expect(rows.slice(0, 9)).toEqual(TEXTS.slice(0, 9).map(vectorOf));
    expect(rows[9]).toEqual(vectorOf('x'.repeat(95)));
    expect(warnings).toEqual([expect.stringMatching(/longer than its server accepts are truncated/)]);
    // One such text says nothing of how many others fit into a call.
    expect(Math.max(...(await sizesAfter(name)))).toBe(64);
  });
});

describe('vectors', () => {
  const answer = (data: (input: string[]) => unknown, ...first: Scenario[]) =>
    scenario((call) => (isProbe(call) ? (first[0] ?? embeddings)(call) : { body: { data: data(call.body.input) } }));
  const all = (vector: (text: string, index: number) => unknown) =>
    answer((input) => input.map((text, index) => ({ index, embedding: vector(text, index) })));

  it.each<[string, string]>([
    [
      'in another order',
      answer((input) => input.map((text, index) => ({ index, embedding: vectorOf(text) })).reverse()),
    ],
    ['without an index', answer((input) => input.map((text) => ({ embedding: vectorOf(text) })))],
    [
      'with an index that is null',
      answer((input) => input.map((text) => ({ index: null, embedding: vectorOf(text) }))),
    ],
    ['as base64', all((text) => Buffer.from(new Float32Array(vectorOf(text)).buffer).toString('base64'))],
    [
      'with an index in quotes',
      answer((input) => input.map((text, index) => ({ index: `${index}`, embedding: vectorOf(text) })).reverse()),
    ],
    ['in a list of their own', all((text) => [vectorOf(text)])],
    [
      'without encoding_format',
      takes(
        ({ body }) => !('encoding_format' in body),
        () => refuse(422, { detail: [{ loc: ['body', 'encoding_format'], msg: 'Extra inputs are not permitted' }] }),
      ),
    ],
  ])('%s are accepted', async (_name, name) => {
    expect((await encode(name, TEXTS)).rows).toEqual(TEXTS.map(vectorOf));
  });

  it.each<[string, string, RegExp]>([
    [
      'null',
      all((_, index) => (index === 1 ? new Array(4).fill(null) : [1, 2, 3, 4])),
      /text 2 of 3 \("two"\) holds null or NaN at place 0 \(and 3 more such\)/,
    ],
    ['a thousand nulls', all(() => new Array(1024).fill(null)), /text 1 of 3 .*1,023 more/],
    [
      'NaN, which JSON lacks',
      scenario((call) =>
        isProbe(call)
          ? embeddings(call)
          : {
              body: `{"data":[{"index":0,"embedding":[1,NaN,0,0]},{"index":1,"embedding":[1]},{"index":2,"embedding":[1]}]}`,
            },
      ),
      /text 1 of 3 \("one"\) holds null or NaN at place 1/,
    ],
    [
      'infinity, packed',
      all(() => Buffer.from(new Float32Array([1, Number.POSITIVE_INFINITY, 0, 0]).buffer).toString('base64')),
      /holds Infinity at place 1/,
    ],
    ['a number beyond 32 bits', all(() => [1e39, 0, 0, 0]), /holds Infinity at place 0/],
    ['words', all(() => ['a', 'b', 'c', 'd']), /holds "a" at place 0/],
    [
      'another width in the middle of the work',
      all((_, index) => (index === 2 ? [1, 2] : [1, 2, 3, 4])),
      /text 3 of 3 \("three"\) has 2 dimensions, and the first vector of the model has 4/,
    ],
    ['no numbers', all(() => []), /is not a list of numbers/],
    [
      'one vector too few',
      answer((input) => input.slice(1).map((text, index) => ({ index, embedding: vectorOf(text) }))),
      /text 3 of 3 \("three"\) is missing \(2 vectors for 3 texts\)/,
    ],
    [
      'null for one of them',
      answer((input) => input.map((text, index) => (index === 1 ? null : { index, embedding: vectorOf(text) }))),
      /text 2 of 3 \("two"\) is not a list/,
    ],
    ['zero alone', all(() => [0, 0, 0, 0]), /text 1 of 3 \("one"\) is zero throughout/],
    [
      'one too many',
      answer((input) => [...input, 'x'].map((text, index) => ({ index, embedding: vectorOf(text) }))),
      /4 vectors for 3 texts, one of them at index 3/,
    ],
    [
      'one twice',
      answer((input) => input.map((text) => ({ index: 0, embedding: vectorOf(text) }))),
      /text 1 of 3 \("one"\) was sent twice/,
    ],
    [
      'an index that is not valid',
      answer((input) => input.map((text) => ({ index: 1.5, embedding: vectorOf(text) }))),
      /at index 1\.5/,
    ],
    [
      'another kind of answer',
      scenario((call) => (isProbe(call) ? embeddings(call) : { body: { hello: 'world' } })),
      /holds no embeddings: \{"hello":"world"\}/,
    ],
    [
      'an error under status 200',
      scenario((call) => (isProbe(call) ? embeddings(call) : { body: { error: 'the flux is not aligned' } })),
      /the flux is not aligned/,
    ],
    [
      'a wait of an hour',
      scenario((call) =>
        isProbe(call) ? embeddings(call) : refuse(429, { error: 'full' }, { 'retry-after': '3600' }),
      ),
      /requests a wait of 3,600 s/,
    ],
  ])('of %s: one line says which text and what is wrong', async (_name, name, reason) => {
    const error = await faultOf(name);
    expect(error.name).toBe('NetworkError');
    expect(error.message).toMatch(reason);
  });

  it('that were wrong for a moment are requested again', async () => {
    const name = scenario((call) =>
      call.number === 1 ? { body: '{"data":[{"ind' } : call.number === 2 ? { body: { data: [] } } : embeddings(call),
    );
    expect((await encode(name, ['one'], { retries: 3 })).rows).toEqual([vectorOf('one')]);
  });
});

describe('the identity of a remote encoder', () => {
  const plain = scenario((call) => embeddings(call));
  const moved = scenario((call) => embeddings(call, (text) => vectorOf(text).map((one) => one * 1.0001 + 1e-6)));
  const other = scenario((call) => embeddings(call, (text) => vectorOf(text).reverse()));

  it('depends on model, prefixes and answers, but not on the address', async () => {
    const { fingerprint } = await connect(plain);
    expect((await connect(moved)).fingerprint).toBe(fingerprint);
    expect((await connect(plain, { batchSize: 3, concurrency: 1 })).fingerprint).toBe(fingerprint);
    for (const [name, options] of [
      [other, {}],
      [plain, { model: 'n' }],
      [plain, { queryPrefix: 'q: ' }],
    ] as const) {
      expect((await connect(name, options)).fingerprint).not.toBe(fingerprint);
    }
  });

  it('must be the same at each address', async () => {
    const baseUrl = [server.at(plain), server.at(other)];
    await expect(connect(plain, { baseUrl })).rejects.toThrow(/returns other vectors for "m"/);
  });

  it.each([
    ['intfloat/multilingual-e5-large', 'query: ', 'passage: '],
    ['BAAI/bge-base-en-v1.5', 'Represent this sentence for searching relevant passages: ', ''],
    ['nomic-embed-text:latest', 'search_query: ', 'search_document: '],
    ['text-embedding-3-small', '', ''],
    ['bge-m3', '', ''],
  ])('has the prefixes of %s', async (model, query, document) => {
    const encoder = await connect(plain, { model });
    expect(encoder.settings).toMatchObject({ queryPrefix: query, documentPrefix: document });
    await encoder.encode(['x'], 'query');
    expect(server.calls(plain).at(-1)!.body.input).toEqual([`${query}x`]);
    const bare = await connect(plain, { model, queryPrefix: '', documentPrefix: 'd: ' });
    expect(bare.settings).toMatchObject({ queryPrefix: '', documentPrefix: 'd: ' });
  });
});
