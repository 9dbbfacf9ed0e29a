import { embed, embedMany, generateText, stepCountIs } from 'ai';
import { MockLanguageModelV3 } from 'ai/test';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Behaviour } from '../../test/support/chat-server.ts';
import { startServer } from '../../test/support/local-server.ts';
import {
  EXPANDED,
  hangingLlm,
  RAW,
  type ServedLetters,
  serveLetters,
  written,
} from '../../test/support/served-letters.ts';
import { documentEmbeddingModel, expandedSearch, queryEmbeddingModel } from './ai-sdk.ts';
import type { SourceOptions } from './source.ts';

let served: ServedLetters;
let behaviour: Behaviour;
beforeAll(async () => {
  served = await serveLetters({ behaviour: (...call) => behaviour(...call), expander: { budgetMs: 60_000 } });
});
beforeEach(() => {
  behaviour = () => written('bbbb');
  served.chat.calls.length = 0;
});
afterAll(() => served.close());

describe.each<[string, () => SourceOptions]>([
  ['an expander in this process', () => ({ expander: served.expander })],
  ['a server', () => ({ server: served.url })],
])('%s', (_what, source) => {
  test('a budget may be what is left of a deadline: a fraction, nothing, or all the time there is', async () => {
    const stateOf = async (budgetMs: number) => {
      const { providerMetadata } = await embed({ model: queryEmbeddingModel({ ...source(), budgetMs }), value: 'aa' });
      return providerMetadata!['llm-qe']!.expansions;
    };
    expect(await stateOf(-12.5)).toMatchObject([{ reason: 'no budget' }]);
    expect(served.chat.calls).toEqual([]);
    expect(await stateOf(30_000.5)).toMatchObject([{ state: 'generated' }]);
    expect(await stateOf(Number.POSITIVE_INFINITY)).toMatchObject([{ state: 'generated' }]);
  });

  test('documents are embedded as they are, queries with their expansion, and the result says how', async () => {
    const documents = await embedMany({ model: documentEmbeddingModel(source()), values: ['aaa b', 'bb'] });
    expect(documents.embeddings).toEqual([
      [3, 1, 2],
      [0, 2, 2],
    ]);
    expect(documents.usage).toEqual({ tokens: 7 });
    expect(served.chat.calls).toEqual([]);
    const query = await embed({ model: queryEmbeddingModel(source()), value: 'aa' });
    expect(query.embedding).toEqual(EXPANDED);
    expect(query.usage).toEqual({ tokens: 'aabbbb'.length });
    expect(query.providerMetadata).toMatchObject({
      'llm-qe': { expansions: [{ state: 'generated', texts: ['bbbb'], alpha: 0.5 }] },
    });
  });

  test('several queries at once, and the options of a call', async () => {
    const model = queryEmbeddingModel(source());
    const values = Array.from({ length: 40 }, (_none, at) => 'a'.repeat(at + 1));
    const many = await embedMany({ model, values });
    expect(many.embeddings.map(([a]) => a)).toEqual(values.map(({ length }) => length / 2));
    served.chat.calls.length = 0;
    const at = (options: Record<string, number | string | string[]>) =>
      embed({ model, value: 'aa', providerOptions: { 'llm-qe': options } });
    expect((await at({ budgetMs: 0 })).embedding).toEqual(RAW);
    expect((await at({ expansions: ['bbbb'] })).embedding).toEqual(EXPANDED);
    expect((await embed({ model: queryEmbeddingModel({ ...source(), budgetMs: 0 }), value: 'aa' })).embedding).toEqual(
      RAW,
    );
    expect(served.chat.calls).toEqual([]);
    await expect(at({ budgetMs: 'long' })).rejects.toThrow(/providerOptions\.llm-qe\.budgetMs/);
    const shared = { 'llm-qe': { expansions: ['b'] } };
    await expect(embedMany({ model, values: ['a', 'b'], providerOptions: shared })).rejects.toThrow(/expansions/);
  });

  test('a signal ends the call and the writing', async () => {
    const hanging = hangingLlm();
    behaviour = hanging.behaviour;
    const stop = new AbortController();
    const answer = embed({ model: queryEmbeddingModel(source()), value: 'aa', abortSignal: stop.signal });
    await hanging.asked;
    stop.abort();
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
    await hanging.left;
  });

  test("an LLM's tool call searches with the expanded query", async () => {
    const searched: [Float32Array, number][] = [];
    const index = {
      search: async (vector: Float32Array, top: number) => {
        searched.push([vector, top]);
        return [{ id: 'd1', text: 'b b b b' }];
      },
    };
    const answers = [toolCall('search', { query: 'aa', top: 3 }), finalText('done')];
    const model = new MockLanguageModelV3({ doGenerate: async () => answers.shift()! });
    const { text, steps } = await generateText({
      ...{ model, prompt: 'What is b?', stopWhen: stepCountIs(2) },
      tools: { search: expandedSearch({ ...source(), index }) },
    });
    expect(text).toBe('done');
    expect(searched).toEqual([[Float32Array.from(EXPANDED), 3]]);
    expect(steps[0]!.toolResults[0]).toMatchObject({
      output: { query: 'aa', expansion: { state: 'generated', texts: ['bbbb'] }, documents: [{ id: 'd1' }] },
    });
    // The LLM gets what was found.
    expect(JSON.stringify(model.doGenerateCalls[1]!.prompt)).toContain('b b b b');
  });
});

test('the tool takes nothing else from the LLM', () => {
  const { inputSchema } = expandedSearch({ server: served.url });
  expect(inputSchema.safeParse({ query: 'aa' }).success).toBe(true);
  for (const input of [{}, { query: '' }, { query: 'a', top: 1000 }]) {
    expect(inputSchema.safeParse(input).success).toBe(false);
  }
  expect(() => expandedSearch({ expander: served.expander })).toThrow(/nothing to search/);
});

test('the AI SDK repeats what may pass, sends its headers, and tells what lasts', async () => {
  const embedding = Buffer.from(Float32Array.of(1, 2).buffer).toString('base64');
  const statuses = [429, 200, 401];
  const server = await startServer((_request, response) => {
    const status = statuses.shift()!;
    response.writeHead(status, status === 429 ? { 'retry-after': '0' } : {});
    response.end(
      JSON.stringify(status === 200 ? { data: [{ embedding }] } : { error: { message: 'no', fix: 'Yes.' } }),
    );
  });
  const model = documentEmbeddingModel({ server: server.url, apiKey: 'secret' });
  expect(await embed({ model, value: 'a', headers: { 'x-own': '1' } })).toMatchObject({ embedding: [1, 2] });
  expect(server.requests[1]!.headers).toMatchObject({ 'x-own': '1', authorization: 'Bearer secret' });
  await expect(embed({ model, value: 'a' })).rejects.toMatchObject({ status: 401, fix: 'Yes.' });
  expect(server.requests).toHaveLength(3);
  await server.close();
});

type Answer = Awaited<ReturnType<MockLanguageModelV3['doGenerate']>>;
const USAGE = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};

function toolCall(toolName: string, input: object): Answer {
  const content = [{ type: 'tool-call' as const, toolCallId: '1', toolName, input: JSON.stringify(input) }];
  return { content, finishReason: { unified: 'tool-calls', raw: 'tool_calls' }, usage: USAGE, warnings: [] };
}

function finalText(text: string): Answer {
  const content = [{ type: 'text' as const, text }];
  return { content, finishReason: { unified: 'stop', raw: 'stop' }, usage: USAGE, warnings: [] };
}
