import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Behaviour } from '../../../test/support/chat-server.ts';
import { serveLetters, written } from '../../../test/support/served-letters.ts';
import { type McpEndpoint, openMcpEndpoint } from './mcp.ts';

let behaviour: Behaviour = () => written('bbbb');
let endpoint: McpEndpoint;
let server: Awaited<ReturnType<typeof serveLetters>>;

beforeAll(async () => {
  endpoint = await openMcpEndpoint({ host: '127.0.0.1', hasKey: false, origins: ['https://pages.example'] });
  server = await serveLetters({
    behaviour: (...call) => behaviour(...call),
    documents: ['aaa b', 'b b b b', 'a bb', 'a'.repeat(3000)],
    listen: { mcp: endpoint },
  });
});
afterAll(async () => {
  await endpoint.close();
  await server.close();
});

async function connected(mode: 'legacy' | 'auto' = 'auto') {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)));
  return client;
}

type Compared = {
  id: string;
  rank: number;
  raw_rank: number | null;
  move: number | null;
  expanded_rank: number | null;
};

describe.each(['auto', 'legacy'] as const)('a client of the SDK (%s)', (mode) => {
  test('finds the tools, with schemas of arguments and answers', async () => {
    const client = await connected(mode);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['search', 'expand', 'compare']);
    expect(tools[0]!.inputSchema).toMatchObject({
      required: ['query'],
      properties: { top: { anyOf: [{ maximum: 100 }, { type: 'null' }] } },
    });
    expect(tools[0]!.outputSchema).toMatchObject({ properties: { documents: { type: 'array' } } });
    await client.close();
  });

  test('searches, expands and compares', async () => {
    const client = await connected(mode);
    const found = await client.callTool({ name: 'search', arguments: { query: 'b', top: 2, expansions: ['aaaa'] } });
    expect(found.structuredContent).toMatchObject({
      ...{ query: 'b', index: 'docs', expansion: { state: 'given', texts: ['aaaa'] } },
      documents: [{ rank: 1, id: 'd3', text: `${'a'.repeat(1000)}...` }, { rank: 2 }],
    });
    expect(JSON.parse((found.content[0] as { text: string }).text)).toEqual(found.structuredContent);
    const { structuredContent: expansion } = await client.callTool({ name: 'expand', arguments: { query: 'aa' } });
    expect(expansion).toMatchObject({ query: 'aa', expansion: { state: 'generated', texts: ['bbbb'], tokens: 4 } });
    const raw = await client.callTool({ name: 'expand', arguments: { query: 'aa', expansion_budget_ms: 0 } });
    expect(raw.structuredContent).toMatchObject({ expansion: { state: 'fallback', reason: 'no budget' } });
    const { structuredContent: moves } = await client.callTool({
      name: 'compare',
      arguments: { query: 'b b', top: 2, expansions: ['aaaaaaaa'] },
    });
    const { expanded, raw: unexpanded } = moves as { expanded: Compared[]; raw: Compared[] };
    // Raw, the letters b count: d1 (4), d2 (2), d0 (1), d3; with the text, the letters a.
    expect(expanded.map(({ id, raw_rank, move }) => [id, raw_rank, move])).toEqual([
      ['d3', 4, 3],
      ['d0', 3, 1],
    ]);
    expect(unexpanded.map(({ id, expanded_rank }) => [id, expanded_rank])).toEqual([
      ['d1', null],
      ['d2', null],
    ]);
    await client.close();
  });
});

test('a call that cannot be answered tells the agent what to do', async () => {
  const client = await connected();
  const answer = await client.callTool({ name: 'search', arguments: { query: 'a', index: 'none' } });
  expect(answer).toMatchObject({ isError: true, content: [{ text: 'index: there is no "none". Use one of: docs.' }] });
  await client.close();
});

test('what a model sets to null is not set', async () => {
  const client = await connected();
  const nothing = { index: null, top: null, characters: null, expansion_budget_ms: null, expansions: null };
  const { structuredContent: found } = await client.callTool({
    name: 'search',
    arguments: { query: 'b b', ...nothing },
  });
  expect(found).toMatchObject({ index: 'docs', expansion: { state: 'generated' }, documents: [{}, {}, {}, {}] });
  const { tools } = await client.listTools();
  expect(tools[0]!.inputSchema.required).toEqual(['query']);
  await client.close();
});

test.each(['auto', 'legacy'] as const)('a call that is given up ends the writing (%s)', async (mode) => {
  let isGone = false;
  let begun = (): void => {};
  const writes = new Promise<void>((resolve) => {
    begun = resolve;
  });
  behaviour = (_call, _number, _request, response) => {
    response.on('close', () => {
      isGone = true;
    });
    begun();
    return new Promise(() => {});
  };
  const client = await connected(mode);
  const leaves = new AbortController();
  const call = client.callTool(
    { name: 'expand', arguments: { query: `aaa ${mode}`, expansion_budget_ms: 60_000 } },
    { signal: leaves.signal },
  );
  const left = expect(call).rejects.toThrow();
  await writes;
  // A client of 2025 tells it in another request, which belongs to no session here: its connection has to end.
  await (mode === 'legacy' ? client.close() : leaves.abort());
  await left;
  await expect.poll(() => isGone).toBe(true);
  behaviour = () => written('bbbb');
  await client.close();
});

test('its expansions are counted like all others', async () => {
  const before = await server.metric('llm_qe_expansions_total{state="given",reason=""}');
  const client = await connected();
  await client.callTool({ name: 'expand', arguments: { query: 'aa', expansions: ['b'] } });
  await client.close();
  expect(await server.metric('llm_qe_expansions_total{state="given",reason=""}')).toBe(before + 1);
});

test.each([
  ['a foreign host', { host: 'evil.example' }, 403],
  ['a page of a foreign origin', { origin: 'https://evil.example' }, 403],
  ['a page of this machine', { origin: 'http://localhost:3000' }, 200],
  ['a page of a named origin', { origin: 'https://pages.example' }, 200],
])('DNS rebinding: %s', async (_what, headers, status) => {
  const request = new Request(`${server.url}/mcp`, {
    method: 'POST',
    headers: {
      ...{ 'content-type': 'application/json', accept: 'application/json, text/event-stream', host: '127.0.0.1' },
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
  });
  const answer = await endpoint.fetch(request, { service: server.service, observe() {} });
  expect(answer.status).toBe(status);
});

test('with a key, another name of the server is no danger', async () => {
  const guarded = await openMcpEndpoint({ host: '0.0.0.0', hasKey: true, origins: [] });
  const request = new Request('http://docs.example/mcp', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      host: 'docs.example',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
  });
  expect((await guarded.fetch(request, { service: server.service, observe() {} })).status).toBe(200);
  await guarded.close();
});
