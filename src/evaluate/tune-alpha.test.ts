import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Encoder, TextRole } from '../embed/index.ts';
import { evaluateRun, relevantSelves } from '../measures/index.ts';
import { type Corpus, CorpusSearch, defaultRetrievalSettings, type RetrievalSettings } from '../retrieve/index.ts';
import { ExactIndex } from '../search/index.ts';
import { Random, UsageError } from '../system/index.ts';
import { runArm } from './arms.ts';
import type { Topics } from './topics.ts';
import { tuneAlpha } from './tune-alpha.ts';

const DIMENSIONS = 6;
const DOCUMENTS = 40;

/** Gives each text a random vector of its own, and counts what it is asked for. */
class CountingEncoder implements Encoder {
  readonly id = 'counting';
  readonly fingerprint = 'counting';
  readonly dimensions = DIMENSIONS;
  readonly settings = {};
  readonly asked = new Map<string, number>();

  async encode(texts: readonly string[], role: TextRole): Promise<Float32Array> {
    const vectors = new Float32Array(texts.length * DIMENSIONS);
    for (const [row, text] of texts.entries()) {
      if (role === 'query') this.asked.set(text, (this.asked.get(text) ?? 0) + 1);
      const random = new Random([...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, 7) >>> 0);
      for (let at = 0; at < DIMENSIONS; at++) vectors[row * DIMENSIONS + at] = random.normal();
    }
    return vectors;
  }

  async close(): Promise<void> {}
}

const corpus: Corpus = {
  async *documents() {
    for (let at = 0; at < DOCUMENTS; at++) yield { id: `d${at}`, title: '', text: `word${at} word${at % 7} text` };
  },
  count: async () => DOCUMENTS,
  corpusHash: async () => 'tuning',
};

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tune-alpha-'));
  vi.stubEnv('LLM_QE_HOME', home);
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

function open(settings: Partial<RetrievalSettings> = {}) {
  const encoder = new CountingEncoder();
  const search = new CorpusSearch(corpus, defaultRetrievalSettings({ threads: 1, ...settings }), { encoder });
  return { encoder, search };
}

/** Every third query has no expansion; query d3 and d4 are named like documents, and only d4 judges itself relevant. */
function topics(count: number): Topics {
  const ids = Array.from({ length: count }, (_none, at) => (at === 3 || at === 4 ? `d${at}` : `q${at}`));
  return {
    ...{ dataset: 'toy', split: 'dev' },
    queries: ids.map((id, at) => ({
      id,
      text: `word${at % 11} query ${at}`,
      expansions: at % 3 === 2 ? [] : [`first passage ${at}`, `second passage ${at} word${at % 5}`],
    })),
    qrels: new Map(ids.map((id, at) => [id, new Map([[id === 'd4' ? 'd4' : `d${(at * 7) % DOCUMENTS}`, 1]])])),
  };
}

const OPTIONS = { measure: 'nDCG@10', depth: 1000, keepSelf: false };
const ELEVEN = Array.from({ length: 11 }, (_none, at) => at / 10);

describe('tuning alpha', () => {
  it('embeds each text of 6,980 queries once, and passes over the corpus once, no deeper than the measure', async () => {
    const { encoder, search } = open();
    const passes = vi.spyOn(ExactIndex.prototype, 'search');
    const { points } = await tuneAlpha(search, topics(6980), { ...OPTIONS, alphas: ELEVEN });
    expect(points.map(({ alpha }) => alpha)).toEqual(ELEVEN);
    expect([...new Set(encoder.asked.values())]).toEqual([1]);
    expect(encoder.asked.size).toBe(6980 + 2 * Math.ceil((6980 * 2) / 3));
    expect(passes.mock.calls.map(([, k]) => k)).toEqual([10]);
    await search.close();
  });

  it.each([
    ['dense', 'dot', 'nDCG@10', false],
    ['dense', 'cosine', 'nDCG@10', false],
    ['dense', 'dot', 'MAP', true],
    ['rrf', 'cosine', 'MRR@3', false],
  ] as const)(
    'gives what an evaluation under each alpha gives (%s, %s, %s)',
    async (kind, similarity, measure, keepSelf) => {
      const { search } = open({ similarity });
      const dev = topics(60);
      const { points } = await tuneAlpha(search, dev, { ...OPTIONS, kind, measure, keepSelf, alphas: [1, 0, 0.3] });
      expect(points.map(({ alpha }) => alpha)).toEqual([0, 0.3, 1]);
      for (const { alpha, value } of points) {
        const retriever = await search.retriever(kind, { alpha });
        const options = { depth: 1000, dropSelf: !keepSelf, keepSelfOf: relevantSelves(dev.qrels) };
        const { run } = await retriever.retrieve(dev.queries, options);
        expect(value).toBe(evaluateRun(dev.qrels, run, { measures: [measure], complete: true }).mean[measure]);
      }
      expect(new Set(points.map(({ value }) => value)).size).toBeGreaterThan(1);
      await search.close();
    },
  );

  it('keeps the order of the queries, and their hits', async () => {
    const { search } = open();
    const { queries } = topics(7);
    const options = { depth: 4, dropSelf: true };
    for (const [at, run] of (
      await search.combinedRuns('dense', [{ alpha: 0.2 }, { alpha: 0.9 }], queries, options)
    ).entries()) {
      const one = await (await search.retriever('dense', { alpha: [0.2, 0.9][at]! })).retrieve(queries, options);
      expect([...run]).toEqual([...one.run]);
    }
    await search.close();
  });

  it('needs alphas, and a measure of quality', async () => {
    const { search } = open();
    await expect(tuneAlpha(search, topics(3), { ...OPTIONS, alphas: [] })).rejects.toThrow(UsageError);
    await expect(tuneAlpha(search, topics(3), { ...OPTIONS, alphas: [1.1] })).rejects.toThrow(UsageError);
    await expect(tuneAlpha(search, topics(3), { ...OPTIONS, alphas: [0], measure: 'num_ret' })).rejects.toThrow();
    await search.close();
  });
});

describe('a query whose id is a document', () => {
  it.each(['dense', 'bm25', 'rrf'] as const)('keeps it if it judges it relevant, and only then (%s)', async (kind) => {
    const { search } = open();
    const test = topics(8);
    const retriever = await search.retriever(kind);
    const run = async (dropSelf: boolean) =>
      runArm({ name: '', description: '', retriever, topics: test }, { depth: 40, dropSelf });
    const left = await run(true);
    const found = (query: string) => left.retrieval.run.get(query)!.some(({ id }) => id === query);
    expect([found('d3'), found('d4')]).toEqual([false, true]);
    expect(left.selfRetrieval).toEqual({ dropped: true, kept: 1, queries: 8 });
    const kept = await run(false);
    expect(kept.retrieval.run.get('d3')!.some(({ id }) => id === 'd3')).toBe(true);
    expect(kept.selfRetrieval).toEqual({ dropped: false, kept: 1, queries: 8 });
    await search.close();
  });
});
