import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Document } from '../../data/index.ts';
import { AbortedError, DataError, SILENT, UsageError } from '../../system/index.ts';
import { Bm25Index } from './bm25-index.ts';
import { lowBits, postingLayout } from './postings.ts';

interface Golden {
  documents: [id: string, text: string][];
  queries: [id: string, text: string][];
  hits: Record<string, [id: string, score: number][]>;
}
const golden: Golden = JSON.parse(await readFile(new URL('../goldens/bm25.json', import.meta.url), 'utf8'));
const corpus = golden.documents.map(([id, text]) => ({ id, title: '', text }));

function texts(...all: string[]): Document[] {
  return all.map((text, number) => ({ id: `d${number}`, title: '', text }));
}

describe('BM25', () => {
  it("finds Lucene's top ten with Lucene's scores, bit for bit, ties by id descending", async () => {
    const index = await Bm25Index.build(corpus);
    const found = [
      ...(await index.search(
        golden.queries.map(([, text]) => text),
        10,
      )),
    ];
    for (const [at, [query]] of golden.queries.entries()) {
      expect(
        found[at]!.map(({ id, score }) => [id, score]),
        query,
      ).toEqual(golden.hits[query]);
    }
  });

  it('does not depend on the order of the documents', async () => {
    const queries = golden.queries.map(([, text]) => text);
    const forwards = [...(await (await Bm25Index.build(corpus)).search(queries, 50))];
    const backwards = [...(await (await Bm25Index.build([...corpus].reverse())).search(queries, 50))];
    expect(backwards).toEqual(forwards);
  });

  it('indexes title and text as one field', async () => {
    const [hits] = await (await Bm25Index.build([{ id: 'a', title: 'Glaciers', text: 'Ice.' }])).search(['glacier'], 5);
    expect(hits!.map(({ id }) => id)).toEqual(['a']);
  });

  it('keeps title and text apart on request: their scores are added up, each with its own lengths and idf', async () => {
    const documents = [
      { id: 'a', title: 'ice', text: 'ice water' },
      { id: 'b', title: 'water', text: 'ice' },
      { id: 'c', title: '', text: 'fire' },
    ];
    const scores = async (all: Document[], fields?: 'multifield') => {
      const [hits] = await (await Bm25Index.build(all, { fields })).search(['ice'], 5);
      return new Map(hits!.map(({ id, score }) => [id, score]));
    };
    const titles = await scores(documents.map(({ id, title }) => ({ id, title: '', text: title })));
    const bodies = await scores(documents.map(({ id, text }) => ({ id, title: '', text })));
    const both = await scores(documents, 'multifield');
    expect([...both.keys()]).toEqual(['a', 'b']);
    expect(both.get('a')).toBe(Math.fround(titles.get('a')! + bodies.get('a')!));
    expect(both.get('b')).toBe(bodies.get('b'));
  });

  it('tells the terms of documents, with those of a cached index', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'terms-'));
    try {
      for (let time = 0; time < 2; time++) {
        const documents = () => texts('ice water ice', 'fire', 'the water');
        const index = await Bm25Index.open(documents, { folder, corpusHash: 'x' });
        const { numbers } = (await index.search(['water'], 5)).list(0);
        const terms = await index.documentTerms(numbers);
        const counts = [...numbers].map((number) => Object.fromEntries(terms.get(number)!));
        expect(counts).toEqual([{ water: 1 }, { ic: 2, water: 1 }]);
        expect(index.documentsWith('water')).toBe(2);
        expect(index.documentsWith('zebra')).toBe(0);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('counts how often a term occurs in a document exactly, however often', async () => {
    const often = [1, 2, 31, 32, 33, 300, 70_000];
    const index = await Bm25Index.build(texts(...often.map((count) => 'zoo '.repeat(count))));
    const { numbers } = (await index.search(['zoo'], 100)).list(0);
    const terms = await index.documentTerms(numbers);
    expect([...numbers].map((number) => terms.get(number)!.get('zoo'))).toEqual(often.reverse());
  });

  it('takes the documents from a stream and counts them', async () => {
    async function* stream() {
      yield* texts('one', 'two', 'three');
    }
    expect((await Bm25Index.build(stream())).size).toBe(3);
  });

  it('drops the document that is the query itself, and still gives k others', async () => {
    const index = await Bm25Index.build(texts('ice', 'ice', 'ice'));
    const [hits] = await index.search(['ice'], 2, { dropSelf: ['d2'] });
    expect(hits!.map(({ id }) => id)).toEqual(['d1', 'd0']);
  });

  it('gives fewer hits if fewer documents match, and none in an empty corpus', async () => {
    expect([...(await (await Bm25Index.build(texts('ice', 'fire'))).search(['ice'], 1000))][0]).toHaveLength(1);
    expect([...(await (await Bm25Index.build([])).search(['ice', ''], 10))]).toEqual([[], []]);
    expect([...(await (await Bm25Index.build(texts('', ' '))).search(['ice'], 10))]).toEqual([[]]);
  });

  it('keeps simultaneous searches apart', async () => {
    const index = await Bm25Index.build(corpus);
    const queries = golden.queries.map(([, text]) => text);
    const [one, other] = await Promise.all([index.search(queries, 10), index.search(queries.slice(0, 3), 10)]);
    expect([...other]).toEqual([...one].slice(0, 3));
  });

  it('refuses ids that occur twice, wrong settings, a wrong k and missing query ids', async () => {
    await expect(Bm25Index.build([...texts('a'), ...texts('b')])).rejects.toThrow(DataError);
    await expect(Bm25Index.build([], { k1: -1 })).rejects.toThrow(UsageError);
    await expect(Bm25Index.build([], { k1: Number.NaN })).rejects.toThrow(UsageError);
    await expect(Bm25Index.build([], { k1: Number.POSITIVE_INFINITY })).rejects.toThrow(UsageError);
    for (const b of [1.1, -0.1, Number.NaN]) await expect(Bm25Index.build([], { b })).rejects.toThrow(UsageError);
    for (const bounds of [{ k1: 0 }, { b: 0 }, { b: 1 }]) expect((await Bm25Index.build([], bounds)).size).toBe(0);
    const index = await Bm25Index.build(texts('ice'));
    await expect(index.search(['ice'], 0)).rejects.toThrow(UsageError);
    await expect(index.search(['ice'], 1.5)).rejects.toThrow(UsageError);
    await expect(index.search(['ice'], 5, { dropSelf: [] })).rejects.toThrow(UsageError);
  });

  it('does not count documents without a word, as Lucene does not', async () => {
    const scores = async (...all: string[]) => [...(await (await Bm25Index.build(texts(...all))).search(['ice'], 5))];
    expect(await scores('ice', 'ice water fire', 'fire', '', ' the ')).toEqual(
      await scores('ice', 'ice water fire', 'fire'),
    );
  });

  it('tells how many documents it has indexed', async () => {
    const told: (number | string)[] = [];
    const task = {
      ...SILENT.task('', undefined, ''),
      advance: (units = 1) => void told.push(units),
      done: () => void told.push('done'),
    };
    await Bm25Index.build(corpus, { progress: { task: () => task } });
    expect(told.pop()).toBe('done');
    expect(told.reduce((sum, units) => Number(sum) + Number(units), 0)).toBe(corpus.length);
  });

  it('holds more words of documents than one block', async () => {
    // 1,026 documents of 1,024 distinct words: 2,048 more than the 2^20 of one block.
    const all = Array.from({ length: 1024 }, (_nothing, word) => `w${word}`).join(' ');
    const index = await Bm25Index.build(texts(...Array.from({ length: 1025 }, () => all), `${all} w7`));
    const [first, last] = await index.search(['w7', 'w1023'], 2);
    expect(first!.map(({ id }) => id)).toEqual(['d1025', 'd999']);
    expect(last!.map(({ id }) => id)).toEqual(['d999', 'd998']);
  });

  it('is unharmed by a query whose words are names of object members', async () => {
    const [hits] = await (await Bm25Index.build(texts('constructor', '__proto__'))).search(['constructor'], 5);
    expect(hits!.map(({ id }) => id)).toEqual(['d0']);
  });

  it('stops building and searching on request, and searches correctly afterwards', async () => {
    const stopped = new AbortController();
    function* endless() {
      for (let number = 0; ; number++) {
        if (number === 2000) stopped.abort();
        yield { id: `d${number}`, title: '', text: `number ${number}` };
      }
    }
    await expect(Bm25Index.build(endless(), { signal: stopped.signal })).rejects.toThrow(AbortedError);
    const index = await Bm25Index.build(corpus);
    await expect(index.search(['river'], 5, { signal: stopped.signal })).rejects.toThrow(AbortedError);
    expect([...(await index.search([golden.queries[0]![1]], 10))][0]).toHaveLength(10);
  });
});

describe('the cache of BM25 indexes', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llm-qe-bm25-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  let built = 0;
  const documents = () => {
    built++;
    return corpus;
  };
  const open = (options = {}) => Bm25Index.open(documents, { folder, corpusHash: 'abc', ...options });
  const queries = golden.queries.map(([, text]) => text);

  it('builds once and then loads an equal index', async () => {
    built = 0;
    const first = [...(await (await open()).search(queries, 100))];
    const second = [...(await (await open()).search(queries, 100))];
    expect(second).toEqual(first);
    expect(built).toBe(1);
  });

  it('builds another index for another corpus or other settings', async () => {
    built = 0;
    await open();
    await open({ corpusHash: 'abd' });
    await open({ k1: 1.2 });
    await open({ b: 0.75 });
    await open({ fields: 'multifield' });
    expect(built).toBe(5);
  });

  it.each([
    ['cut', (file: string) => truncate(file, 3000)],
    ['empty', (file: string) => truncate(file, 0)],
    ['something else', (file: string) => writeFile(file, 'x'.repeat(4000))],
    ['pointing outside', (file: string) => spoilEntries(file, () => 0xffffffff)],
    ['pointing to a saturation that does not exist', (file: string) => spoilEntries(file, lowBits)],
    [
      'naming a field that does not exist',
      async (file: string) => {
        const bytes = await readFile(file);
        const { idBytes, termBytes, terms } = JSON.parse(bytes.subarray(0, 512).toString());
        bytes.fill(7, 512 + idBytes + termBytes, 512 + idBytes + termBytes + terms);
        await writeFile(file, bytes);
      },
    ],
    [
      'lying about its size',
      async (file: string) => {
        const bytes = await readFile(file);
        const header = JSON.parse(bytes.subarray(0, 512).toString());
        bytes.write(JSON.stringify({ ...header, postings: 2 ** 40 }).padEnd(512));
        await writeFile(file, bytes);
      },
    ],
  ])('rebuilds a file that is %s', async (_what, spoil) => {
    const first = [...(await (await open()).search(queries, 10))];
    built = 0;
    await spoil(join(folder, (await readdir(folder))[0]!));
    expect([...(await (await open()).search(queries, 10))]).toEqual(first);
    await open();
    expect(built).toBe(1);
  });

  it('keeps an index of no documents', async () => {
    await Bm25Index.open(() => [], { folder, corpusHash: 'none' });
    const index = await Bm25Index.open(documents, { folder, corpusHash: 'none' });
    expect(index.size).toBe(0);
  });
});

describe('large batches of BM25', () => {
  const many = Array.from({ length: 3000 }, (_nothing, number) => ({
    id: `m${number}`,
    title: '',
    text: Array.from({ length: 12 }, (_none, word) => `w${(number * (word + 3)) % (41 + word)}`).join(' '),
  }));
  const long = Array.from({ length: 1500 }, (_nothing, number) =>
    Array.from({ length: 20 }, (_none, word) => `w${(number + word * word) % 47}`).join(' '),
  );
  const ids = long.map((_query, number) => `m${number}`);

  it('get from threads, row by row, what one thread gives, with self-retrieval dropped', async () => {
    const alone = await Bm25Index.build(many, { threads: 1 });
    const together = await Bm25Index.build(many, { threads: 2 });
    let counted = 0;
    const onQueries = (count: number) => {
      counted += count;
    };
    const found = [...(await together.search(long, 30, { dropSelf: ids, onQueries }))];
    expect(found).toEqual([...(await alone.search(long, 30, { dropSelf: ids }))]);
    expect(counted).toBe(long.length);
    await together.close();
    expect([...(await together.search(long, 5))]).toEqual([...(await alone.search(long, 5))]);
    await together.close();
  });

  it('stop on request, and are searched correctly afterwards', async () => {
    const index = await Bm25Index.build(many, { threads: 2 });
    const stop = new AbortController();
    let counted = 0;
    const search = index.search([...long, ...long, ...long], 1000, {
      signal: stop.signal,
      onQueries: (count) => {
        counted += count;
        stop.abort();
      },
    });
    await expect(search).rejects.toThrow(AbortedError);
    expect(counted).toBeLessThan(3 * long.length);
    expect([...(await index.search(long, 10))][7]).toHaveLength(10);
    await index.close();
  });

  it('end with an error when the index is closed in the middle', async () => {
    const index = await Bm25Index.build(many, { threads: 2 });
    const search = index.search(long, 1000, { onQueries: () => void index.close() });
    await expect(search).rejects.toThrow(AbortedError);
  });

  it('need a whole number of threads, 1 or more', async () => {
    await expect(Bm25Index.build([], { threads: 0 })).rejects.toThrow(UsageError);
    await expect(Bm25Index.build([], { threads: 1.5 })).rejects.toThrow(UsageError);
  });
});

/** Sets bits of each posting. @param mask of the number of bits that hold a saturation */
async function spoilEntries(file: string, mask: (bits: number) => number): Promise<void> {
  const bytes = await readFile(file);
  const header = JSON.parse(bytes.subarray(0, 512).toString());
  const { bits, apart } = postingLayout(header);
  // There are numbers with so many bits that are no saturations, and saturations are not in an array of their own.
  expect(2 ** bits).toBeGreaterThan(header.saturations);
  expect(apart).toBe(0);
  const end = bytes.length - 8 * header.saturations;
  for (let at = end - 4 * header.postings; at < end; at += 4) {
    bytes.writeUInt32LE((bytes.readUInt32LE(at) | mask(bits)) >>> 0, at);
  }
  await writeFile(file, bytes);
}
