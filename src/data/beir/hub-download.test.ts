import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalServer, serveBytes, startServer } from '../../../test/support/local-server.ts';
import { DataError, NetworkError } from '../../system/index.ts';
import { BRIGHT, type HubSource, NANO_BEIR, TREC_DL } from './beir-table.ts';
import { downloadFromHub, EXCLUDED_FILE } from './hub-download.ts';

/** Written by pyarrow: reference/parquet_sets.py. */
const golden = (name: string) => readFileSync(new URL(`../goldens/parquet/${name}.parquet`, import.meta.url));
const NANO = '/datasets/zeta-alpha-ai/NanoSciFact/resolve/main';
const TREES = '/datasets/xlangai/BRIGHT/resolve/main';

let folder: string;
let server: LocalServer;
let served: Map<string, Buffer>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-hub-'));
  served = new Map();
  server = await startServer((request, response) => {
    const body = served.get(request.url ?? '');
    if (body === undefined) response.writeHead(404).end();
    else serveBytes(request, response, body);
  });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const serveNano = () => {
  for (const part of ['corpus', 'queries', 'qrels']) {
    served.set(`${NANO}/${part}/train-00000-of-00001.parquet`, golden(`nano-${part}`));
  }
};
const nano = () => downloadFromHub('NanoSciFact', NANO_BEIR.NanoSciFact!, { folder, baseUrl: server.url });

async function fault(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => new Error('nothing was thrown'),
    (error: Error) => error,
  );
}

describe('downloadFromHub', () => {
  it("converts NanoBEIR's Parquet files, once", async () => {
    serveNano();
    const dataset = await nano();
    const documents = [];
    for await (const { id, text } of dataset.documents()) documents.push([id, text]);
    expect(documents).toEqual([
      ['d1', 'a saw'],
      ['d2', 'ein Boot, größer'],
      ['d3', 'a cat\nand more'],
    ]);
    expect([...(await dataset.queries()).values()].map(({ text }) => text)).toEqual(['saw', 'cat']);
    expect([...(await dataset.qrels('test')).get('q2')!.keys()]).toEqual(['d3', 'd2']);
    expect(await readdir(folder)).toEqual(['NanoSciFact']);
    await nano();
    expect(server.requests).toHaveLength(3);
  });

  it('keeps the files that are there if a later one is missing, or a web page', async () => {
    serveNano();
    served.delete(`${NANO}/qrels/train-00000-of-00001.parquet`);
    expect(await fault(nano())).toBeInstanceOf(NetworkError);
    served.set(`${NANO}/qrels/train-00000-of-00001.parquet`, Buffer.from('<!doctype html><title>Log in</title>'));
    const page = await fault(nano());
    expect([page.constructor, page.message]).toEqual([DataError, expect.stringContaining('a web page')]);
    expect(await readdir(folder)).toEqual(['NanoSciFact.files']);
    serveNano();
    await nano();
    expect(server.requests.filter(({ url }) => url?.includes('/corpus/'))).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['NanoSciFact']);
  });

  it('refuses a file that is cut off, or lacks a column', async () => {
    serveNano();
    served.set(`${NANO}/corpus/train-00000-of-00001.parquet`, golden('nano-corpus').subarray(0, 300));
    expect((await fault(nano())).message).toContain('not a Parquet file that can be read');
    await rm(join(folder, 'NanoSciFact.files'), { recursive: true });
    served.set(`${NANO}/corpus/train-00000-of-00001.parquet`, golden('bright-documents'));
    expect((await fault(nano())).message).toContain('_id');
  });

  it('converts a domain of BRIGHT, with the documents that a query excludes', async () => {
    for (const part of ['documents', 'examples']) {
      served.set(`${TREES}/${part}/biology-00000-of-00001.parquet`, golden(`bright-${part}`));
    }
    const dataset = await downloadFromHub('bright-biology', BRIGHT.biology!, { folder, baseUrl: server.url });
    expect(await dataset.count()).toBe(3);
    expect([...(await dataset.qrels('test')).get('0')!.keys()]).toEqual(['x/1.txt', 'x/2.txt']);
    expect(await readFile(join(dataset.folder, EXCLUDED_FILE), 'utf8')).toBe('1\tx/1.txt\n1\tx/2.txt\n');
  });

  it('joins topics and judgements of TREC with the corpus of msmarco', async () => {
    await mkdir(join(folder, 'msmarco', 'qrels'), { recursive: true });
    await writeFile(join(folder, 'msmarco', 'corpus.jsonl'), '{"_id":"7","text":"a"}\n');
    await writeFile(join(folder, 'msmarco', 'queries.jsonl'), '{"_id":"1","text":"a"}\n');
    const files = { topics: gzipSync('11\tgoldfish grow\n12\twhat\n'), judgements: Buffer.from('11 Q0 7 3\n') };
    const pinned = Object.fromEntries(
      Object.entries(files).map(([name, body]) => {
        served.set(`/${name}`, body);
        return [name, { url: `${server.url}/${name}`, md5: createHash('md5').update(body).digest('hex') }];
      }),
    );
    const source = { ...TREC_DL['trec-dl-2019']!, ...pinned } as HubSource;
    const dataset = await downloadFromHub('trec-dl-2019', source, { folder });
    expect([...(await dataset.qrels('test'))]).toEqual([['11', new Map([['7', 3]])]]);
    expect((await dataset.queries()).get('11')!.text).toBe('goldfish grow');
    expect(await dataset.count()).toBe(1);
    const changed = { ...source, judgements: { url: `${server.url}/judgements`, md5: 'other' } } as HubSource;
    expect((await fault(downloadFromHub('trec-dl-2020', changed, { folder }))).message).toContain(
      'but other was expected',
    );
  });
});
