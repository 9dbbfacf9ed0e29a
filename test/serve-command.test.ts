import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { llmQe } from './support/command-line.ts';
import { chat, embeddings, ScenarioServer } from './support/scenario-server.ts';
import { startServe } from './support/served-process.ts';
import { GATE_DATA } from './support/small-gate.ts';

let folder: string;
let models: ScenarioServer;
let words: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-command-'));
  models = await ScenarioServer.start({ up: embeddings, llm: () => chat('a passage about stones') });
  const documents = ['stones', 'bridges', 'rivers'].map((text, at) => `${JSON.stringify({ _id: `d${at}`, text })}\n`);
  await writeFile(join(folder, 'docs.jsonl'), documents.join(''));
  await writeFile(join(folder, 'key'), 'open sesame\n'.replace(' ', '-'));
  await writeFile(join(folder, 'gate.json'), JSON.stringify(GATE_DATA));
  const other = { ...GATE_DATA, madeFor: { ...GATE_DATA.madeFor, retriever: 'bm25' } };
  await writeFile(join(folder, 'lexical.json'), JSON.stringify(other));
  words = ['--upstream', models.at('up'), '--upstream-model', 'm', '--generator', models.at('llm')];
});
afterAll(async () => {
  await models.stop();
  await rm(folder, { recursive: true, force: true });
});

const home = () => join(folder, 'home');
const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

test.concurrent('serve: with key, gate, index and MCP; a log on stdout; it ends in order', async ({ expect }) => {
  const given = [...words, '--index', join(folder, 'docs.jsonl'), '--gate', join(folder, 'gate.json')];
  const more = ['--mcp', '--api-key-file', join(folder, 'key'), '--budget-ms', '5000'];
  const server = await startServe([...given, ...more], { home: home() });
  const headers = { authorization: 'Bearer open-sesame' };
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
  expect((await post(`${server.url}/search`, { query: 'stones' })).status).toBe(401);
  const found = await post(`${server.url}/search`, { query: 'stones' }, headers);
  expect(await found.json()).toMatchObject({ index: 'docs', expansion: { state: 'generated', gate: {} } });
  const declined = await post(`${server.url}/expand`, { query: 'a long query of many plain words' }, headers);
  expect(await declined.json()).toMatchObject({ state: 'skipped', reason: 'gate' });
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), { requestInit: { headers } }));
  expect((await client.callTool({ name: 'search', arguments: { query: 'stones' } })).structuredContent).toMatchObject({
    expansion: { state: 'hit' },
  });
  await client.close();
  expect(await server.end('SIGTERM')).toBe(0);
  expect(server.log).toMatch(/warning: the gate was trained for another search/);
  expect(server.log).not.toContain('sesame');
  const logged = server.out.trim().split('\n');
  expect(logged.map((line) => JSON.parse(line)).map(({ route, status }) => `${route} ${status}`)).toEqual(
    expect.arrayContaining(['/search 401', '/search 200', '/expand 200', '/mcp 200']),
  );
  expect(server.out).not.toContain('stones');
});

test.concurrent('serve: goes on when whoever read its log has ended', async ({ expect }) => {
  const server = await startServe(words, { home: home() });
  server.child.stdout!.destroy();
  for (const at of [1, 2, 3]) {
    expect((await post(`${server.url}/v1/embeddings`, { input: `text ${at}` })).status).toBe(200);
  }
  await expect
    .poll(async () => (await fetch(`${server.url}/metrics`)).text())
    .toMatch(/^llm_qe_log_lines_dropped_total [1-9]/m);
  expect(await server.end('SIGTERM')).toBe(0);
});

test.concurrent('mcp: an agent starts it, and talks to it over stdin and stdout', async ({ expect }) => {
  const args = ['dist/cli/main.js', 'mcp', ...words, '--index', join(folder, 'docs.jsonl'), '--budget-ms', '5000'];
  const env = { ...(process.env as Record<string, string>), LLM_QE_HOME: home() };
  const transport = new StdioClientTransport({ command: process.execPath, args, env, stderr: 'ignore' });
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(transport);
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(['search', 'expand', 'compare']);
  const answer = await client.callTool({ name: 'compare', arguments: { query: 'old stones', top: 2 } });
  expect(answer.structuredContent).toMatchObject({ index: 'docs', expanded: [{ rank: 1 }, { rank: 2 }] });
  await client.close();
});

test('what cannot work is refused before the server listens', async () => {
  const refused = await llmQe('serve', '--port', '0', ...words, '--gate', join(folder, 'lexical.json'));
  expect(refused.code).toBe(2);
  expect(refused.log).toContain('the gate was trained for --retriever bm25, but queries are served as vectors');
  const missing = await llmQe('serve', '--port', '0', ...words, '--gate', join(folder, 'none.json'));
  expect(missing).toMatchObject({ code: 1, log: expect.stringContaining('none.json') });
  const origin = await llmQe('serve', '--port', '0', ...words, '--cors', 'example.org');
  expect(origin).toMatchObject({ code: 2, log: expect.stringContaining('is no origin') });
  for (const [given, reason] of [
    [['--samples', '9', '--most-texts', '8'], '--samples 9 is more than --most-texts 8'],
    [['--no-expand'], '--generator has no effect with --no-expand'],
    [['--budget-ms', '600001'], '--budget-ms: Too big'],
  ] as const) {
    const wrong = await llmQe('serve', '--port', '0', ...words, ...given);
    expect(wrong).toMatchObject({ code: 2, log: expect.stringContaining(reason) });
  }
  for (const [given, reason] of [
    [['--upstream', models.at('up')], 'Add --upstream-model NAME'],
    [['--encoder', models.at('up')], 'Pass it as --upstream URL, with --upstream-model NAME'],
  ] as const) {
    const wrong = await llmQe('serve', '--port', '0', ...given);
    expect(wrong).toMatchObject({ code: 2, log: expect.stringContaining(reason) });
  }
});
