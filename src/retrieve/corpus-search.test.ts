import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FiveCorpus, FiveEncoder, fiveDocuments } from '../../test/support/five-documents.ts';
import { ModelStore } from '../models/index.ts';
import { type Progress, SILENT, UsageError } from '../system/index.ts';
import { CorpusSearch } from './corpus-search.ts';
import { openEncoder } from './open-encoder.ts';
import { openCorpus } from './own-corpus.ts';
import { defaultRetrievalSettings } from './settings.ts';

/** The five documents of test/support/five-documents.ts. */
const open = await fiveDocuments();
const KINDS = ['dense', 'bm25', 'rrf'] as const;

describe('a corpus that is searched', () => {
  it('is read once for its vectors and once for its terms, however many retrievers share them', async () => {
    const [corpus, encoder] = [new FiveCorpus(), new FiveEncoder()];
    const first = open({ k1: 1.5 }, { corpus, encoder });
    for (const kind of [...KINDS, ...KINDS]) await first.retriever(kind);
    const reads = corpus.reads;
    expect(reads).toBe(2);
    expect(encoder.calls.filter(([role]) => role === 'document')).toHaveLength(1);
    // A later search of the same content reads nothing.
    const again = open({ k1: 1.5 }, { corpus, encoder });
    for (const kind of KINDS) expect((await again.retriever(kind)).size).toBe(5);
    expect(corpus.reads).toBe(reads);
    // Other settings of BM25 need its terms again, and no vectors.
    const other = open({ k1: 1.75 }, { corpus, encoder });
    for (const kind of KINDS) await other.retriever(kind);
    expect(corpus.reads).toBe(reads + 1);
    expect(encoder.calls.filter(([role]) => role === 'document')).toHaveLength(1);
  });

  it('reports which documents it lacks once an index is open, and nothing before', async () => {
    const asked = new Set(['d1', 'd9', 'd5', 'd7']);
    for (const kind of ['dense', 'bm25'] as const) {
      const search = open();
      expect(await search.missingDocuments(asked)).toEqual([]);
      await search.retriever(kind);
      expect(await search.missingDocuments(asked)).toEqual(['d9', 'd7']);
      expect(await search.missingDocuments(new Set(['d2']))).toEqual([]);
    }
    expect(asked.size).toBe(4);
  });

  it("leaves the caller's encoder open, even if nothing was searched", async () => {
    const encoder = new FiveEncoder();
    const search = open({}, { encoder });
    expect(await search.encoder()).toBe(encoder);
    await search.retriever('rrf');
    await search.close();
    await open({}, { encoder }).close();
    expect(encoder.closed).toBe(false);
  });

  it('returns the best ten of a dense search for one query, by default', async () => {
    const ids = async (...options: Parameters<ReturnType<typeof open>['search']>) =>
      (await open().search(...options)).map(({ id }) => id);
    expect(await ids('saw')).toEqual(['d5', 'd1', 'd2', 'd3', 'd4']);
    expect(await ids('saw', { expansions: ['ship sea'], top: 2 })).toEqual(['d5', 'd2']);
    expect(await ids('saw', { kind: 'bm25' })).toEqual(['d1', 'd2']);
    // Fusion looks deeper than it shows: of five each d1 wins, of one each it would be d5.
    expect(await ids('saw', { kind: 'rrf', expansions: ['ship sea'], top: 1 })).toEqual(['d1']);
  });

  it.each(KINDS)('is read again by %s after a reading that failed', async (kind) => {
    const corpus = new FiveCorpus();
    const { documents } = corpus;
    corpus.corpusHash = async () => `a corpus that cannot be read at once, by ${kind}`;
    corpus.documents = () => {
      corpus.documents = documents;
      throw new Error('the disk is away');
    };
    const search = open({}, { corpus });
    await expect(search.retriever(kind)).rejects.toThrow('the disk is away');
    expect((await search.retriever(kind)).size).toBe(5);
  });

  it('finds a document with any id, because a single query has none', async () => {
    const corpus = new FiveCorpus();
    corpus.documents = async function* () {
      yield { id: 'query', title: '', text: 'saw wood' };
    };
    corpus.corpusHash = async () => 'a document called query';
    expect((await open({}, { corpus }).search('saw')).map(({ id }) => id)).toEqual(['query']);
  });

  it('does not call the encoder if there is nothing to embed', async () => {
    const encoder = new FiveEncoder();
    const retriever = await open({}, { encoder }).retriever('dense');
    const before = encoder.calls.length;
    await retriever.retrieve([{ id: 'q', text: 'saw', expansions: [] }], { depth: 1, dropSelf: false });
    expect(encoder.calls.slice(before)).toEqual([['query', 'saw']]);
  });

  it('opens the encoder of its settings once, in the store it was given, reports what it does, and closes it', async () => {
    const [store, asked, tasks] = [new ModelStore({ offline: true }), [] as string[], [] as string[]];
    const resolveModel = store.resolve.bind(store);
    store.resolve = (name, options) => {
      asked.push(name);
      return resolveModel(name, options);
    };
    const progress: Progress = {
      ...SILENT,
      task(...about) {
        tasks.push(about[0]);
        return SILENT.task(...about);
      },
    };
    const name = resolve('src/embed/goldens/tiny-encoder');
    const settings = defaultRetrievalSettings({ encoder: name, threads: 1 });
    const search = new CorpusSearch(new FiveCorpus(), settings, { store, progress });
    const [one, other] = [await search.encoder(), await search.encoder()];
    expect(other).toBe(one);
    expect(asked).toEqual([name]);
    await search.retriever('dense');
    expect(tasks.length).toBeGreaterThan(0);
    await search.close();
    await expect(one.encode(['saw'], 'query')).rejects.toThrow();
  });

  it('reports how much of the documents its encoder does not read', async () => {
    const notesAt = async (maxLength: number) => {
      const encoder = resolve('src/embed/goldens/tiny-encoder');
      const search = new CorpusSearch(new FiveCorpus(), defaultRetrievalSettings({ encoder, maxLength, threads: 1 }));
      const { notes } = await search.retriever('dense');
      await search.close();
      return notes;
    };
    // Beside [CLS] and [SEP] there is room for one token, and each text has more.
    expect(await notesAt(3)).toEqual([
      expect.stringMatching(/^100 % of the documents \(5 of 5\) are longer than 3 tokens: .* by .*tiny-encoder/),
    ]);
    expect(await notesAt(60)).toEqual([]);
  });

  it.each(['dense', 'rrf'] as const)(
    'gives the same runs for many alphas as one retriever for each (%s)',
    async (kind) => {
      const search = open();
      const queries = [
        { id: 'q', text: 'saw', expansions: ['ship sea', 'ship'] },
        { id: 'd5', text: 'saw', expansions: ['turn'] },
        { id: 'p', text: 'saw', expansions: [] },
      ];
      const options = { depth: 4, dropSelf: true };
      const alphas = [1, 0, 0.25];
      const runs = await search.combinedRuns(
        kind,
        alphas.map((alpha) => ({ alpha })),
        queries,
        options,
      );
      expect(runs).toHaveLength(3);
      for (const [at, alpha] of alphas.entries()) {
        const { run } = await (await search.retriever(kind, { alpha })).retrieve(queries, options);
        const plain = (one: typeof run) => [...one].map(([id, hits]) => [id, ...[...hits].map((hit) => ({ ...hit }))]);
        expect(plain(runs[at]!)).toEqual(plain(run));
      }
    },
  );

  it.each(KINDS)('gives the same runs for many combinations as one retriever for each (%s)', async (kind) => {
    const queries = [
      { id: 'q', text: 'saw', expansions: ['ship sea', 'lamp', 'ship'] },
      { id: 'p', text: 'saw', expansions: [] },
      { id: 'd5', text: 'ship', expansions: ['turn'] },
    ];
    const options = { depth: 4, dropSelf: true };
    const combinations = [
      { alpha: 0.5, texts: 2, queryRepeats: 1 },
      { alpha: 0, texts: 0 },
      { alpha: 0.5, texts: 1 },
      { alpha: 0.75, queryRepeats: 4 },
      { alpha: 0.5, texts: 2, queryRepeats: 3 },
    ];
    const [encoder, found] = [new FiveEncoder(), [] as string[]];
    const runs = await open({}, { encoder }).combinedRuns(kind, combinations, queries, options);
    for (const [at, { alpha, texts, queryRepeats }] of combinations.entries()) {
      const one = open(queryRepeats === undefined ? {} : { queryRepeats });
      const retriever = await one.retriever(kind, { alpha });
      const asked = queries.map((query) => ({ ...query, expansions: query.expansions.slice(0, texts) }));
      const { run } = await retriever.retrieve(asked, options);
      const plain = (some: typeof run) => [...some].map(([id, hits]) => [id, ...[...hits].map((hit) => ({ ...hit }))]);
      expect(plain(runs[at]!)).toEqual(plain(run));
      found.push(JSON.stringify(plain(run)));
    }
    expect(new Set(found).size).toBeGreaterThan(kind === 'rrf' ? 2 : 3);
    const embedded = encoder.calls.filter(([role]) => role === 'query').flatMap(([, ...texts]) => texts);
    expect(embedded.sort()).toEqual(
      kind === 'bm25' ? [] : ['lamp', 'saw', 'saw', 'ship', 'ship', 'ship sea', 'turn'].sort(),
    );
  });

  it('tells how rare the terms of a text are', async () => {
    // saw is in 2 of 5 documents, ship in 2, lamp in 1: ln(1 + (N - n + .5) / (n + .5)). "the" is a stop word.
    const [idfs, none] = await open().idfsOf(['The saw, saws and a lamp: xyz', '']);
    const expected = [Math.log(1 + 3.5 / 2.5), Math.log(1 + 4.5 / 1.5), undefined];
    expect(idfs!.map((idf) => idf && Number(idf.toFixed(6)))).toEqual(
      expected.map((idf) => idf && Number(idf.toFixed(6))),
    );
    expect(none).toEqual([]);
  });
});

describe('the encoder that settings name', () => {
  beforeAll(() => {
    for (const name of ['LLM_QE_OFFLINE', 'HF_HUB_OFFLINE']) vi.stubEnv(name, undefined);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
  });
  const store = new ModelStore({ offline: true });
  const settings = (changes: object) => defaultRetrievalSettings({ threads: 1, ...changes });

  it('is a local model, with its own settings', async () => {
    const encoder = await openEncoder(
      settings({ encoder: resolve('src/embed/goldens/tiny-encoder'), pooling: 'cls', maxLength: 5 }),
      store,
    );
    expect(encoder.settings).toMatchObject({ pooling: 'cls', precision: 'f32' });
    expect(Object.values(encoder.settings)).toContain(5);
    await encoder.close();
  });

  it('cannot be a server under --offline, or one whose model is not named', async () => {
    for (const encoder of ['http://127.0.0.1:9/v1', 'https://127.0.0.1:9/v1']) {
      const offline = openEncoder(settings({ encoder, encoderModel: 'm', offline: true }), store);
      await expect(offline).rejects.toThrow(UsageError);
      await expect(openEncoder(settings({ encoder }), store)).rejects.toThrow(/needs the name of its model/);
    }
  });
});

describe('a corpus without judgements', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'own-corpus-'));
    await mkdir(join(folder, 'set'));
    const row = '{"_id":"d1","title":"A","text":"saw"}\n{"_id":"d2","text":"ship"}\n';
    await writeFile(join(folder, 'set', 'corpus.jsonl'), row);
    await writeFile(join(folder, 'own.jsonl'), row);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(['set', 'own.jsonl'])('is a folder or a file: %s', async (name) => {
    const corpus = await openCorpus(join(folder, name));
    expect(await corpus.count()).toBe(2);
    const documents: object[] = [];
    for await (const document of corpus.documents()) documents.push(document);
    expect(documents).toEqual([
      { id: 'd1', title: 'A', text: 'saw' },
      { id: 'd2', title: '', text: 'ship' },
    ]);
    expect(await corpus.corpusHash()).toBe(await (await openCorpus(join(folder, 'own.jsonl'))).corpusHash());
  });

  it('is named in the error if nothing is there', async () => {
    await expect(openCorpus(join(folder, 'none'))).rejects.toThrow(/none/);
  });
});
