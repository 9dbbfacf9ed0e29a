import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as openSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Behaviour, refusal } from '../../../test/support/chat-server.ts';
import {
  embeddings,
  isProbe,
  type Scenario,
  type ScenarioCall,
  ScenarioServer,
  vectorOf,
} from '../../../test/support/scenario-server.ts';
import { type ServedLettersOptions, serveLetters, written } from '../../../test/support/served-letters.ts';
import { connectEncoder, type Encoder, type RemoteEncoderOptions } from '../../embed/index.ts';

type Served = Awaited<ReturnType<typeof serveLetters>>;

const closing: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close();
});
async function serve(options: ServedLettersOptions = {}): Promise<Served> {
  const server = await serveLetters(options);
  closing.push(server);
  return server;
}

const scenarios: Record<string, Scenario> = {};
let models: ScenarioServer;
let cache: string;
beforeAll(async () => {
  models = await ScenarioServer.start(scenarios);
  cache = await mkdtemp(join(tmpdir(), 'serve-faults-'));
});
afterAll(async () => {
  await models.stop();
  await rm(cache, { recursive: true });
});

describe('an upstream', () => {
  /** A server in front of an upstream that knows its width, and then does something else. */
  async function inFront(name: string, scenario: Scenario, more: { timeoutSeconds?: number } = {}) {
    scenarios[name] = (call) => (isProbe(call) ? embeddings(call) : scenario(call));
    const limits = { retries: 0, maxWaitSeconds: 2, ...more };
    const encoder = await connected({ baseUrl: models.at(name), model: 'm', cache, ...limits });
    closing.push(encoder);
    return serve({ expander: { encoder, encoderCalls: 8 } });
  }

  /** On a busy machine, even the probe may take longer than a short limit. */
  async function connected(options: RemoteEncoderOptions): Promise<Encoder> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await connectEncoder(options);
      } catch (error) {
        if (attempt === 50) throw error;
      }
    }
  }

  test.each<[string, Scenario, number, string, RegExp]>([
    ['slow', () => () => {}, 504, 'late', /did not answer in time/],
    ['gone', () => (response) => response.destroy(), 502, 'unreachable', /cannot be reached/],
    ['busy', () => refusal(429, 'slow down', { 'retry-after': '60' }), 429, 'busy', /is busy/],
    ['failing', () => refusal(500, `sk-secret: 'a private text' failed`), 502, 'failed', /failed \(status 500\)/],
    ['of another width', (call) => embeddings(call, () => [1, 2]), 502, 'broken', /no sound vector/],
    ['with NaN', (call) => embeddings(call, () => [1, Number.NaN, 0, 0]), 502, 'broken', /no sound vector/],
    ['a web page', () => ({ body: '<html><h1>Welcome</h1></html>', type: 'text/html' }), 502, 'foreign', /no answer$/],
  ])('that is %s: no vector, but a status, a reason and a count', async (name, scenario, status, fault, message) => {
    const server = await inFront(name.replaceAll(' ', '-'), scenario, fault === 'late' ? { timeoutSeconds: 0.2 } : {});
    const answer = await server.send('/v1/embeddings', { input: 'a private text' });
    const { error } = (await answer.json()) as { error: { message: string } };
    expect([answer.status, error.message]).toEqual([status, expect.stringMatching(message)]);
    // Neither texts, nor words, keys or addresses of the server behind it.
    expect(JSON.stringify(error)).not.toMatch(/private|secret|Welcome|127\.0\.0\.1|command/);
    expect(answer.headers.get('retry-after')).toBe({ busy: '60', late: '1' }[fault] ?? null);
    expect(await server.metric(`llm_qe_encoder_failures_total{fault="${fault}"}`)).toBe(1);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  test('that reads no blank texts: these are refused, because zeros are no vector', async () => {
    const server = await inFront('blank', (call) => embeddings(call));
    for (const path of ['/v1/embeddings', '/query/v1/embeddings']) {
      const answer = await server.send(path, { input: path.startsWith('/q') ? ' ' : ['a', ''] });
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringMatching(/is blank, and has no vector/)]);
    }
  });

  test('that asks for a long wait is left alone for that time: further requests are answered at once', async () => {
    const server = await inFront('patience', () => refusal(429, 'slow down', { 'retry-after': '60' }));
    for (const input of ['a', 'b']) expect((await server.send('/v1/embeddings', { input })).status).toBe(429);
    expect(models.calls('patience').filter((call) => !isProbe(call))).toHaveLength(1);
  });

  test('that refuses one text: requests that shared its call are answered', async () => {
    let open = (): void => {};
    const isOpen = new Promise<void>((resolve) => {
      open = resolve;
    });
    const broken = (call: ScenarioCall) =>
      embeddings(call, (text) => (text === 'bad' ? [0, 0, Number.NaN, 0] : vectorOf(text)));
    const server = await inFront('poisoned', (call) => (response) => {
      void isOpen.then(() => {
        const { body } = broken(call) as { body: unknown };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    // Eight calls are under way; what comes later shares the next.
    const early = Array.from({ length: 8 }, (_none, at) => server.send('/v1/embeddings', { input: `early ${at}` }));
    await expect.poll(() => models.calls('poisoned').filter((call) => !isProbe(call)).length).toBe(8);
    const late = ['good', 'bad', 'also good'].map((input) => server.send('/v1/embeddings', { input }));
    await expect.poll(() => server.metric('llm_qe_waiting_texts')).toBe(3);
    open();
    expect((await Promise.all([...early, ...late])).map(({ status }) => status)).toEqual([
      ...Array(8).fill(200),
      ...[200, 502, 200],
    ]);
    const body = (await (await late[2]!).json()) as { data: { embedding: number[] }[] };
    expect(body.data[0]!.embedding).toEqual(vectorOf('also good'));
  });
});

describe('an LLM', () => {
  const thinks = { choices: [{ message: { content: '', reasoning_content: 'hm' }, finish_reason: 'length' }] };
  test.each<[string, Behaviour, string, string]>([
    ['thinks and answers nothing', () => ({ status: 200, body: thinks }), 'fallback', 'nothing written'],
    ['thinks aloud, without an end', () => written('<think>well, perhaps'), 'fallback', 'nothing written'],
    ['is killed before a word', (_c, _n, request) => void request.socket.destroy(), 'fallback', 'the LLM failed'],
    ['is busy', () => refusal(429, 'busy', { 'retry-after': '600' }), 'fallback', 'the LLM failed'],
    ['fails', () => refusal(500, 'down'), 'fallback', 'the LLM failed'],
    ['is a web page', () => ({ status: 200, body: '<html>Welcome</html>' }), 'fallback', 'the LLM failed'],
  ])('that %s never fails a query', async (_what, behaviour, state, reason) => {
    const server = await serve({ behaviour });
    const answer = await server.send('/query/v1/embeddings', { input: 'aa' });
    expect([answer.status, answer.headers.get('x-llm-qe-expansion'), answer.headers.get('x-llm-qe-reason')]).toEqual([
      ...[200, state, reason],
    ]);
    expect(await answer.json()).toMatchObject({ data: [{ embedding: [2, 0, 1] }] });
    expect(await server.metric(`llm_qe_expansions_total{state="${state}",reason="${reason}"}`)).toBe(1);
    expect(await server.metric('llm_qe_pending_texts')).toBe(0);
  });

  test('that is killed in the middle: what it wrote counts in part, and is not kept', async () => {
    const server = await serve({
      expander: { store: { folder: join(cache, 'texts') } },
      behaviour: (_call, _number, _request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const chunk = { choices: [{ index: 0, delta: { content: 'bb bb' } }] };
        response.write(`data: ${JSON.stringify(chunk)}\n\n`, () => response.destroy());
        return new Promise(() => {});
      },
    });
    for (let time = 0; time < 2; time++) {
      const answer = await (await server.send('/expand', { query: 'aa' })).json();
      expect(answer).toMatchObject({ state: 'partial', reason: 'the LLM failed', texts: ['bb bb'], alpha: 1 / 16 });
    }
    expect(await server.metric('llm_qe_expansions_total{state="partial",reason="the LLM failed"}')).toBe(2);
  });
});

describe('a client', () => {
  /** Sends the beginning of a request, and returns what is answered until the connection ends. */
  async function half(server: Served, text: string): Promise<string> {
    const socket = openSocket(Number(new URL(server.url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(text);
    return Buffer.concat(await socket.toArray()).toString();
  }

  test('that sends its headers, or its body, a letter at a time is cut off', async () => {
    const server = await serve({ listen: { headersMs: 100, requestMs: 200 } });
    const head = 'POST /v1/embeddings HTTP/1.1\r\nhost: x\r\n';
    const answers = await Promise.all([
      half(server, head),
      half(server, `${head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{"inp`),
    ]);
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408 .*"the request took too long to arrive"/s);
    expect(await server.metric('llm_qe_closed_connections_total{reason="slow"}')).toBe(2);
  });

  test('that speaks no HTTP, or too much of it, is told so', async () => {
    const server = await serve();
    expect(await half(server, 'EHLO mail.example\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*no HTTP request/s);
    expect(await half(server, `GET / HTTP/1.1\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await server.metric('llm_qe_closed_connections_total{reason="malformed"}')).toBe(1);
    expect(await server.metric('llm_qe_closed_connections_total{reason="headers too large"}')).toBe(1);
  });

  test('that leaves ends the work of the encoder, unless others wait for it', async () => {
    const server = await serve();
    const stopped: string[] = [];
    const waiting = new Map<string, () => void>();
    server.encoder.before = (texts, signal) =>
      new Promise<void>((resolve, reject) => {
        waiting.set(texts.join(), resolve);
        signal!.addEventListener('abort', () => {
          stopped.push(texts.join());
          reject(signal!.reason);
        });
      });
    const leaves = new AbortController();
    const alone = server.send('/v1/embeddings', { input: 'alone' }, {}, leaves.signal);
    await expect.poll(() => waiting.has('alone')).toBe(true);
    // The next call takes both of these; one of them leaves before, the other stays.
    const left = server.send('/v1/embeddings', { input: 'waits' }, {}, leaves.signal);
    const stays = server.send('/v1/embeddings', { input: 'stays' });
    await expect.poll(() => server.metric('llm_qe_waiting_texts')).toBe(2);
    leaves.abort();
    await expect(alone).rejects.toThrow();
    await expect(left).rejects.toThrow();
    await expect.poll(() => waiting.has('stays')).toBe(true);
    expect(stopped).toEqual(['alone']);
    waiting.get('stays')!();
    expect((await stays).status).toBe(200);
    await expect.poll(() => server.metric('llm_qe_request_seconds_count{route="/v1/embeddings",status="499"}')).toBe(2);
  });

  test('that leaves ends the writing, if nothing keeps the text', async () => {
    let closed = 0;
    const server = await serve({
      behaviour: (_call, _number, _request, response) => {
        response.on('close', () => closed++);
        return new Promise(() => {});
      },
    });
    for (let at = 0; at < 8; at++) {
      const leaves = new AbortController();
      const [path, asks] =
        at % 2 === 0
          ? ['/expand', { query: `aa ${at}`, stream: at % 4 === 0 }]
          : ['/query/v1/embeddings', { input: `aa ${at}` }];
      const body = { ...asks, expansion_budget_ms: 60_000 };
      const asked = server.send(path, body, {}, leaves.signal).then((answer) => answer.text());
      await expect.poll(() => server.chat.calls.length).toBe(at + 1);
      leaves.abort();
      await expect(asked).rejects.toThrow();
    }
    await expect.poll(() => closed).toBe(8);
    expect(server.expander.pendingTexts).toBe(0);
    await expect.poll(() => server.metric('llm_qe_requests_in_flight')).toBe(1);
  });
});

test.each([
  ['with its length', true],
  ['in chunks', false],
])('a body that is too large is refused without being kept: %s', async (_what, hasLength) => {
  const server = await serve();
  const piece = new Uint8Array(1 << 16).fill(97);
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += piece.length;
      if (sent > 100e6) controller.close();
      else controller.enqueue(piece);
    },
  });
  const headers = { 'content-type': 'application/json', ...(hasLength && { 'content-length': '100000000' }) };
  const options = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
  const answer = await fetch(`${server.url}/v1/embeddings`, options).catch((error: Error) => error);
  // A client may learn of the closed connection before it reads the answer.
  if ('status' in answer) expect(answer.status).toBe(413);
  expect(sent).toBeLessThan(70e6);
  expect(await server.metric('llm_qe_request_seconds_count{route="/v1/embeddings",status="413"}')).toBe(1);
  expect((await server.send('/v1/embeddings', { input: 'a' })).status).toBe(200);
});

test('a body in chunks is read like any other', async () => {
  const server = await serve();
  const bytes = new TextEncoder().encode(JSON.stringify({ input: 'aa' }));
  const body = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${server.url}/v1/embeddings`, {
    method: 'POST',
    headers,
    body,
    duplex: 'half',
  } as RequestInit);
  expect(await answer.json()).toMatchObject({ data: [{ embedding: [2, 0, 2] }] });
});
