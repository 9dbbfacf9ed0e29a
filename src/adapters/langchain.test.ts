import { MemoryVectorStore } from '@langchain/classic/vectorstores/memory';
import { BaseCallbackHandler } from '@langchain/core/callbacks/base';
import { Document } from '@langchain/core/documents';
import { Embeddings } from '@langchain/core/embeddings';
import { BaseRetriever } from '@langchain/core/retrievers';
import { RunnableLambda } from '@langchain/core/runnables';
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
import { EXPANSION_EVENT, ExpandedEmbeddings, ExpandedRetriever } from './langchain.ts';
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

const TEXTS = ['aaa b', 'b b b b', 'a bb'].map((pageContent, at) => new Document({ pageContent, metadata: { at } }));

describe.each<[string, () => SourceOptions]>([
  ['an expander in this process', () => ({ expander: served.expander })],
  ['a server', () => ({ server: `${served.url}/v1` })],
])('%s', (_what, source) => {
  const storeOfTexts = async () => {
    const store = new MemoryVectorStore(new ExpandedEmbeddings(source()));
    await store.addDocuments(TEXTS);
    return store;
  };

  test("a vector store's documents are embedded as they are, its queries with their expansion", async () => {
    const store = await storeOfTexts();
    expect(store.memoryVectors.map(({ embedding }) => embedding)).toEqual([
      [3, 1, 2],
      [0, 4, 2],
      [1, 2, 2],
    ]);
    expect(served.chat.calls).toEqual([]);
    // The raw query would find `aaa b`.
    const [[best]] = (await store.similaritySearchWithScore('aa', 1)) as [[Document, number]];
    expect(best.pageContent).toBe('a bb');
    expect(served.chat.calls).toHaveLength(1);
  });

  test('a probe for the number of dimensions, and a budget of 0, ask no LLM', async () => {
    const embeddings = new ExpandedEmbeddings(source());
    expect(embeddings).toBeInstanceOf(Embeddings);
    for (const probe of ['test', 'foo', 'Hello world']) expect(await embeddings.embedQuery(probe)).toHaveLength(3);
    expect(await embeddings.embedQuery('aa', { budgetMs: 0 })).toEqual(RAW);
    expect(await new ExpandedEmbeddings({ ...source(), budgetMs: 0 }).embedQuery('aa')).toEqual(RAW);
    expect(await embeddings.embedQuery('aa', { expansions: ['bbbb'] })).toEqual(EXPANDED);
    expect(served.chat.calls).toEqual([]);
    expect(await embeddings.embedQuery('aa')).toEqual(EXPANDED);
  });

  test('a retriever searches a store with the expanded query, and tells callbacks and documents about it', async () => {
    const events: [string, unknown][] = [];
    class Listener extends BaseCallbackHandler {
      name = 'listener';
      override handleRetrieverStart = (_retriever: unknown, query: string) => void events.push(['start', query]);
      override handleRetrieverEnd = (found: Document[]) => void events.push(['end', found.length]);
      override handleCustomEvent = (name: string, data: unknown) => void events.push([name, data]);
    }
    const retriever = new ExpandedRetriever({
      ...source(),
      ...{ vectorStore: await storeOfTexts(), k: 2, metadataKey: 'expansion' },
    });
    expect(retriever).toBeInstanceOf(BaseRetriever);
    const texts = RunnableLambda.from((found: Document[]) => found.map(({ pageContent }) => pageContent));
    const found = await retriever.pipe(texts).invoke('aa', { callbacks: [new Listener()] });
    expect(found).toEqual(['a bb', 'b b b b']);
    const expansion = expect.objectContaining({ state: 'generated', texts: ['bbbb'], alpha: 0.5 });
    const query = expect.objectContaining({ query: 'aa', state: 'generated', texts: ['bbbb'] });
    expect(events).toEqual([
      ['start', 'aa'],
      [EXPANSION_EVENT, query],
      ['end', 2],
    ]);
    const [first] = await retriever.invoke('aa');
    expect(first!.metadata).toEqual({ at: 2, expansion });
  });

  test('a filter reaches the store; a call sets its own budget and expansions', async () => {
    const vectorStore = await storeOfTexts();
    const filter = (document: Document) => document.metadata.at !== 0;
    const retriever = new ExpandedRetriever({ ...source(), vectorStore, filter, k: 1 });
    const raw = await retriever.invoke('aa', { configurable: { budgetMs: 0 } });
    expect(raw.map(({ metadata }) => metadata.at)).toEqual([2]);
    expect(served.chat.calls).toEqual([]);
    const given = await retriever.withConfig({ configurable: { expansions: ['bbbbbbbbbb'] } }).invoke('b');
    expect(given[0]!.pageContent).toBe('b b b b');
    expect(served.chat.calls).toEqual([]);
    await expect(retriever.invoke('aa', { configurable: { budgetMs: 'long' } })).rejects.toThrow(
      /configurable\.budgetMs/,
    );
  });

  test('a signal ends the call and the writing', async () => {
    const vectorStore = await storeOfTexts();
    const calls = [
      (signal: AbortSignal) => new ExpandedEmbeddings(source()).embedQuery('aa', { signal }),
      (signal: AbortSignal) => new ExpandedRetriever({ ...source(), vectorStore }).invoke('aa', { signal }),
    ];
    for (const call of calls) {
      const hanging = hangingLlm();
      behaviour = hanging.behaviour;
      const stop = new AbortController();
      const answer = call(stop.signal);
      await hanging.asked;
      stop.abort(new Error('the user left'));
      await expect(answer).rejects.toThrow('the user left');
      await hanging.left;
    }
  });
});

test("an index of the server is searched, and the server's refusal is told", async () => {
  const retriever = new ExpandedRetriever({ server: served.url, index: 'docs' });
  await expect(retriever.invoke('aa')).rejects.toThrow(/answered 404: there is no index/);
  const found = { id: 'd1', score: 0.5, rank: 1, text: 'bbb' };
  const expansion = { state: 'hit', texts: ['bbbb'], alpha: 0.5, tokens: 0, milliseconds: 1 };
  const server = await startServer((_request, response) => {
    response.end(JSON.stringify({ query: 'aa', index: 'docs', expansion, milliseconds: {}, documents: [found] }));
  });
  const documents = await new ExpandedRetriever({ server: server.url }).invoke('aa');
  expect(documents).toEqual([new Document({ id: 'd1', pageContent: 'bbb', metadata: { score: 0.5 } })]);
  await server.close();
});

test('what passes is tried again, what lasts is not', async () => {
  const embedding = Buffer.from(Float32Array.of(1, 2).buffer).toString('base64');
  const statuses = [503, 200, 400];
  const server = await startServer((_request, response) => {
    const status = statuses.shift()!;
    response.writeHead(status, status === 503 ? { 'retry-after': '0' } : {});
    response.end(
      JSON.stringify(status === 200 ? { data: [{ embedding }] } : { error: { message: 'no', fix: 'Yes.' } }),
    );
  });
  const embeddings = new ExpandedEmbeddings({ server: server.url, apiKey: 'secret' });
  expect(await embeddings.embedDocuments(['a'])).toEqual([[1, 2]]);
  expect(server.requests[0]!.headers.authorization).toBe('Bearer secret');
  await expect(embeddings.embedDocuments(['a'])).rejects.toMatchObject({ status: 400, fix: 'Yes.' });
  expect(server.requests).toHaveLength(3);
  await server.close();
});

test('many documents are sent in several requests', async () => {
  const before = await new ExpandedEmbeddings({ server: served.url }).embedDocuments(
    Array.from({ length: 600 }, (_none, at) => 'a'.repeat(at % 7)),
  );
  expect(before.map(([a]) => a)).toEqual(Array.from({ length: 600 }, (_none, at) => at % 7));
  const long = await new ExpandedEmbeddings({ server: served.url }).embedDocuments(
    Array.from({ length: 9 }, () => 'b'.repeat(300_000)),
  );
  expect(long.map(([, b]) => b)).toEqual(Array(9).fill(300_000));
});

test('what cannot work is refused at once', () => {
  expect(() => new ExpandedRetriever({ expander: served.expander })).toThrow(/nothing to search/);
  expect(() => new ExpandedEmbeddings({ server: 'localhost' })).toThrow(/not the address/);
  expect(() => new ExpandedEmbeddings({} as never)).toThrow(/neither an expander nor a server/);
});
