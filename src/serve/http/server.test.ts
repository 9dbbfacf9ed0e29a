import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Behaviour, ChatServer, refusal } from '../../../test/support/chat-server.ts';
import { LetterCounts } from '../../../test/support/served-letters.ts';
import { connectGenerator } from '../../generate/index.ts';
import { defaultRetrievalSettings } from '../../retrieve/index.ts';
import { createExpander, type Expander } from '../expander.ts';
import { ServedIndex } from '../served-index.ts';
import type { Service } from '../service.ts';
import { type Listening, listen } from './server.ts';

const encoder = new LetterCounts();
let folder: string;
let chat: ChatServer;
let behaviour: Behaviour;
let expander: Expander;
let index: ServedIndex;
let server: Listening;
let isReady = true;
const faults: unknown[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  chat = await ChatServer.start((...call) => behaviour(...call));
  const generator = await connectGenerator({ baseUrls: [chat.baseUrl], retries: 0 });
  expander = createExpander({ encoder, generator, store: false, budgetMs: 2000 });
  const documents = ['aaa b', 'b b b b', 'a bb'].map((text, at) => ({ _id: `d${at}`, text }));
  await writeFile(join(folder, 'docs.jsonl'), documents.map((one) => `${JSON.stringify(one)}\n`).join(''));
  index = await ServedIndex.open(join(folder, 'docs.jsonl'), encoder, defaultRetrievalSettings({ threads: 1 }));
  const service: Service = { expander, indexes: new Map([['docs', index]]) };
  server = await listen({
    ...{ port: 0, service: () => (isReady ? service : undefined), largestBody: 10_000 },
    onError: (error) => faults.push(error),
  });
});
beforeEach(() => {
  behaviour = () => ({ status: 200, body: { choices: [{ message: { content: 'bbbb' } }] } });
  encoder.before = () => {};
});
afterAll(async () => {
  await server.close(100);
  await expander.close();
  await index.close();
  await chat.stop();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  return { status: response.status, headers: response.headers, body: (await response.json()) as any };
}

const DOCUMENT = [2, 0, 2];
/** Half of the query's vector, half of that of `bbbb`. */
const EXPANDED = [1, 2, 1];

describe('a text is a document unless the request says that it is a query', () => {
  test.each<[string, string, object, number[]]>([
    ['nothing said', '/v1/embeddings', {}, DOCUMENT],
    ['input_type', '/v1/embeddings', { input_type: 'search_query' }, EXPANDED],
    ['input_type before the model', '/v1/embeddings', { input_type: 'document', model: 'm-query' }, DOCUMENT],
    ['prompt_name', '/v1/embeddings', { prompt_name: 'query' }, EXPANDED],
    ['task', '/embeddings', { task: 'retrieval.query' }, EXPANDED],
    ['task_type', '/v1/embeddings', { task_type: 'RETRIEVAL_QUERY' }, EXPANDED],
    ['a model name', '/v1/embeddings', { model: 'letters-query' }, EXPANDED],
    ['a model name of documents', '/query/v1/embeddings', { model: 'letters-passage' }, DOCUMENT],
    ['the address', '/query/v1/embeddings', { model: 'letters' }, EXPANDED],
    ['the address of documents', '/document/embeddings', {}, DOCUMENT],
  ])('%s', async (_what, path, marks, vector) => {
    const { status, headers, body } = await post(path, { input: 'aa', ...marks });
    expect([status, body.data[0].embedding]).toEqual([200, vector]);
    expect(headers.get('x-llm-qe-expansion')).toBe(vector === EXPANDED ? 'generated' : null);
  });

  test('a mark that is misspelt is refused, not guessed', async () => {
    const { status, body } = await post('/v1/embeddings', { input: 'aa', input_type: 'qeury' });
    expect([status, body.error.message]).toEqual([400, 'input_type: "qeury" is not known']);
  });
});

test('several texts, base64, and fewer dimensions', async () => {
  const { body } = await post('/v1/embeddings', { input: ['aa', 'b'], encoding_format: 'base64', dimensions: 2 });
  const vectors = body.data.map(({ embedding }: { embedding: string }) => {
    const bytes = Buffer.from(embedding, 'base64');
    return [bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.length];
  });
  expect(vectors).toEqual([
    [2, 0, 8],
    [0, 1, 8],
  ]);
});

test('searches, and says how the query was expanded', async () => {
  const { body } = await post('/search', { query: 'aa', top: 2 });
  expect(body.documents.map(({ id, text }: { id: string; text: string }) => [id, text])).toEqual([
    ['d1', 'b b b b'],
    ['d2', 'a bb'],
  ]);
  expect(body.expansion).toMatchObject({ state: 'generated', texts: ['bbbb'], alpha: 0.5 });
  const raw = await post('/search', { query: 'aa', top: 1, expansion_budget_ms: 0 });
  expect(raw.body).toMatchObject({ documents: [{ id: 'd0' }], expansion: { state: 'fallback', reason: 'no budget' } });
  const own = await post('/search', { query: 'b', top: 1, expansions: ['aaaaaaaa'] });
  expect(own.body).toMatchObject({ documents: [{ id: 'd0' }], expansion: { state: 'given' } });
  expect((await post('/search', { query: 'b', index: 'other' })).body.error.fix).toBe('Use one of: docs.');
});

test('a call may ask for several texts', async () => {
  const { body } = await post('/expand', { query: 'how many texts', samples: 3 });
  expect(body).toMatchObject({ state: 'generated', texts: ['bbbb', 'bbbb', 'bbbb'] });
  expect((await post('/expand', { query: 'how many texts', samples: 0 })).body.error.message).toMatch(/^samples/);
});

test('expansions are streamed as they grow', async () => {
  behaviour = (_call, _number, _request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const content of ['one ', 'two'])
      response.write(`data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`);
    response.end('data: [DONE]\n\n');
    return undefined;
  };
  const response = await fetch(`${server.url}/expand`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'how does a text grow', stream: true }),
  });
  const events = (await response.text()).split('\n').filter((line) => line.startsWith('data:'));
  const data = events.map((line) => JSON.parse(line.slice(5)));
  expect(data.at(-1)).toMatchObject({ state: 'generated', texts: ['one two'] });
  expect(events.length).toBeGreaterThan(1);
});

test('the routes of TEI and Weaviate', async () => {
  expect((await post('/embed', { inputs: ['aa', 'b'] })).body).toEqual([DOCUMENT, [0, 1, 2]]);
  expect((await post('/embed', { inputs: 'aa', prompt_name: 'query' })).body).toEqual([EXPANDED]);
  const weaviate = await post('/vectors', { text: 'aa', config: { task_type: 'query' } });
  expect(weaviate.body).toEqual({ text: 'aa', vector: EXPANDED, dim: 3 });
  expect((await fetch(`${server.url}/.well-known/ready`)).status).toBe(204);
  const config = { pooling_strategy: 'masked_mean', task_type: 'passage', dimensions: 2 };
  expect((await post('/vectors', { text: 'aab', config })).body).toEqual({ text: 'aab', vector: [2, 1], dim: 2 });
});

test('refusals have the form that clients of each route read', async () => {
  const wrong = { task_type: 'qeury' };
  const fix = 'Use "query" or "document".';
  expect((await post('/vectors', { text: 'a', config: wrong })).body).toEqual({
    error: `task_type: "qeury" is not known. ${fix}`,
  });
  expect((await post('/embed', { inputs: 'a', prompt_name: 'qeury' })).body).toEqual({
    ...{ error: `prompt_name: "qeury" is not known. ${fix}`, error_type: 'Validation' },
  });
});

test('what a client sets to null is not set, and its own empty list of expansions asks no LLM', async () => {
  const calls = chat.calls.length;
  const nothing = { expansion_budget_ms: null };
  const own = await post('/search', { query: 'aa', ...nothing, index: null, top: null, expansions: [] });
  expect(own.body).toMatchObject({ documents: [{ id: 'd0' }, {}, {}], expansion: { state: 'given', texts: [] } });
  expect(chat.calls.length).toBe(calls);
  const expanded = await post('/expand', { query: 'aa', ...nothing, samples: null, stream: null, expansions: null });
  expect(expanded.body).toMatchObject({ state: 'generated', texts: ['bbbb'] });
});

test.each(['/search', '/expand'])('%s refuses a field that it does not have', async (route) => {
  const { status, body } = await post(route, { query: 'aa', budget_ms: 5 });
  expect(status).toBe(400);
  expect(body).toMatchObject({ error: { message: expect.stringMatching(/no field "budget_ms"/) } });
});

test('a body that is not UTF-8 is refused: its vector would be that of another text', async () => {
  const send = async (body: Uint8Array) =>
    (
      await fetch(`${server.url}/v1/embeddings`, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: Buffer.from(body) },
      })
    ).json();
  expect(await send(Buffer.from('{"input": "ab\u00e9"}', 'latin1'))).toMatchObject({
    error: { message: 'the body is not UTF-8' },
  });
  expect(await send(Buffer.from('{"input": "ab\u00e9"}', 'utf8'))).toMatchObject({ data: [{ embedding: [1, 1, 2] }] });
});

describe('what cannot be answered', () => {
  test.each<[string, string, unknown, number, RegExp]>([
    ['token ids', '/v1/embeddings', { input: [[1, 2]] }, 400, /token ids/],
    ['token ids of one text', '/v1/embeddings', { input: [1, 2] }, 400, /token ids/],
    ['no input', '/v1/embeddings', {}, 400, /^input/],
    ['an empty list', '/v1/embeddings', { input: [] }, 400, /^input: .*>=1 items/],
    ['too many texts', '/v1/embeddings', { input: Array(2049).fill('a') }, 400, /^input: .*1 to 2048 texts/],
    ['a text among numbers', '/v1/embeddings', { input: [1, 'a'] }, 400, /^input: must be a text/],
    ['too many expansions', '/search', { query: 'a', expansions: Array(65).fill('a') }, 400, /^expansions/],
    ['too many dimensions', '/v1/embeddings', { input: 'a', dimensions: 4 }, 400, /only 3/],
    ['no JSON', '/v1/embeddings', '{"input":', 400, /not JSON/],
    ['a body that is too large', '/v1/embeddings', { input: 'a'.repeat(20_000) }, 413, /larger than 10000/],
    ['no such address', '/v2/embeddings', {}, 404, /there is no/],
    ['a query that is too long', '/search', { query: 'a '.repeat(4000), top: 0 }, 400, /^top/],
  ])('%s', async (_what, path, body, status, message) => {
    const answer = await post(path, body);
    expect(answer.status).toBe(status);
    expect(answer.body.error.message).toMatch(message);
    expect(answer.body.error.fix).toMatch(/\.$/);
  });

  test('an LLM that fails is no reason; an encoder that fails is', async () => {
    behaviour = () => refusal(500, 'down');
    const { status, headers, body } = await post('/query/v1/embeddings', { input: 'aa' });
    expect([status, body.data[0].embedding]).toEqual([200, [2, 0, 1]]);
    expect([headers.get('x-llm-qe-expansion'), headers.get('x-llm-qe-reason')]).toEqual(['fallback', 'the LLM failed']);
    expect(faults).toEqual([]);
    encoder.before = () => Promise.reject(new Error('the card is gone'));
    expect(await post('/v1/embeddings', { input: 'aa' })).toMatchObject({
      status: 502,
      body: { error: { message: 'the server failed', fix: 'See the log of the server.' } },
    });
    expect(faults.splice(0)).toEqual([new Error('the card is gone')]);
  });
});

test('until it is warm, it says so', async () => {
  isReady = false;
  const health = await fetch(`${server.url}/health`);
  const early = await post('/v1/embeddings', { input: 'aa' });
  isReady = true;
  expect([health.status, early.status, early.headers.get('retry-after')]).toEqual([503, 503, '1']);
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
});

test('a key is asked for, except for the state of the server', async () => {
  const closed = await listen({ port: 0, service: () => undefined, apiKey: 'secret' });
  const status = async (path: string, key?: string) =>
    (await fetch(`${closed.url}${path}`, { headers: key === undefined ? {} : { authorization: `Bearer ${key}` } }))
      .status;
  expect([await status('/metrics'), await status('/metrics', 'wrong'), await status('/metrics', 'secret')]).toEqual([
    401, 401, 200,
  ]);
  expect(await status('/health')).toBe(503);
  await closed.close(0);
});

test('beyond its limit of requests it answers 429, and tells it', async () => {
  let open = (): void => {};
  behaviour = () =>
    new Promise((resolve) => {
      open = () => resolve(undefined);
    });
  const full = await listen({ port: 0, service: () => ({ expander, indexes: new Map() }), mostRequests: 1 });
  const ask = () =>
    fetch(`${full.url}/expand`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'who waits here' }),
    });
  const calls = chat.calls.length;
  const first = ask();
  await expect.poll(() => chat.calls.length).toBeGreaterThan(calls);
  const second = await ask();
  expect([second.status, second.headers.get('retry-after')]).toEqual([429, '1']);
  // It says so while it is full.
  expect(await (await fetch(`${full.url}/metrics`)).text()).toContain('llm_qe_refused_total 1');
  open();
  expect((await first).status).toBe(200);
  await full.close(0);
});

test('requests in flight are answered when the server ends', async () => {
  let open = (): void => {};
  behaviour = () =>
    new Promise((resolve) => {
      open = () => resolve(undefined);
    });
  let isEnding = false;
  const ending = await listen({ port: 0, service: () => (isEnding ? undefined : { expander, indexes: new Map() }) });
  const calls = chat.calls.length;
  const asked = fetch(`${ending.url}/expand`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'who is answered at the end' }),
  });
  await expect.poll(() => chat.calls.length).toBeGreaterThan(calls);
  isEnding = true;
  const closed = ending.close(5000);
  // Whoever comes in the meantime is told, also over a new connection.
  const late = await fetch(`${ending.url}/health`, { headers: { connection: 'close' } });
  const refused = await fetch(`${ending.url}/v1/models`, { headers: { connection: 'close' } });
  expect([late.status, refused.status, refused.headers.get('retry-after')]).toEqual([503, 503, '1']);
  open();
  expect((await asked).status).toBe(200);
  await closed;
  await expect(fetch(`${ending.url}/health`)).rejects.toThrow();
});

test('a client that leaves before its text is written is no fault', async () => {
  let isAsked = false;
  behaviour = async (_call, _number, request) => {
    isAsked = true;
    await once(request.socket, 'close');
    return undefined;
  };
  faults.length = 0;
  for (const stream of [false, true]) {
    isAsked = false;
    const leaves = new AbortController();
    const query = `who leaves ${stream ? 'a stream' : 'an answer'}`;
    const asked = fetch(`${server.url}/expand`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, signal: leaves.signal },
      body: JSON.stringify({ query, stream, expansion_budget_ms: 60_000 }),
    }).then((response) => response.text());
    await expect.poll(() => isAsked).toBe(true);
    leaves.abort();
    await expect(asked).rejects.toThrow();
  }
  await expect.poll(() => expander.pendingTexts).toBe(0);
  expect(faults).toEqual([]);
});

test('a client that leaves in the middle of its request harms nobody', async () => {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    'POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"inp',
  );
  socket.destroy();
  expect((await post('/v1/embeddings', { input: 'aa' })).status).toBe(200);
});

test('the description names every route, and the metrics count them', async () => {
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object };
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(['/v1/embeddings', '/query/v1/embeddings', '/expand', '/search', '/embed']),
  );
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/llm_qe_request_seconds_count\{route="\/v1\/embeddings",status="200"\} \d+/);
  expect(metrics).toMatch(/llm_qe_expansions_total\{state="fallback",reason="the LLM failed"\} \d+/);
});
