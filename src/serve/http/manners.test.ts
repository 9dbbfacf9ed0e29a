import { PassThrough } from 'node:stream';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveLetters, written } from '../../../test/support/served-letters.ts';
import { RequestLog } from './request-log.ts';

const lines = new PassThrough();
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let server: Awaited<ReturnType<typeof serveLetters>>;

beforeAll(async () => {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const log = new RequestLog({ format: 'json', stream: lines });
  const documents = ['aaa b', 'b b b b'];
  server = await serveLetters({ documents, listen: { log, cors: ['https://pages.example'] } });
});
afterAll(async () => {
  await server.close();
  trace.disable();
  context.disable();
  propagation.disable();
});

const SECRET = 'aa private words of a customer';

/** The entries of the log so far. */
function logged() {
  const text = `${lines.read() ?? ''}`;
  expect(text).not.toContain('private');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('one line a request: what was done and how long it took, but no text', async () => {
  await server.send('/search', { query: SECRET }, { 'x-request-id': 'mine-1' });
  await server.send('/v1/embeddings', { input: ['aa', 'b'] });
  await server.send('/v1/embeddings', { input: SECRET, input_type: 'qeury' });
  await server.send('/search', { q: SECRET });
  const [search, documents, wrong, unfit] = logged();
  expect(search).toMatchObject({
    ...{ level: 'info', id: 'mine-1', method: 'POST', route: '/search', status: 200 },
    ...{ expansion: 'generated', queries: 1, tokens: 4, encodedTokens: SECRET.length + 4 },
  });
  expect(Object.keys(search.parts).sort()).toEqual(['embed', 'expand', 'search']);
  expect(documents).toMatchObject({ route: '/v1/embeddings', status: 200, encodedTokens: 3 });
  expect(documents.expansion).toBeUndefined();
  expect(wrong).toMatchObject({ level: 'warn', status: 400, error: 'input_type: "..." is not known' });
  expect(unfit).toMatchObject({ status: 400, error: 'query: is missing (expected string)' });
  expect(new Set([search.id, documents.id, wrong.id]).size).toBe(3);
});

test('texts are logged where that is asked for, and lines that nobody reads are dropped', async () => {
  const stream = new PassThrough({ highWaterMark: 1 });
  const telling = await serveLetters({ listen: { log: new RequestLog({ format: 'text', texts: true, stream }) } });
  await telling.send('/expand', { query: 'how long is a b' });
  expect(`${stream.read()}`).toMatch(/ info POST \/expand 200 .*"texts":\["bbbb"\]/);
  await telling.close();
  const full = new PassThrough();
  Object.defineProperty(full, 'writableLength', { value: 2 ** 21 });
  const log = new RequestLog({ format: 'json', stream: full });
  const busy = await serveLetters({ listen: { log } });
  await busy.send('/expand', { query: 'how long is a b' });
  expect([full.read(), await busy.metric('llm_qe_log_lines_dropped_total')]).toEqual([null, 1]);
  await busy.close();
});

test('spans stand below that of the caller, and hold no text', async () => {
  exporter.reset();
  const caller = { trace: '0af7651916cd43dd8448eb211c80319c', span: 'b7ad6b7169203331' };
  await server.send('/search', { query: SECRET }, { traceparent: `00-${caller.trace}-${caller.span}-01` });
  const spans = exporter.getFinishedSpans();
  const named = new Map(spans.map((span) => [span.name, span]));
  expect([...named.keys()].sort()).toEqual(['POST /search', 'encode', 'expand', 'search', 'write']);
  expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([caller.trace]));
  const request = named.get('POST /search')!;
  expect(request.parentSpanContext?.spanId).toBe(caller.span);
  expect(request.attributes).toMatchObject({
    ...{ 'http.route': '/search', 'http.response.status_code': 200 },
    ...{ 'llm_qe.state': 'generated', 'llm_qe.tokens': 4 },
  });
  const own = request.spanContext().spanId;
  const parents = ['expand', 'encode', 'search'].map((name) => named.get(name)!.parentSpanContext?.spanId);
  expect(parents).toEqual([own, own, own]);
  expect(named.get('write')!.parentSpanContext?.spanId).toBe(named.get('expand')!.spanContext().spanId);
  expect(JSON.stringify(spans.map(({ attributes, events, status }) => [attributes, events, status]))).not.toContain(
    'private',
  );
});

test('tokens are told: those that the encoder read, and those that the LLM wrote', async () => {
  const documents = await (await server.send('/v1/embeddings', { input: ['aa', 'b'] })).json();
  expect(documents).toMatchObject({ usage: { prompt_tokens: 3, total_tokens: 3 } });
  const response = await server.send('/query/v1/embeddings', { input: 'aa' });
  expect(response.headers.get('x-llm-qe-tokens')).toBe('4');
  expect(response.headers.get('server-timing')).toMatch(/^expand;dur=[\d.]+, embed;dur=[\d.]+$/);
  expect(await response.json()).toMatchObject({
    usage: { prompt_tokens: 6, total_tokens: 6 },
    data: [{ expansion: { tokens: 4 } }],
  });
});

test('an id of the request comes back, and is replaced if it could harm', async () => {
  const idOf = async (id: string) =>
    (await fetch(`${server.url}/health`, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
  expect(await idOf('order-17')).toBe('order-17');
  expect(await idOf('x'.repeat(500))).toMatch(/^[\w-]{36}$/);
  expect(await idOf('"} {')).toMatch(/^[\w-]{36}$/);
});

test('only pages of the named origin may call from a browser', async () => {
  const ask = async (origin: string, method: string) => {
    const headers = {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    };
    const { status, headers: told } = await fetch(`${server.url}/search`, { method, headers });
    return [status, told.get('access-control-allow-origin')];
  };
  expect(await ask('https://pages.example', 'OPTIONS')).toEqual([204, 'https://pages.example']);
  expect(await ask('https://evil.example', 'OPTIONS')).toEqual([204, null]);
  const closed = await serveLetters({ behaviour: () => written('b') });
  const response = await fetch(`${closed.url}/health`, { headers: { origin: 'https://pages.example' } });
  expect(response.headers.get('access-control-allow-origin')).toBe(null);
  await closed.close();
});

test('other methods are refused in JSON, and HEAD is GET without a body', async () => {
  const refused = await fetch(`${server.url}/search`);
  expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST']);
  expect(await refused.json()).toMatchObject({ error: { message: '/search takes no GET', fix: 'Use POST.' } });
  const put = await fetch(`${server.url}/health`, { method: 'PUT' });
  expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  const head = await fetch(`${server.url}/health`, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
  expect((await fetch(`${server.url}/nowhere`, { method: 'HEAD' })).status).toBe(404);
});
