import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { standard } from '../../../test/support/browser.ts';
import { type Behaviour, ChatServer } from '../../../test/support/chat-server.ts';
import { LetterCounts, written } from '../../../test/support/served-letters.ts';
import { connectGenerator, PROMPTS } from '../../generate/index.ts';
import { answerFailure } from '../http/failures.ts';
import type { Failure } from '../shapes/studio.ts';
import type { TryExamples, TryFacts, TryRank, TryRankings, TryWritten } from '../shapes/try.ts';
import { Studio } from '../studio.ts';
import { studioApi } from './index.ts';

let folder: string;
let chat: ChatServer;
let studio: Studio;
let api: ReturnType<typeof studioApi>;
let behaviour: Behaviour;
const stop = new AbortController();
const encoder = new LetterCounts();

const DOCUMENTS = [
  { _id: 'd0', title: 'Aaa', text: 'many a, and a zebra' },
  { _id: 'd1', title: '', text: 'bbbb bbbb' },
  { _id: 'd2', title: 'Both', text: '<img src=x onerror=alert(1)> ab zebra' },
  { _id: 'd3', title: '', text: 'nothing of it: o' },
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'studio-try-'));
  process.env.LLM_QE_HOME = join(folder, 'home');
  const data = join(folder, 'letters');
  await mkdir(join(data, 'qrels'), { recursive: true });
  const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(join(data, 'corpus.jsonl'), lines(DOCUMENTS));
  const queries = [
    { _id: 'q0', text: 'not judged' },
    { _id: 'q1', text: 'A zebra' },
  ];
  await writeFile(join(data, 'queries.jsonl'), lines(queries));
  await writeFile(join(data, 'qrels', 'test.tsv'), 'query-id\tcorpus-id\tscore\nq1\td2\t2\nq1\td1\t0\n');
  chat = await ChatServer.start((...call) => behaviour(...call));
  const openGenerator = () => connectGenerator({ baseUrls: [chat.baseUrl], retries: 0 });
  studio = new Studio({
    ...standard(join(folder, 'runs'), stop.signal),
    corpora: [data],
    openEncoder: async () => encoder,
    openGenerator,
    generators: [chat.baseUrl],
    others: [{ generators: ['other'], adapters: ['runs/one/aligned'], open: openGenerator }],
  });
  api = studioApi(studio).onError((error, context) => answerFailure(context, error, () => {}));
});

beforeEach(() => {
  behaviour = () => written('bbbb');
});

afterAll(async () => {
  stop.abort();
  await studio.close();
  await chat.stop();
  await rm(folder, { recursive: true });
});

const post = (path: string, body: object, signal?: AbortSignal) =>
  api.request(path, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
    ...(signal && { signal }),
  });

const RANK: TryRank = {
  ...{ corpus: 'letters', query: 'a zebra', arms: [], retriever: 'dense', alpha: 0.5, queryRepeats: 1, top: 10 },
  filter: '',
};

async function rank(changes: Partial<TryRank> = {}): Promise<TryRankings> {
  const answer = await post('/try/rank', { ...RANK, ...changes });
  expect(answer.status).toBe(200);
  return (await answer.json()) as TryRankings;
}

async function faultOf(answer: Response | Promise<Response>): Promise<[number, string]> {
  const told = await answer;
  return [told.status, ((await told.json()) as Failure).error.message];
}

const EXPAND = { query: 'who', writer: '', prompt: 'About {query}', samples: 1 };

/** The events of an answer, in order. */
async function expand(changes: Partial<typeof EXPAND> = {}) {
  const answer = await post('/try/expand', { ...EXPAND, writer: studio.writers[0]!.name, ...changes });
  return [...(await answer.text()).matchAll(/event: (\w+)\ndata: (.*)\n/g)].map(([, event, data]) => ({
    event: event!,
    data: JSON.parse(data!) as TryWritten & Failure,
  }));
}

describe('what the screen offers', () => {
  it('names corpora, writers and prompts', async () => {
    const facts = (await (await api.request('/try')).json()) as TryFacts;
    expect(facts.corpora.map(({ name }) => name)).toEqual(['letters']);
    expect(facts.writers.map(({ name }) => name)).toEqual([chat.baseUrl, 'other + aligned']);
    expect(facts.prompts.map(({ name }) => name)).toEqual(['q2d', 'q2q', 'q2e', 'q2c']);
    expect(facts.prompts[0]!.text).toBe(PROMPTS.q2d.text);
  });

  it('suggests the queries of a corpus, judged ones first', async () => {
    const ask = async (like: string) =>
      (await (await api.request(`/try/examples?corpus=letters&like=${like}`)).json()) as TryExamples;
    expect((await ask('')).queries.map(({ id, isJudged }) => [id, isJudged])).toEqual([
      ['q1', true],
      ['q0', false],
    ]);
    expect(await ask('JUDGED')).toEqual({ total: 2, queries: [{ id: 'q0', text: 'not judged', isJudged: false }] });
  });
});

describe('expansions', () => {
  it('are sent as they are written, and written side by side', async () => {
    behaviour = ({ messages }) => written(`bb ${messages[0]!.content}`);
    const events = await expand({ samples: 2 });
    const { event, data } = events.at(-1)!;
    expect(event).toBe('written');
    expect(data).toMatchObject({ texts: ['bb About who', 'bb About who'], tokens: 8, kept: 0 });
    expect(events.slice(0, -1).map((one) => one.event)).toContain('texts');
  });

  it('are kept: another number of them costs only the new ones', async () => {
    const before = chat.calls.length;
    const query = 'kept';
    await expand({ query, samples: 2 });
    const seeds = chat.calls.slice(before).map(({ seed }) => seed);
    expect((await expand({ query, samples: 3 })).at(-1)!.data).toMatchObject({ kept: 2, tokens: 4 });
    expect(chat.calls.length).toBe(before + 3);
    expect(seeds).not.toContain(chat.calls.at(-1)!.seed);
    expect((await expand({ query, samples: 1 })).at(-1)!.data).toMatchObject({ kept: 1, tokens: 0 });
    // Another prompt is another text.
    expect((await expand({ query, prompt: 'On {query}' })).at(-1)!.data).toMatchObject({ kept: 0 });
  });

  it('end when the page leaves, and are not kept', async () => {
    const [leave, called, left] = [new AbortController(), latch(), latch()];
    behaviour = async (_call, _number, _request, response) => {
      response.on('close', left.open);
      called.open();
      await left.opened;
      return undefined;
    };
    const answer = await post('/try/expand', { ...EXPAND, query: 'left', writer: chat.baseUrl }, leave.signal);
    const reader = answer.body!.getReader();
    void reader.read().catch(() => {});
    await called.opened;
    await reader.cancel();
    leave.abort();
    await left.opened;
    behaviour = () => written('bbbb');
    expect((await expand({ query: 'left' })).at(-1)!.data).toMatchObject({ kept: 0, texts: ['bbbb'] });
  });

  it('say what failed at the writer', async () => {
    behaviour = () => ({ status: 401, body: { error: { message: 'the key is wrong' } } });
    const [failure] = (await expand({ query: 'refused' })).slice(-1);
    expect(failure!.event).toBe('failure');
    expect(failure!.data.error.message).toContain('the key is wrong');
  });

  it.each([
    ['a prompt without a query', { prompt: 'no place' }, 400, 'the prompt lacks {query}'],
    ['a prompt with a document', { prompt: '{query} {document}' }, 400, 'the prompt needs a relevant document'],
    ['a long prompt', { prompt: `{query}${'x'.repeat(9000)}` }, 400, 'prompt: a prompt has at most 8,000 characters'],
    ['a query of 100 kB', { query: 'x'.repeat(100_000) }, 400, 'query: a query has at most 2,000 characters'],
    ['an empty query', { query: ' \n' }, 400, 'query: there is no query'],
    ['too many', { samples: 17 }, 400, 'samples: '],
    ['an unknown writer', { writer: 'nobody' }, 404, 'there is no writer "nobody"'],
  ])('are refused for %s', async (_what, changes, status, message) => {
    const body = { ...EXPAND, writer: chat.baseUrl, ...changes };
    const [given, told] = await faultOf(post('/try/expand', body));
    expect([given, told.slice(0, message.length)]).toEqual([status, message]);
  });
});

describe('a ranking', () => {
  it('has titles, snippets with marked words as text, and judgements of the known query', async () => {
    const { raw, known, documents } = await rank({ query: ' A  zebra ' });
    expect({ known, documents }).toEqual({ known: { id: 'q1', judgements: 2, relevant: 1 }, documents: 4 });
    const cards = new Map(raw.cards.map((card) => [card.id, card]));
    expect([...cards.values()].map(({ id, relevance }) => [id, relevance]).sort()).toEqual([
      ['d0', undefined],
      ['d1', 0],
      ['d2', 2],
      ['d3', undefined],
    ]);
    expect(cards.get('d2')).toMatchObject({
      title: 'Both',
      snippet: [{ text: '<img src=x onerror=alert(1)> ab ' }, { text: 'zebra', of: 'query' }],
    });
    expect(raw.ndcg10).toBeCloseTo(1 / Math.log2(1 + cards.get('d2')!.rank), 9);
  });

  it('tells the moves in both lists, and shares that sum to the scores', async () => {
    const { raw, arms } = await rank({ arms: [{ texts: ['bbbb', 'bb'] }, { texts: ['aaaa'] }], alpha: 1 });
    expect(arms.map(({ cards }) => cards[0]!.id)).toEqual(['d1', 'd0']);
    const first = arms[0]!.cards[0]!;
    const before = raw.cards.find(({ id }) => id === 'd1')!;
    expect(first.others).toEqual([before.rank]);
    expect(before.others).toEqual([1, arms[1]!.cards.find(({ id }) => id === 'd1')!.rank]);
    for (const { score, why } of [...raw.cards, ...arms.flatMap(({ cards }) => cards)]) {
      const { query, expansions } = why.dense!;
      expect(Math.abs(query + expansions.reduce((sum, share) => sum + share, 0) - score)).toBeLessThan(1e-6);
    }
    // At alpha 1 the expansions are all of it: (0, 4, 1) and (0, 2, 1) with (0, 8, 2).
    expect(first.why.dense).toEqual({ score: 26, query: 0, expansions: [17, 9] });
  });

  it('by BM25 sums up the words of least weight', async () => {
    const words = Array.from({ length: 30 }, (_none, at) => `w${at}`).join(' ');
    const { arms } = await rank({ retriever: 'bm25', arms: [{ texts: [`${words} zebra many nothing`] }] });
    for (const { score, why } of arms[0]!.cards) {
      expect(why.bm25!.terms.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(score, 6);
    }
    expect(arms[0]!.cards.map(({ id }) => id)).not.toContain('d1');
  });

  it('by both tells ranks as well', async () => {
    const { raw } = await rank({ retriever: 'rrf' });
    const { fused, dense, bm25 } = raw.cards[0]!.why;
    expect(fused!.dense!.share + (fused!.bm25?.share ?? 0)).toBeCloseTo(raw.cards[0]!.score, 7);
    expect([dense, bm25].every((one) => one !== undefined)).toBe(true);
  });

  it('is counted among the documents that pass the filter', async () => {
    const { raw, passing, documents } = await rank({ filter: 'ZEBRA' });
    expect({ passing, documents }).toEqual({ passing: 2, documents: 4 });
    expect(raw.cards.map(({ id, rank }) => [id, rank])).toEqual([
      ['d0', 1],
      ['d2', 2],
    ]);
    expect(raw.ndcg10).toBeUndefined();
  });

  it('by another alpha embeds nothing', async () => {
    await rank({ arms: [{ texts: ['bbbb'] }] });
    const calls = encoder.calls.length;
    await rank({ arms: [{ texts: ['bbbb'] }], alpha: 0.1 });
    expect(encoder.calls.length).toBe(calls);
  });

  it('needs a corpus that is open', async () => {
    expect(await faultOf(post('/try/rank', { ...RANK, corpus: 'none' }))).toEqual([404, 'there is no corpus "none"']);
  });
});

/** Something that is waited for until it happens. */
function latch() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
