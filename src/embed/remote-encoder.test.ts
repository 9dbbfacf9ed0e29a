import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { AbortedError, NetworkError, UsageError } from '../system/index.ts';
import { connectEncoder } from './remote-encoder.ts';

interface Request {
  input: string[];
  model: string;
}
type Answer = (request: Request, response: ServerResponse, message: IncomingMessage) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** Starts an embedding server; returns its base address and the requests that it received. */
async function serve(answer: Answer): Promise<{ baseUrl: string; requests: Request[] }> {
  const requests: Request[] = [];
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk);
    const request = JSON.parse(Buffer.concat(chunks).toString());
    requests.push(request);
    answer(request, response, message);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, requests };
}

const json = (response: ServerResponse, content: unknown, status = 200, headers = {}) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(content));
};
const vectorOf = (text: string) => [text.length, text.charCodeAt(0) || 0, 1];

/** Answers in reversed order, so only the index identifies the text of a vector. */
const embed: Answer = ({ input }, response) => {
  const data = input.map((text, index) => ({ object: 'embedding', index, embedding: vectorOf(text) }));
  json(response, { object: 'list', data: data.reverse() });
};

test('returns vectors in the order of the texts, with prefixes, in batches', async () => {
  const { baseUrl, requests } = await serve(embed);
  const encoder = await connectEncoder({
    baseUrl,
    model: 'm',
    batchSize: 3,
    queryPrefix: 'q: ',
    documentPrefix: 'd: ',
  });
  expect(encoder.dimensions).toBe(3);
  const texts = Array.from({ length: 10 }, (_, index) => 'x'.repeat(index));
  let done = 0;
  const vectors = await encoder.encode(texts, 'document', { onTexts: (count) => (done += count) });
  expect([...vectors]).toEqual(texts.flatMap((text) => vectorOf(`d: ${text}`)));
  expect(done).toBe(10);
  expect(requests.slice(1).map(({ input }) => input.length)).toEqual([3, 3, 3, 1]);
  expect([...(await encoder.encode(['a'], 'query'))]).toEqual(vectorOf('q: a'));
  await encoder.close();
});

test('the tokens of a call are shared among its texts by their lengths', async () => {
  const { baseUrl } = await serve(({ input }, response) => {
    const data = input.map((text, index) => ({ index, embedding: vectorOf(text) }));
    json(response, { data, usage: { prompt_tokens: 10, total_tokens: 10 } });
  });
  const encoder = await connectEncoder({ baseUrl, model: 'm' });
  const told: [number, number][] = [];
  await encoder.encode(['aaa', ' ', 'b', 'cc'], 'query', { onTokens: (row, count) => told.push([row, count]) });
  expect(told).toEqual([
    [0, 5],
    [2, 2],
    [3, 3],
  ]);
  const silent = await connectEncoder({ baseUrl: (await serve(embed)).baseUrl, model: 'm' });
  await silent.encode(['a'], 'query', { onTokens: () => told.push([-1, -1]) });
  expect(told).toHaveLength(3);
});

test('a blank text is not sent, and its vector is zero; with a prefix it is sent', async () => {
  const { baseUrl, requests } = await serve(embed);
  const encoder = await connectEncoder({ baseUrl, model: 'm', documentPrefix: 'd: ' });
  let done = 0;
  const vectors = await encoder.encode(['', 'abc', ' \n'], 'query', { onTexts: (count) => (done += count) });
  expect([...vectors]).toEqual([0, 0, 0, ...vectorOf('abc'), 0, 0, 0]);
  expect(done).toBe(3);
  expect(requests.at(-1)!.input).toEqual(['abc']);
  await encoder.encode([''], 'document');
  expect(requests.at(-1)!.input).toEqual(['d: ']);
});

test('retries a 429 after the time that the server requests', async () => {
  let refusals = 2;
  const { baseUrl } = await serve((request, response, message) => {
    if (request.input[0] !== 'dimensions' && refusals-- > 0) json(response, {}, 429, { 'retry-after-ms': '150' });
    else embed(request, response, message);
  });
  const encoder = await connectEncoder({ baseUrl, model: 'm' });
  const begin = performance.now();
  expect([...(await encoder.encode(['abc'], 'query'))]).toEqual(vectorOf('abc'));
  expect(performance.now() - begin).toBeGreaterThan(290);
});

test('several servers share the work', async () => {
  const slow: Answer = (request, response, message) => setTimeout(() => embed(request, response, message), 20);
  const [first, second] = await Promise.all([serve(slow), serve(slow)]);
  const baseUrl = [first.baseUrl, second.baseUrl];
  const encoder = await connectEncoder({ baseUrl, model: 'm', batchSize: 1, concurrency: 2 });
  const texts = Array.from({ length: 16 }, (_, index) => `text ${index}`);
  expect([...(await encoder.encode(texts, 'query'))]).toEqual(texts.flatMap(vectorOf));
  for (const { requests } of [first, second]) expect(requests.length).toBeGreaterThan(5);
});

test.each<[string, Answer, RegExp]>([
  [
    'a wrong key',
    (_, response) => json(response, { error: { message: 'bad key' } }, 401),
    /refuses with status 401: bad key/,
  ],
  ['an unknown model', (_, response) => json(response, { error: { message: 'no such model' } }, 404), /no such model/],
  ['something else', (_, response) => json(response, { hello: 'world' }), /holds no embeddings/],
  ['too few vectors', (_, response) => json(response, { data: [] }), /is missing \(0 vectors for 1 texts\)/],
  [
    'a vector in a wrong place',
    (_, response) => json(response, { data: [{ index: 7, embedding: [1] }] }),
    /at index 7/,
  ],
  ['words', (_, response) => json(response, { data: [{ index: 0, embedding: ['a'] }] }), /holds "a" at place 0/],
])('a server that answers with %s is a NetworkError', async (_, answer, reason) => {
  const { baseUrl } = await serve(answer);
  const connecting = connectEncoder({ baseUrl, model: 'm', retries: 0 });
  await expect(connecting).rejects.toThrow(NetworkError);
  await expect(connecting).rejects.toThrow(reason);
});

test('vectors of another length than before are refused', async () => {
  const { baseUrl } = await serve(({ input }, response) => {
    const embedding = input[0] === 'dimensions' ? [1, 2, 3] : [1, 2];
    json(response, { data: input.map((_, index) => ({ index, embedding })) });
  });
  const encoder = await connectEncoder({ baseUrl, model: 'm', retries: 0 });
  await expect(encoder.encode(['a', 'b'], 'query')).rejects.toThrow(
    /2 dimensions, and the first vector of the model has 3/,
  );
});

test('an unreachable server is a NetworkError that names the address', async () => {
  const connecting = connectEncoder({ baseUrl: 'http://127.0.0.1:9/v1', model: 'm', retries: 0 });
  await expect(connecting).rejects.toThrow(NetworkError);
  await expect(connecting).rejects.toThrow(/127\.0\.0\.1:9.*cannot be reached/);
});

test('a server that does not answer in time', async () => {
  const { baseUrl } = await serve(() => {});
  const connecting = connectEncoder({ baseUrl, model: 'm', retries: 0, timeoutSeconds: 0.1 });
  await expect(connecting).rejects.toThrow(/did not answer in time/);
});

test('stops at once if the signal fires', async () => {
  const { baseUrl } = await serve((request, response, message) => {
    if (request.input[0] === 'dimensions') embed(request, response, message);
  });
  const encoder = await connectEncoder({ baseUrl, model: 'm', batchSize: 1 });
  const control = new AbortController();
  setTimeout(() => control.abort(), 50);
  const encoding = encoder.encode(new Array(100).fill('a'), 'query', { signal: control.signal });
  await expect(encoding).rejects.toThrow(AbortedError);
});

test('names invalid options', async () => {
  await expect(connectEncoder({ baseUrl: 'nowhere', model: 'm' })).rejects.toThrow(UsageError);
  await expect(connectEncoder({ baseUrl: 'http://a/v1', model: '' })).rejects.toThrow(/model/);
});

test('refuses a vector that is not finite, and names the text', async () => {
  for (const number of ['1e999', '-1e999', '1e39']) {
    const { baseUrl, requests } = await serve(({ input }, response) => {
      const rows = input.map((text, index) => `{"index":${index},"embedding":[1,${text === 'bad' ? number : 2}]}`);
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(`{"object":"list","data":[${rows.join(',')}]}`);
    });
    const encoder = await connectEncoder({ baseUrl, model: 'm', batchSize: 2, retries: 0 });
    await expect(encoder.encode(['a', 'b', 'bad'], 'document')).rejects.toThrow(/-?Infinity/);
    expect(requests.length).toBeGreaterThan(1);
    await encoder.close();
  }
});
