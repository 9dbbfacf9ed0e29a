import { once } from 'node:events';
import { type Agent, request as send } from 'node:http';
import { connect } from 'node:net';
import type { Random } from '../../src/system/index.ts';

/** One request that no client should send. */
export interface Malformed {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
  /** Bytes for a bare socket, where no HTTP client would send them. */
  raw?: string;
}

const ROUTES = [
  ...['/v1/embeddings', '/query/v1/embeddings', '/expand', '/search', '/embed', '/vectors', '/mcp'],
  ...['/v1/models', '/health', '/metrics', '/openapi.json', '/info', '/.well-known/ready'],
];
const PATHS = [
  ...[
    '/%00',
    '/%ff%fe',
    '//',
    '/../../etc/passwd',
    '/__proto__',
    '/constructor',
    '/v1/embeddings/',
    '/search?index=%00',
  ],
  ...['/*', '/v1/embeddings%2f', `/${'x'.repeat(8000)}`, '/search#top', '/.well-known/', '/;', '/%', '/%zz'],
];
const METHODS = ['POST', 'POST', 'POST', 'POST', 'GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'PROPFIND'];
const BODIES: object[] = [
  { input: 'aa', input_type: 'query', expansion_budget_ms: 0 },
  { input: ['aa', 'b'], model: 'm-passage', dimensions: 2, encoding_format: 'base64' },
  { query: 'aa', top: 3, expansion_budget_ms: 0 },
  { query: 'aa', expansions: ['bb'], stream: true },
  { inputs: ['aa'], truncate: true },
  { text: 'aa', config: { task_type: 'passage' } },
  { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'search', arguments: { query: 'a' } } },
];
/** What stands in place of a value. */
const VALUES: unknown[] = [
  ...[
    null,
    true,
    -1,
    1e308,
    0.5,
    '',
    ' ',
    '\u0000',
    '\ud800',
    'x'.repeat(50_000),
    [],
    {},
    [[]],
    [null],
    [{}],
    [[1, 2], [3]],
  ],
  ...[
    { __proto__: { input: 'x' } },
    { constructor: { prototype: {} } },
    ['a', 1],
    Array(3000).fill('a'),
    '../../x',
    '$ne',
  ],
];
/** Written as text, because no object of this language keeps them. */
const TEXTS = [
  ...['{"__proto__": {"input": "x"}}', '{"input": "a", "__proto__": {"dimensions": 3}}', '{"input":"a","input":{}}'],
  ...[
    '',
    ' ',
    'null',
    '[]',
    '"',
    '{',
    '{"input":',
    '{"input": NaN}',
    '{"query": 1e999}',
    'input=aa',
    '<xml/>',
    '\ufeff{"input":"a"}',
  ],
  ...[
    '['.repeat(20_000),
    `${'{"a":'.repeat(20_000)}1`,
    '{"input": "\\ud800"}',
    "{'input': 'a'}",
    '{"input": "a"} trailing',
  ],
];
const TYPES = [
  ...['application/json', 'application/json', 'application/json; charset=utf-16', 'text/plain', 'multipart/form-data'],
  ...['application/x-www-form-urlencoded', 'application/JSON;;;', 'x', 'application/json, text/html', ''],
];
const HEADERS: [string, string][] = [
  ...([['content-encoding', 'gzip']] as [string, string][]),
  ...([
    ['authorization', 'Bearer'],
    ['authorization', 'Basic Og=='],
    ['accept', 'text/event-stream'],
  ] as [string, string][]),
  ...([
    ['x-request-id', '"}\t{'],
    ['x-request-id', 'y'.repeat(4000)],
    ['traceparent', '00-zz-zz-zz'],
  ] as [string, string][]),
  ...([
    ['origin', 'null'],
    ['host', 'evil.example'],
    ['host', '['],
    ['cookie', '__proto__=1'],
    ['te', 'trailers'],
  ] as [string, string][]),
  ...([
    ['mcp-protocol-version', '2026-07-28'],
    ['mcp-session-id', 'x'],
    ['expect', '100-continue'],
  ] as [string, string][]),
];
const RAW = [
  'GET / HTTP/9.9\r\n\r\n',
  'POST /search HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
  'POST /search HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef',
  'POST /search HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST /search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  'POST /search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n',
  'POST /search HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}',
  `GET /health HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(3000)}\r\n`,
  'GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n',
  'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n',
  'GET /health HTTP/1.1\r\nhost: x y\r\nconnection: close\r\n\r\n',
  '\u0000\u0001\u0002\u0003\r\n\r\n',
  'GET /health HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  '\r\n\r\n\r\n\r\nGET\r\n\r\n',
];

/** Makes requests that are broken in one or several ways; equal seeds make equal requests. */
export function malformed(random: Random): Malformed {
  const pick = <T>(all: readonly T[]): T => all[random.below(all.length)]!;
  const path = random.below(10) === 0 ? pick(PATHS) : pick(ROUTES);
  const headers: Record<string, string> = { 'content-type': pick(TYPES) };
  for (let more = random.below(3); more > 0; more--) {
    const [name, value] = pick(HEADERS);
    headers[name] = value;
  }
  const one: Malformed = { method: pick(METHODS), path, headers, body: bodyOf(random, pick) };
  return random.below(8) === 0 ? { ...one, raw: pick(RAW) } : one;
}

function bodyOf(random: Random, pick: <T>(all: readonly T[]) => T): Buffer {
  if (random.below(4) === 0) return Buffer.from(pick(TEXTS));
  const valid = pick(BODIES);
  const changed = Object.fromEntries(
    Object.entries(valid).map(([name, value]) => [name, random.below(3) === 0 ? pick(VALUES) : value]),
  );
  if (random.below(5) === 0)
    Object.assign(changed, { [pick(['__proto__x', 'constructor', 'toString', 'index'])]: pick(VALUES) });
  const bytes = Buffer.from(JSON.stringify(changed));
  const kind = random.below(6);
  if (kind === 0) return bytes.subarray(0, random.below(bytes.length + 1));
  if (kind === 1) for (let turn = 0; turn < 3; turn++) bytes[random.below(bytes.length)] = random.below(256);
  if (kind === 2) return Buffer.from(bytes.toString(), 'utf16le');
  return bytes;
}

/** Sends one, and returns the status; 0 if the connection ended without one. */
export async function sendMalformed(url: string, one: Malformed, agent: Agent): Promise<number> {
  const { hostname, port } = new URL(url);
  if (one.raw !== undefined) return sendRaw(Number(port), hostname, one.raw);
  return new Promise((resolve) => {
    const options = { ...{ agent, hostname, port, method: one.method }, path: one.path, headers: one.headers };
    const request = send(options, (response) => {
      response.resume().on('error', () => {});
      response.on('close', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', () => resolve(0));
    request.end(one.method === 'GET' || one.method === 'HEAD' ? undefined : one.body);
  });
}

async function sendRaw(port: number, host: string, text: string): Promise<number> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    socket.end(text);
    const answer = Buffer.concat(await socket.toArray()).toString();
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
  } catch {
    return 0;
  } finally {
    socket.destroy();
  }
}
