import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DataError, sha256, UsageError } from '../../system/index.ts';
import { BeirDataset } from './beir.ts';
import { readCorpus, readQueries } from './corpus.ts';
import type { Document } from './records.ts';

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'llm-qe-beir-'));
  folder = join(root, 'tiny');
  await mkdir(join(folder, 'qrels'), { recursive: true });
  vi.stubEnv('LLM_QE_HOME', join(root, 'home'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

async function put(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

async function corpusOf(content: string | Uint8Array): Promise<Document[]> {
  const file = await put('corpus.jsonl', content);
  const documents = [];
  for await (const document of readCorpus(file)) documents.push(document);
  return documents;
}

async function fault(work: Promise<unknown>): Promise<DataError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DataError);
  expect((error as DataError).fix).toMatch(/[.}]$/);
  return error as DataError;
}

describe('readCorpus', () => {
  it('accepts missing or null titles, numeric ids and further fields', async () => {
    const lines = [
      '{"_id":"a","title":"T","text":"x","metadata":{"url":"u"}}',
      '{"_id":7,"text":"y"}',
      '{"_id":"b-c","title":null,"text":""}',
    ];
    expect(await corpusOf(lines.join('\n'))).toEqual([
      { id: 'a', title: 'T', text: 'x', metadata: { url: 'u' } },
      { id: '7', title: '', text: 'y' },
      { id: 'b-c', title: '', text: '' },
    ]);
  });

  it('passes further fields on, including those of an object `metadata`', async () => {
    const lines = [
      '{"_id":"a","text":"x","url":"u","year":1999,"tags":["t"]}',
      '{"_id":"b","text":"x","metadata":{"url":"v","year":1},"year":2}',
      '{"_id":"c","text":"x","metadata":{}}',
      '{"_id":"d","text":"x","metadata":"plain"}',
      '{"_id":"e","text":"x","__proto__":{"x":1}}',
    ];
    const metadata = (await corpusOf(lines.join('\n'))).map((document) => document.metadata);
    expect(metadata.slice(0, 4)).toEqual([
      { url: 'u', year: 1999, tags: ['t'] },
      { url: 'v', year: 2 },
      undefined,
      { metadata: 'plain' },
    ]);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  it('keeps ids of any characters except white space', async () => {
    const ids = ['"', '__proto__', '\u3042', '\u{1f600}', '<a>#1/2', 'e\u0301', '\u200b'];
    const documents = await corpusOf(ids.map((_id) => JSON.stringify({ _id, text: 't' })).join('\n'));
    expect(documents.map(({ id }) => id)).toEqual(ids);
  });

  it.each([
    ['an empty file', '', undefined, /no document/],
    ['blank lines only', '\n\n', undefined, /no document/],
    [
      'an id given twice',
      '{"_id":"a","text":"1"}\n{"_id":"b","text":"2"}\n{"_id":"a","text":"3"}\n',
      3,
      /id "a": this document occurs/,
    ],
    ['a number and its text as ids', '{"_id":1,"text":"1"}\n{"_id":"1","text":"2"}\n', 2, /id "1"/],
    ...[
      ' ',
      'a b',
      'a\tb',
      'a\r\nb',
      'a\n',
      '\ufeffa',
      'a\u00a0b',
      'a\u2003b',
      'a\u3000',
      'a\0',
      'a\u0085b',
      'a\ud800',
      '\udc00b',
    ].map((id): [string, string, number, RegExp] => [
      `the id ${JSON.stringify(id)}`,
      `{"_id":"good","text":"t"}\n${JSON.stringify({ _id: id, text: 't' })}\n`,
      2,
      /_id: the identifier ".*" holds (white space or a control character|half of a surrogate pair) \(U\+/,
    ]),
    ['an empty id', '{"_id":"","text":"1"}\n', 1, /_id: /],
    ['a missing id', '{"id":"a","text":"1"}\n', 1, /_id: expected an identifier/],
    ['a null id', '{"_id":null,"text":"1"}\n', 1, /_id: expected an identifier/],
    ['a missing text', '{"_id":"a","title":"t"}\n', 1, /text: /],
    ['text that is a list', '{"_id":"a","text":["t"]}\n', 1, /text: /],
  ])('refuses %s', async (_, content, line, reason) => {
    const error = await fault(corpusOf(content));
    expect(error.message).toMatch(reason);
    expect(error.line).toBe(line);
    expect(error.file).toBe(join(folder, 'corpus.jsonl'));
  });
});

describe('readQueries', () => {
  it('accepts a text, or the text followed by its expansions', async () => {
    const file = await put(
      'queries.jsonl',
      '{"_id":"2","text":"a"}\n{"_id":"1","text":["b","e1","e2"]}\n{"_id":3,"text":["c"]}\n',
    );
    expect([...(await readQueries(file))]).toEqual([
      ['2', { id: '2', text: 'a' }],
      ['1', { id: '1', text: 'b', expansions: ['e1', 'e2'] }],
      ['3', { id: '3', text: 'c' }],
    ]);
  });

  it.each([
    ['an empty list', '{"_id":"1","text":[]}\n', 1, /text: expected a string, or a list/],
    ['a list with a number', '{"_id":"1","text":["a",2]}\n', 1, /text: /],
    ['an id given twice', '{"_id":"1","text":"a"}\n{"_id":"1","text":"a"}\n', 2, /id "1": this query occurs/],
    ['an empty file', '', undefined, /no query/],
  ])('refuses %s', async (_, content, line, reason) => {
    const error = await fault(readQueries(await put('queries.jsonl', content)));
    expect(error.message).toMatch(reason);
    expect(error.line).toBe(line);
  });
});

describe('BeirDataset', () => {
  it('opens corpus, queries and judgements, gzip or not', async () => {
    await put('corpus.jsonl.gz', gzipSync('{"_id":"d","title":"T","text":"x"}\n'));
    await put('queries.jsonl.gz', gzipSync('{"_id":"q","text":"a"}\n'));
    await put('queries_q2d.jsonl', '{"_id":"q","text":["a","e"]}\n');
    for (const split of ['test', 'extra', 'dev', 'all', 'train']) await put(`qrels/${split}.tsv`, 'q\td\t1\n');
    await put('qrels/readme.txt', '');
    const dataset = await BeirDataset.open(`${folder}/`);
    expect([dataset.folder, dataset.name]).toEqual([folder, 'tiny']);
    expect(await dataset.splits()).toEqual(['train', 'dev', 'test', 'all', 'extra']);
    const documents = [];
    for await (const document of dataset.documents()) documents.push(document);
    expect(documents).toEqual([{ id: 'd', title: 'T', text: 'x' }]);
    expect((await dataset.queries()).get('q')).toEqual({ id: 'q', text: 'a' });
    const expanded = { id: 'q', text: 'a', expansions: ['e'] };
    expect((await dataset.queries({ file: 'queries_q2d.jsonl' })).get('q')).toEqual(expanded);
    expect((await dataset.queries({ file: join(folder, 'queries_q2d.jsonl') })).get('q')).toEqual(expanded);
    expect(await dataset.qrels('test')).toEqual(new Map([['q', new Map([['d', 1]])]]));
  });

  it('reports what is missing, and what is there instead', async () => {
    expect((await fault(BeirDataset.open(join(root, 'none')))).message).toContain('no such folder');
    expect((await fault(BeirDataset.open(folder))).message).toContain('no corpus.jsonl');
    await put('corpus.jsonl', '{"_id":"d","text":"x"}\n');
    expect((await fault(BeirDataset.open(join(folder, 'corpus.jsonl')))).message).toContain('not a folder');
    expect((await fault(BeirDataset.open(root))).fix).toBe('Use one of the data sets inside it: tiny.');
    await put('qrels/dev.tsv', 'q\td\t1\n');
    const dataset = await BeirDataset.open(folder);
    expect((await fault(dataset.queries())).message).toContain('queries.jsonl: no such file');
    expect((await fault(dataset.qrels('test'))).fix).toBe('Choose one of these: dev.');
    await expect(dataset.qrels('../dev')).rejects.toThrow(UsageError);
  });

  it('hashes the corpus and notices a change', async () => {
    const content = '{"_id":"d","text":"x"}\n';
    const file = await put('corpus.jsonl', content);
    const dataset = await BeirDataset.open(folder);
    const old = new Date(Date.now() - 60_000);
    await utimes(file, old, old);
    expect(await dataset.corpusHash()).toBe(sha256(content));
    expect(await readdir(join(root, 'home', 'file-hashes'))).toHaveLength(1);
    expect(await dataset.corpusHash()).toBe(sha256(content));
    const other = content.replace('x', 'y');
    await put('corpus.jsonl', other);
    expect(await dataset.corpusHash()).toBe(sha256(other));
  });

  it('reads the stored hash instead of the file', async () => {
    const file = await put('corpus.jsonl', '{"_id":"d","text":"x"}\n');
    const old = new Date(Date.now() - 60_000);
    await utimes(file, old, old);
    const dataset = await BeirDataset.open(folder);
    const first = await dataset.corpusHash();
    const { atimeMs, mtime } = await stat(file);
    await put('corpus.jsonl', '{"_id":"d","text":"z"}\n');
    await utimes(file, atimeMs / 1000, mtime);
    expect(await dataset.corpusHash()).toBe(first);
  });

  it('does not store the hash of a file that was changed a moment ago, and works without a writable cache', async () => {
    await put('corpus.jsonl', '{"_id":"d","text":"x"}\n');
    const dataset = await BeirDataset.open(folder);
    await dataset.corpusHash();
    expect(await readdir(root)).toEqual(['tiny']);
    vi.stubEnv('LLM_QE_HOME', join(folder, 'corpus.jsonl'));
    const old = new Date(Date.now() - 60_000);
    await utimes(dataset.corpusFile, old, old);
    expect(await dataset.corpusHash()).toHaveLength(64);
  });
});
