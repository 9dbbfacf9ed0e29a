import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type McpEndpoint, openMcpEndpoint } from '../src/serve/index.ts';
import { exampleOf, printed, printedByNode, withAddresses } from './support/page-examples.ts';
import { PgliteServer } from './support/pglite-server.ts';
import { type ServedLetters, serveLetters } from './support/served-letters.ts';

/** The examples of the pages, as their readers run them: a client in its own process, over HTTP. Needs dist/. */
const TEXTS = ['Keys are rotated every 90 days.', 'Backups run at night.'];
const QUERY = 'how do I rotate a key';
const SHOWN = 'http://127.0.0.1:8090';

let served: ServedLetters;
let mcp: McpEndpoint;
beforeEach(async () => {
  mcp = await openMcpEndpoint({ host: '127.0.0.1', hasKey: false, origins: [] });
  served = await serveLetters({ documents: TEXTS, expander: { budgetMs: 60_000 }, listen: { mcp } });
  served.chat.calls.length = 0;
  served.encoder.forget();
});
afterEach(async () => {
  await mcp.close();
  await served.close();
});

/** The LLM of a conversation: it searches once, and answers with what it got. */
const SEARCHING_LLM = `
import { MockLanguageModelV3 } from 'ai/test';
const tokens = { total: 1 };
const usage = { inputTokens: tokens, outputTokens: tokens };
const call = { type: 'tool-call', toolCallId: '1', toolName: 'search', input: '{"query":"${QUERY}"}' };
const model = new MockLanguageModelV3({
  doGenerate: async ({ prompt }) =>
    prompt.at(-1).role === 'tool'
      ? { content: [{ type: 'text', text: JSON.stringify(prompt.at(-1)) }], finishReason: { unified: 'stop' }, usage, warnings: [] }
      : { content: [call], finishReason: { unified: 'tool-calls' }, usage, warnings: [] },
});
`;

describe('docs/clients.md and docs/serving-recipes.md', () => {
  const letters = '[\\s\\S]*(Keys are rotated|Backups run)';
  test.each<[string, string, RegExp]>([
    ['docs/clients.md', 'OpenAI, Node', /^2 3$/],
    ['docs/clients.md', 'LangChain\\.js', new RegExp(`^${letters}.* generated$`)],
    ['docs/clients.md', 'Vercel AI SDK', new RegExp(`^${letters}.* generated$`)],
    ['docs/serving-recipes.md', 'pgvector', new RegExp(`^${letters}`)],
  ])('%s: %s', async (page, heading, answer) => {
    const postgres = heading === 'pgvector' ? await PgliteServer.start() : undefined;
    const code = withAddresses(exampleOf(page, heading, 'js'), {
      [SHOWN]: served.url,
      ...(postgres && { 'postgres@localhost:5432': `postgres@127.0.0.1:${postgres.port}` }),
    });
    expect(await printedByNode(code)).toMatch(answer);
    await postgres?.stop();
    // Documents as they are, and the query with its expansion.
    expect(served.encoder.embedded('document')).toEqual([...TEXTS].sort());
    expect(served.encoder.embedded('query')).toEqual(['bbbb', QUERY]);
    expect(served.chat.calls).toHaveLength(1);
  });
});

describe('docs/clients.md, with an index of the server', () => {
  test.each([
    ['As a tool', SEARCHING_LLM],
    ['Agents', ''],
  ])('%s', async (heading, before) => {
    const code = withAddresses(exampleOf('docs/clients.md', heading, 'js'), { [SHOWN]: served.url });
    const answer = await printedByNode(before + code);
    expect(answer).toMatch(/Keys are rotated|Backups run/);
    expect(answer).toMatch(/generated/);
    expect(served.chat.calls).toHaveLength(1);
  });
});

describe('the curl lines of docs/serving.md', () => {
  const lines = exampleOf('docs/serving.md', 'From the shell', 'sh')
    .replaceAll('\\\n', '')
    .split('\n')
    .filter((line) => line.startsWith('curl '));

  test('are some', () => expect(lines.length).toBeGreaterThan(3));

  test.each(lines)('%s', async (line) => {
    const command = withAddresses(line, { [SHOWN]: served.url });
    const text = await printed('sh', ['-c', `${command} --fail-with-body`]);
    if (/"stream": true/.test(line)) expect(text).toMatch(/^event: expansion$/m);
    else if (/metrics$/.test(line)) expect(text).toMatch(/^# HELP llm_qe_request_seconds/m);
    else expect(Object.keys(JSON.parse(text) as object).length).toBeGreaterThan(0);
    expect(served.chat.calls.length).toBe(/query"|\/query\/|"query":/.test(line) && !/expansions"/.test(line) ? 1 : 0);
  });
});
