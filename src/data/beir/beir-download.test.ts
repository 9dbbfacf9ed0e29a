import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sendInto } from '../../../test/support/local-server.ts';
import { AbortedError, DataError, NetworkError, SILENT, UsageError } from '../../system/index.ts';
import { downloadBeir } from './beir-download.ts';
import { BEIR_DATASETS } from './beir-table.ts';

let folder: string;
let server: Server;
let baseUrl: string;
/** The files on the server, by path. */
let served: Map<string, Buffer>;
/** Requests so far: path and range. */
let requests: string[];
/** Number of bytes after which the server drops the connection, once. */
let breakAfter: number | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-beir-download-'));
  served = new Map();
  requests = [];
  breakAfter = undefined;
  server = createServer((request, response) => {
    requests.push(`${request.url} ${request.headers.range ?? ''}`.trim());
    const body = served.get(request.url ?? '');
    if (body === undefined) return response.writeHead(404).end();
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const part = body.subarray(start);
    const range = start > 0 ? { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': part.length, etag: '"one"', ...range });
    if (breakAfter === undefined) return response.end(part);
    const stored = () => join(folder, `${request.url!.split('/').at(-1)}.part`);
    void sendInto(stored, response, part.subarray(0, breakAfter)).then(() => response.destroy());
    breakAfter = undefined;
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/beir/`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  await rm(folder, { recursive: true });
});

/** A zip archive that stores its files without compression (APPNOTE 4.3). */
function zipOf(files: Record<string, string>): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const [path, data] = [Buffer.from(name), Buffer.from(content)];
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(path.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, path, data]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, place, path]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, Buffer.from('PK\x05\x06'), end]);
}

function dataset(prefix: string): Record<string, string> {
  return {
    [`${prefix}/corpus.jsonl`]: `{"_id":"d","text":"${'x'.repeat(20_000)}"}\n`,
    [`${prefix}/queries.jsonl`]: '{"_id":"q","text":"a"}\n',
    [`${prefix}/qrels/test.tsv`]: 'query-id\tcorpus-id\tscore\nq\td\t1\n',
  };
}

function serve(name: string, files: Record<string, string>): string {
  const zip = zipOf(files);
  served.set(`/beir/${name}.zip`, zip);
  return createHash('md5').update(zip).digest('hex');
}

async function fault(work: Promise<unknown>): Promise<Error> {
  const error = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  return error as Error;
}

describe('downloadBeir', () => {
  it('downloads, checks and unpacks a data set, and does so only once', async () => {
    const md5 = serve('scifact', { ...dataset('scifact'), '__MACOSX/scifact/._corpus.jsonl': 'junk' });
    const [found, ...others] = await downloadBeir('scifact', { folder, baseUrl, md5 });
    expect(others).toEqual([]);
    expect(found?.folder).toBe(join(folder, 'scifact'));
    expect(await found?.qrels('test')).toEqual(new Map([['q', new Map([['d', 1]])]]));
    expect(await readdir(folder)).toEqual(['scifact']);
    await downloadBeir('scifact', { folder, baseUrl, md5 });
    expect(requests).toEqual(['/beir/scifact.zip']);
  });

  it('opens the twelve forums of cqadupstack', async () => {
    const forums = Object.keys(BEIR_DATASETS.cqadupstack!.parts!);
    expect(forums).toHaveLength(12);
    const md5 = serve('cqadupstack', Object.assign({}, ...forums.map((forum) => dataset(`cqadupstack/${forum}`))));
    const found = await downloadBeir('cqadupstack', { folder, baseUrl, md5 });
    expect(found.map(({ name }) => name)).toEqual(forums);
  });

  it('reads the address from the environment, with or without a trailing slash', async () => {
    const md5 = serve('nq', dataset('nq'));
    await downloadBeir('nq', { folder, md5, environment: { LLM_QE_BEIR_URL: baseUrl.slice(0, -1) } });
    expect(requests).toEqual(['/beir/nq.zip']);
  });

  it('resumes an interrupted transfer', async () => {
    const md5 = serve('fiqa', dataset('fiqa'));
    breakAfter = 5000;
    await downloadBeir('fiqa', { folder, baseUrl, md5 });
    expect(requests).toHaveLength(2);
    expect(requests[1]).toMatch(/^\/beir\/fiqa\.zip bytes=[1-9]\d*-$/);
    expect(await readdir(folder)).toEqual(['fiqa']);
  });

  it('uses an archive that an earlier, interrupted call downloaded', async () => {
    const md5 = serve('nfcorpus', dataset('nfcorpus'));
    await writeFile(join(folder, 'nfcorpus.zip'), served.get('/beir/nfcorpus.zip')!);
    await downloadBeir('nfcorpus', { folder, baseUrl, md5 });
    expect(requests).toEqual([]);
    expect(await readdir(folder)).toEqual(['nfcorpus']);
  });

  it('refuses bytes that differ from the published ones, and keeps none of them', async () => {
    serve('scifact', dataset('scifact'));
    const error = await fault(downloadBeir('scifact', { folder, baseUrl }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain(BEIR_DATASETS.scifact!.md5);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses an archive with ../ and writes nothing, neither inside nor outside', async () => {
    const inner = join(folder, 'inner');
    await mkdir(inner);
    for (const name of ['../evil.txt', 'quora/../../evil.txt', '/evil.txt', 'quora\\..\\..\\evil.txt']) {
      const md5 = serve('quora', { ...dataset('quora'), [name]: 'evil' });
      expect(await fault(downloadBeir('quora', { folder: inner, baseUrl, md5 }))).toBeInstanceOf(DataError);
      expect(await readdir(folder)).toEqual(['inner']);
      expect(await readdir(inner)).toEqual([]);
    }
  });

  it('refuses an archive without the data set, or with a part missing', async () => {
    const other = serve('fever', dataset('something-else'));
    expect((await fault(downloadBeir('fever', { folder, baseUrl, md5: other }))).message).toContain('no such folder');
    const lacking = dataset('arguana');
    delete lacking['arguana/queries.jsonl'];
    const md5 = serve('arguana', lacking);
    expect((await fault(downloadBeir('arguana', { folder, baseUrl, md5 }))).message).toContain('queries.jsonl');
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses an archive that is cut off', async () => {
    const zip = zipOf(dataset('scidocs')).subarray(0, 15_000);
    served.set('/beir/scidocs.zip', zip);
    const md5 = createHash('md5').update(zip).digest('hex');
    const error = await fault(downloadBeir('scidocs', { folder, baseUrl, md5 }));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain('not a complete zip archive');
  });

  it('reports that the server has no such file', async () => {
    expect(await fault(downloadBeir('scifact', { folder, baseUrl }))).toBeInstanceOf(NetworkError);
    expect(await readdir(folder)).toEqual([]);
  });

  it('goes to the next mirror behind a web page, a missing file, or other bytes, and says why', async () => {
    const md5 = serve('scifact', dataset('scifact'));
    const good = served.get('/beir/scifact.zip')!;
    const bases = ['page', 'none', 'other', 'good'].map((name) => baseUrl.replace('/beir/', `/${name}`));
    served.set('/page/scifact.zip', Buffer.from('<!doctype html><title>Log in</title>'));
    served.set('/other/scifact.zip', zipOf(dataset('other')));
    served.set('/good/scifact.zip', good);
    const warnings: string[] = [];
    const progress = { ...SILENT, warn: (line: string) => warnings.push(line) };
    const mirrors = bases.map((base) => ({ base }));
    const [found] = await downloadBeir('scifact', { folder, mirrors, md5, progress });
    expect(await found!.splits()).toEqual(['test']);
    expect(await readdir(folder)).toEqual(['scifact']);
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toContain('a web page');
    expect(warnings[1]).toContain('404');
    expect(warnings[2]).toContain(`${md5} was expected`);
  });

  it('tells of every mirror if none serves the data set', async () => {
    const mirrors = ['a', 'b'].map((name) => ({ base: baseUrl.replace('/beir/', `/${name}`) }));
    const error = await fault(downloadBeir('scifact', { folder, mirrors }));
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toMatch(/no mirror serves scifact \(.*\/a: .*404.*; .*\/b: .*404/);
    served.set('/b/scifact.zip', Buffer.from('<html>'));
    expect(await fault(downloadBeir('scifact', { folder, mirrors }))).toBeInstanceOf(DataError);
    expect(await readdir(folder)).toEqual([]);
  });

  it('joins a zip that a mirror serves in parts, and goes on behind the parts that are there', async () => {
    const forums = Object.keys(BEIR_DATASETS.cqadupstack!.parts!);
    const md5 = serve('cqadupstack', Object.assign({}, ...forums.map((forum) => dataset(`cqadupstack/${forum}`))));
    const zip = served.get('/beir/cqadupstack.zip')!;
    const [one, two] = [Math.floor(zip.length / 3), Math.floor(zip.length / 2)];
    served.set('/beir/cqadupstack.zip.part-000', zip.subarray(0, one));
    served.set('/beir/cqadupstack.zip.part-001', zip.subarray(one, two));
    const mirrors = [{ base: baseUrl, parts: { cqadupstack: 3 } }];
    expect((await fault(downloadBeir('cqadupstack', { folder, mirrors, md5 }))).message).toContain('404');
    served.set('/beir/cqadupstack.zip.part-002', zip.subarray(two));
    expect(await downloadBeir('cqadupstack', { folder, mirrors, md5 })).toHaveLength(12);
    expect(requests.map((path) => path.slice(-8))).toEqual(['part-000', 'part-001', 'part-002', 'part-002']);
    expect(await readdir(folder)).toEqual(['cqadupstack']);
  });

  it('checks an archive that an earlier call left before it unpacks it', async () => {
    const md5 = serve('nq', dataset('nq'));
    await writeFile(join(folder, 'nq.zip'), zipOf(dataset('nq')).subarray(1));
    expect((await fault(downloadBeir('nq', { folder, baseUrl, md5 }))).message).toContain(`${md5} was expected`);
    expect(await downloadBeir('nq', { folder, baseUrl, md5 })).toHaveLength(1);
  });

  it('knows the fifteen names, accepts another name with its MD5, and refuses a path', async () => {
    expect(Object.keys(BEIR_DATASETS)).toHaveLength(15);
    expect(new Set(Object.values(BEIR_DATASETS).map(({ md5 }) => md5)).size).toBe(15);
    const error = await fault(downloadBeir('germanquad', { folder, baseUrl }));
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).fix).toContain('trec-covid');
    const md5 = serve('germanquad', dataset('germanquad'));
    expect(await downloadBeir('germanquad', { folder, baseUrl, md5: md5.toUpperCase() })).toHaveLength(1);
    for (const name of ['../scifact', 'a/b', '', '.', 'constructor/x']) {
      expect(await fault(downloadBeir(name, { folder, baseUrl, md5 }))).toBeInstanceOf(UsageError);
    }
    expect(await fault(downloadBeir('constructor', { folder, baseUrl }))).toBeInstanceOf(UsageError);
  });

  it('stops on request, and downloads once for two simultaneous calls', async () => {
    const md5 = serve('hotpotqa', dataset('hotpotqa'));
    const stopped = downloadBeir('hotpotqa', { folder, baseUrl, md5, signal: AbortSignal.abort() });
    expect(await fault(stopped)).toBeInstanceOf(AbortedError);
    const both = [0, 1].map(() => downloadBeir('hotpotqa', { folder, baseUrl, md5 }));
    await Promise.all(both);
    expect(requests).toEqual(['/beir/hotpotqa.zip']);
    expect(await readFile(join(folder, 'hotpotqa', 'queries.jsonl'), 'utf8')).toContain('"q"');
  });
});
