import { cp, mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HashingEncoder } from '../../test/support/hashing-encoder.ts';
import type { Document } from '../data/index.ts';
import { type Changed, type IndexSettings, IndexSnapshot, IndexWriter } from '../segments/index.ts';
import { Random, sha256 } from '../system/index.ts';
import type { Corpus } from './corpus.ts';
import { CorpusSearch } from './corpus-search.ts';
import { corpusOfIndex } from './own-corpus.ts';
import { defaultRetrievalSettings, type RetrievalSettings } from './settings.ts';

let home: string;
let folder: string;
let encoder: HashingEncoder;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'llm-qe-index-folder-'));
  vi.stubEnv('LLM_QE_HOME', join(home, 'cache'));
  folder = join(home, 'index');
  encoder = new HashingEncoder();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

const BOTH: IndexSettings = { retriever: 'rrf', analyzer: 'english', fields: 'flat' };

function change(
  work: (writer: IndexWriter) => Promise<void>,
  settings?: IndexSettings,
  signal?: AbortSignal,
): Promise<Changed> {
  const source = { open: async () => encoder, options: {} };
  return IndexWriter.change(folder, settings, { encoder: source, signal }, work);
}

async function* placed(documents: Iterable<Document>) {
  let line = 0;
  for (const document of documents) yield { document, file: 'docs.jsonl', line: ++line };
}

const build = (documents: Iterable<Document>, settings = BOTH) =>
  change((writer) => writer.add(placed(documents), true), settings);
const add = (documents: Iterable<Document>) => change((writer) => writer.add(placed(documents)));
const remove = (...ids: string[]) => change((writer) => writer.remove(ids));
const compact = () => change((writer) => writer.compact());

const WORDS = 'sea ship wood saw lamp house river stone bridge honey'.split(' ');

function documentOf(random: Random, id: string): Document {
  const text = Array.from({ length: random.below(30) }, () => WORDS[random.below(WORDS.length)]).join(' ');
  return { id, title: random.below(3) === 0 ? WORDS[random.below(WORDS.length)]! : '', text };
}

function documentsOf(count: number, seed = 1): Document[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_none, at) => documentOf(random, `d${at}`));
}

/** Documents of which no two have the same text. */
function distinct(count: number): Document[] {
  return documentsOf(count).map((document) => ({ ...document, text: `${document.id} ${document.text}` }));
}

async function collect(documents: AsyncIterable<Document>): Promise<Document[]> {
  const all = [];
  for await (const document of documents) all.push(document);
  return all;
}

/** The documents as a file would hold them, never changed. */
function anew(documents: Iterable<Document>): Corpus {
  const all = [...documents];
  return {
    async *documents() {
      yield* all;
    },
    count: async () => all.length,
    corpusHash: async () => sha256(JSON.stringify(all)),
  };
}

const QUERIES = ['ship on the sea', 'a wood saw', 'stone bridges', 'lamp', 'zebra'].map((text, at) => ({
  ...{ id: `d${at}`, text, expansions: [] },
}));

/** The runs of a corpus, with every score. */
async function runsOf(corpus: Corpus, kinds: readonly ('dense' | 'bm25')[], settings: Partial<RetrievalSettings> = {}) {
  const how = defaultRetrievalSettings({ threads: 1, recallSample: 0, ...settings });
  const search = new CorpusSearch(corpus, how, { encoder });
  try {
    const runs = [];
    for (const kind of kinds) {
      const retriever = await search.retriever(kind);
      const { run } = await retriever.retrieve(QUERIES, { depth: 40, dropSelf: true });
      runs.push({ kind, size: retriever.size, run: [...run], notes: retriever.notes });
    }
    return runs;
  } finally {
    await search.close();
  }
}

async function expectEqual(documents: Iterable<Document>, settings: Partial<RetrievalSettings> = {}) {
  const all = [...documents];
  const kinds = all.length === 0 ? (['bm25'] as const) : (['dense', 'bm25'] as const);
  const found = await runsOf(corpusOfIndex(await IndexSnapshot.open(folder)), kinds, settings);
  expect(found).toEqual(await runsOf(anew(all), kinds, settings));
}

describe('an index folder', () => {
  it('encodes ten texts for ten new documents, one for a changed one, and none for those that are there', async () => {
    const documents = distinct(60);
    expect(await build(documents.slice(0, 50))).toMatchObject({ added: 50, encoded: 50, documents: 50 });
    encoder.encoded.length = 0;
    expect(await add(documents)).toMatchObject({ added: 10, unchanged: 50, encoded: 10, documents: 60, segments: 2 });
    expect(encoder.encoded).toHaveLength(10);
    const changed = { ...documents[7]!, text: 'an updated document' };
    expect(await add([changed])).toMatchObject({ replaced: 1, added: 0, encoded: 1, documents: 60 });
    expect(encoder.encoded).toHaveLength(11);
    const { generation } = await add([changed]);
    expect(await add([changed])).toMatchObject({ unchanged: 1, encoded: 0, generation });
    expect(encoder.encoded).toHaveLength(11);
    const snapshot = await IndexSnapshot.open(folder);
    expect((await snapshot.lookUp(['d7', 'none'])).get('d7')).toEqual(changed);
    await snapshot.close();
  });

  it('makes itself equal to the documents that it is built of', async () => {
    const documents = documentsOf(20);
    await build(documents);
    expect(await build(documents.slice(5))).toMatchObject({ removed: 5, unchanged: 15, encoded: 0, documents: 15 });
    expect(await remove('d6', 'd6', 'none')).toMatchObject({ removed: 1, missing: 1, documents: 14 });
    await expectEqual(documents.slice(5).filter(({ id }) => id !== 'd6'));
  });

  it('keeps the other fields of a document', async () => {
    const document = { id: 'a', title: 'T', text: 'sea', metadata: { url: 'u', year: 1999 } };
    await build([document]);
    const snapshot = await IndexSnapshot.open(folder);
    expect(await collect(snapshot.documents())).toEqual([document]);
    await snapshot.close();
  });

  it.each([
    ['whole documents', BOTH, {}],
    ['passages', { ...BOTH, passages: '7/2' }, { passages: '7/2' }],
    ['title and text apart', { ...BOTH, fields: 'multifield' }, { fields: 'multifield', k1: 1.2, b: 0.75 }],
  ] as const)('equals an index built anew after any changes (%s)', async (_name, settings, search) => {
    const random = new Random(42);
    const live = new Map<string, Document>();
    for (const document of documentsOf(25)) live.set(document.id, document);
    await build(live.values(), settings);
    for (let step = 0; step < 10; step++) {
      const kind = random.below(4);
      if (kind < 2) {
        const some = Array.from({ length: 1 + random.below(6) }, () => `d${random.below(45)}`);
        const documents = [...new Set(some)].map((id) => documentOf(random, id));
        for (const document of documents) live.set(document.id, document);
        await add(documents);
      } else if (kind === 2) {
        const ids = Array.from({ length: 1 + random.below(8) }, () => `d${random.below(45)}`);
        for (const id of ids) live.delete(id);
        await remove(...ids);
      } else await compact();
      if (step % 5 === 4) await expectEqual(live.values(), search);
    }
    for (const vectors of ['f16', 'int8'] as const) {
      await expectEqual(live.values(), { ...search, vectors, similarity: 'cosine' });
    }
    await compact();
    await expectEqual(live.values(), search);
    await remove(...live.keys());
    await expectEqual([], search);
    await add(documentsOf(3));
    await expectEqual(documentsOf(3), search);
  });

  it('makes a graph for each segment, which stays valid while others come', async () => {
    const documents = distinct(30);
    await build(documents.slice(0, 20));
    await add([...documents.slice(20), { ...documents[3]!, text: 'another sea' }]);
    await remove('d4', 'd25');
    const live = documents.filter(({ id }) => id !== 'd4' && id !== 'd25');
    live[3] = { ...documents[3]!, text: 'another sea' };
    // A search that visits every document finds what exact search finds.
    const hnsw = { index: 'hnsw', hnswEf: 100, similarity: 'cosine' } as const;
    const found = await runsOf(corpusOfIndex(await IndexSnapshot.open(folder)), ['dense'], hnsw);
    const exact = await runsOf(anew(live), ['dense'], { similarity: 'cosine' });
    const idsOf = (runs: typeof found) => runs[0]!.run.map(([query, hits]) => [query, hits.map(({ id }) => id)]);
    expect(idsOf(found)).toEqual(idsOf(exact));
    const graphs = async () => (await readdir(join(home, 'cache/hnsw/v1'))).filter((name) => name.endsWith('.usearch'));
    const before = await graphs();
    expect(before).toHaveLength(2);
    await add([{ id: 'new', title: '', text: 'new' }]);
    await runsOf(corpusOfIndex(await IndexSnapshot.open(folder)), ['dense'], hnsw);
    expect(await graphs()).toEqual(expect.arrayContaining(before));
    expect(await graphs()).toHaveLength(3);
  });

  it('merges small segments of itself, so that their number stays small', async () => {
    const documents = documentsOf(20);
    await build(documents.slice(0, 1), { ...BOTH, retriever: 'bm25' });
    let most = 0;
    for (const document of documents.slice(1)) most = Math.max(most, (await add([document])).segments);
    expect(most).toBe(7);
    const found = await runsOf(corpusOfIndex(await IndexSnapshot.open(folder)), ['bm25']);
    expect(found).toEqual(await runsOf(anew(documents), ['bm25']));
  });

  it('lets readers that have it open go on with what they opened', async () => {
    const documents = documentsOf(30);
    await build(documents);
    const opened = corpusOfIndex(await IndexSnapshot.open(folder));
    await remove('d1', 'd2');
    await add([{ id: 'd3', title: '', text: 'another sea' }]);
    await compact();
    expect(await readdir(folder)).toEqual(['llm-qe-index.json', 'segment-000003']);
    expect(await runsOf(opened, ['dense', 'bm25'])).toEqual(await runsOf(anew(documents), ['dense', 'bm25']));
  });

  it('lets one writer change it at a time', async () => {
    const documents = documentsOf(40);
    await build(documents.slice(0, 4));
    const groups = Array.from({ length: 6 }, (_none, at) => documents.slice(4 + 6 * at, 10 + 6 * at));
    await Promise.all(groups.map(add));
    await expectEqual(documents);
  });

  it('is as it was after a change that failed, which goes on when it runs again', async () => {
    const documents = distinct(1000);
    await build(documents.slice(0, 10));
    encoder.encoded.length = 0;
    encoder.failAt = 700;
    await expect(add(documents)).rejects.toThrow('the encoder failed');
    encoder.failAt = Number.POSITIVE_INFINITY;
    await expectEqual(documents.slice(0, 10));
    encoder.encoded.length = 0;
    // Another change in between keeps what the interrupted one encoded.
    expect(await add([{ id: 'other', title: '', text: 'sea' }])).toMatchObject({ encoded: 1 });
    expect(await remove('other')).toMatchObject({ removed: 1 });
    const { encoded } = await add(documents);
    // Two batches of 256 were stored before the failure.
    expect(encoded).toBe(990 - 512);
    await compact();
    expect(await readdir(folder)).toEqual(['llm-qe-index.json', expect.stringMatching(/^segment-/)]);
  });

  it('keeps nothing beside the segments, whenever a change was killed', async () => {
    const documents = distinct(20);
    const [encoding, saved] = [join(folder, 'encoding'), join(home, 'saved')];
    const close = encoder.close.bind(encoder);
    // All is encoded then, and nothing is committed.
    encoder.close = async () => {
      await cp(encoding, saved, { recursive: true });
      await close();
    };
    await build(documents);
    encoder.close = close;
    expect(await readdir(folder)).toEqual(['llm-qe-index.json', 'segment-000001']);
    // Killed after the change, before the encoded vectors were removed.
    await cp(saved, encoding, { recursive: true });
    expect(await build(documents)).toMatchObject({ unchanged: 20, encoded: 0 });
    expect(await readdir(folder)).toEqual(['llm-qe-index.json', 'segment-000001']);
    // Killed between the vectors of a batch and their keys.
    await rm(folder, { recursive: true });
    await cp(saved, encoding, { recursive: true });
    const [own] = await readdir(encoding);
    for (const name of await readdir(join(encoding, own!))) {
      if (name.startsWith('corpus-')) await rm(join(encoding, own!, name));
    }
    await truncate(join(encoding, own!, 'vectors.keys'), 0);
    expect(await build(documents)).toMatchObject({ added: 20, encoded: 20 });
    expect(await readdir(folder)).toEqual(['llm-qe-index.json', 'segment-000001']);
  });

  it('is not disturbed by what a killed change left behind, and removes it', async () => {
    await build(documentsOf(10));
    const [segment] = (await readdir(folder)).filter((name) => name.startsWith('segment'));
    await cp(join(folder, segment!), join(folder, 'segment-000002'), { recursive: true });
    await truncate(join(folder, 'segment-000002/vectors.f32'), 5);
    await writeFile(join(folder, 'deleted-000002.segment-000001'), 'abc');
    await expectEqual(documentsOf(10));
    await add(documentsOf(12));
    await expectEqual(documentsOf(12));
    expect((await readdir(folder)).sort()).toEqual(['llm-qe-index.json', 'segment-000001', 'segment-000002']);
  });

  it('stops at an abort, without a change', async () => {
    await build(documentsOf(5));
    await expect(
      change((writer) => writer.add(placed(documentsOf(9))), undefined, AbortSignal.abort()),
    ).rejects.toThrow(/stopped/);
    await expectEqual(documentsOf(5));
  });

  it.each([
    ['vectors.f32', 'has 5 bytes'],
    ['documents.jsonl', 'has 5 bytes'],
    ['table.bin', 'has 5 bytes'],
    ['bm25.lists', 'has 5 bytes'],
  ])('says that a file is damaged (%s)', async (name, reason) => {
    await build(documentsOf(10));
    await truncate(join(folder, 'segment-000001', name), 5);
    await expect(IndexSnapshot.open(folder)).rejects.toThrow(`segment-000001/${name}: ${reason}`);
  });

  it('names file, line and id of a document that occurs twice, and adds nothing', async () => {
    await build(documentsOf(2));
    const twice = [...documentsOf(4), documentsOf(4)[3]!];
    await expect(add(twice)).rejects.toThrow('docs.jsonl:5, id "d3": this document occurs on an earlier line');
    await expectEqual(documentsOf(2));
  });

  it('refuses other settings, other encoders, and folders that hold something else', async () => {
    await build(documentsOf(2));
    await expect(build([], { ...BOTH, passages: '9/3' })).rejects.toThrow(/there is an index with other settings/);
    const search = async (settings: Partial<RetrievalSettings>, kind: 'dense' | 'bm25') =>
      runsOf(corpusOfIndex(await IndexSnapshot.open(folder)), [kind], settings);
    await expect(search({ analyzer: 'german' }, 'bm25')).rejects.toThrow(/were made with --analyzer english/);
    await expect(search({ passages: '9/3' }, 'dense')).rejects.toThrow(/are of whole documents, not of 9\/3/);
    encoder = Object.assign(new HashingEncoder(), { fingerprint: 'another' });
    await expect(search({}, 'dense')).rejects.toThrow(/vectors of the index were made by hashing/);
    await expect(add(documentsOf(3))).rejects.toThrow(/which is not hashing as it is now/);
    folder = join(home, 'other');
    await mkdir(folder);
    await writeFile(join(folder, 'thesis.tex'), '');
    await expect(build([])).rejects.toThrow(/holds something else \(thesis\.tex\)/);
    await expect(add([])).rejects.toThrow(/is not an index/);
  });
});
