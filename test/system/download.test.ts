import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../src/system/disk/hash.ts';
import { AbortedError, DataError, NetworkError, ResourceError } from '../../src/system/errors.ts';
import { type DownloadOptions, download } from '../../src/system/network/download.ts';
import { ConnectionError, HttpError, readText, request } from '../../src/system/network/http.ts';
import type { Progress } from '../../src/system/progress.ts';
import { type Handler, type LocalServer, sendInto, serveBytes, startServer } from '../support/local-server.ts';

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251));
const SHA = sha256(CONTENT);
const QUICK: DownloadOptions = { firstWaitSeconds: 0.01, connectTimeoutSeconds: 10 };

let folder: string;
let target: string;
const servers: LocalServer[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'download-'));
  target = join(folder, 'file.bin');
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await rm(folder, { recursive: true, force: true });
});

async function serve(handler: Handler): Promise<LocalServer> {
  const server = await startServer(handler);
  servers.push(server);
  return server;
}

/** Sends the head of the file with the whole length, then breaks the connection. */
async function breakOff(response: ServerResponse, content: Buffer, after: number, etag = '"v1"'): Promise<void> {
  // What an earlier attempt stored must not pass for what this one sends.
  await rm(`${target}.part`, { force: true });
  response.writeHead(200, { etag, 'content-length': content.length });
  await sendInto(() => `${target}.part`, response, content.subarray(0, after));
  response.destroy();
}

async function failure(url: string, options: DownloadOptions = {}): Promise<unknown> {
  return await download(url, target, { ...QUICK, ...options }).catch((error: unknown) => error);
}

describe('download', () => {
  test('fetches a file, reports bytes and leaves nothing else behind', async () => {
    const server = await serve((request, response) => serveBytes(request, response, CONTENT));
    let total: number | undefined;
    let advanced = 0;
    const advance = (units = 1) => {
      advanced += units;
    };
    const progress: Progress = {
      task: (_, all) => {
        total = all;
        return { advance, skip: advance, note() {}, done() {} };
      },
    };
    const result = await download(`${server.url}/f`, target, { ...QUICK, sha256: SHA, progress });
    expect(result).toEqual({ bytes: CONTENT.length, sha256: SHA });
    expect(await readFile(target)).toEqual(CONTENT);
    expect([total, advanced]).toEqual([CONTENT.length, CONTENT.length]);
    expect(existsSync(`${target}.part`) || existsSync(`${target}.part.json`)).toBe(false);
  });

  test('a transfer that breaks off goes on by a range', async () => {
    const server = await serve((request, response) => {
      if (server.requests.length === 1) void breakOff(response, CONTENT, 100_000);
      else serveBytes(request, response, CONTENT);
    });
    const result = await download(server.url, target, QUICK);
    expect(result.sha256).toBe(SHA);
    expect(server.requests[1]?.headers.range).toBe('bytes=100000-');
    expect(server.requests[1]?.headers['if-range']).toBe('"v1"');
  });

  test('a later call goes on where a stopped one was', async () => {
    const stop = new AbortController();
    const server = await serve((request, response) => {
      if (server.requests.length > 1) return serveBytes(request, response, CONTENT);
      response.writeHead(200, { etag: '"v1"', 'content-length': CONTENT.length });
      void sendInto(() => `${target}.part`, response, CONTENT.subarray(0, 50_000)).then(() => stop.abort());
    });
    expect(await failure(server.url, { signal: stop.signal })).toBeInstanceOf(AbortedError);
    expect((await readFile(`${target}.part`)).length).toBe(50_000);
    expect((await download(server.url, target, QUICK)).sha256).toBe(SHA);
    expect(server.requests[1]?.headers.range).toBe('bytes=50000-');
  });

  test('a file that changed meanwhile is fetched anew, never mixed', async () => {
    const server = await serve((request, response) => {
      if (server.requests.length === 1) void breakOff(response, Buffer.alloc(CONTENT.length), 1000, '"old"');
      else serveBytes(request, response, CONTENT, '"new"');
    });
    expect((await download(server.url, target, QUICK)).sha256).toBe(SHA);
  });

  test('a server that ignores ranges starts it anew', async () => {
    const server = await serve((_, response) => {
      if (server.requests.length === 1) void breakOff(response, CONTENT, 1000);
      else response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT);
    });
    expect((await download(server.url, target, QUICK)).sha256).toBe(SHA);
  });

  test('a range that starts elsewhere, and a range beyond the end, start it anew', async () => {
    for (const answer of [
      { status: 206, headers: { 'content-range': `bytes 7-${CONTENT.length - 1}/${CONTENT.length}`, etag: '"v1"' } },
      { status: 416, headers: {} },
    ]) {
      await writeFile(`${target}.part`, CONTENT.subarray(0, 1000));
      await writeFile(`${target}.part.json`, JSON.stringify({ etag: '"v1"', total: CONTENT.length }));
      const server = await serve((request, response) => {
        if (request.headers.range !== undefined) response.writeHead(answer.status, answer.headers).end('x');
        else serveBytes(request, response, CONTENT);
      });
      expect((await download(server.url, target, QUICK)).sha256).toBe(SHA);
    }
  });

  test('a .part of unknown origin is used only where a hash will judge it', async () => {
    const server = await serve((request, response) => serveBytes(request, response, CONTENT));
    await writeFile(`${target}.part`, 'of unknown origin');
    await download(server.url, target, QUICK);
    expect(server.requests[0]?.headers.range).toBeUndefined();
    await writeFile(`${target}.part`, CONTENT.subarray(0, 9));
    await download(server.url, target, { ...QUICK, sha256: SHA });
    expect(server.requests[1]?.headers.range).toBe('bytes=9-');
  });

  test('a .part that is already whole needs no request', async () => {
    await writeFile(`${target}.part`, CONTENT);
    await writeFile(`${target}.part.json`, JSON.stringify({ etag: '"v1"', total: CONTENT.length }));
    expect((await download('http://127.0.0.1:9/none', target, { ...QUICK, retries: 0 })).sha256).toBe(SHA);
  });

  test('the wrong SHA-256 is refused and .part removed', async () => {
    const server = await serve((request, response) => serveBytes(request, response, CONTENT));
    const error = await failure(server.url, { sha256: 'f'.repeat(64) });
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toContain(SHA);
    expect((error as DataError).fix).not.toBe('');
    expect(existsSync(target) || existsSync(`${target}.part`)).toBe(false);
  });

  test('the wrong size is refused, before the transfer or during it', async () => {
    const server = await serve((request, response) => {
      if (request.url === '/chunked') response.end(CONTENT);
      else serveBytes(request, response, CONTENT);
    });
    expect(await failure(server.url, { bytes: 17 })).toBeInstanceOf(DataError);
    expect(await failure(`${server.url}/chunked`, { bytes: 17 })).toBeInstanceOf(DataError);
    expect(existsSync(`${target}.part`)).toBe(false);
  });

  test('429 and 503 are waited out, by Retry-After where it is given', async () => {
    const server = await serve((request, response) => {
      if (server.requests.length === 1) response.writeHead(429, { 'retry-after': '1' }).end();
      else if (server.requests.length === 2) response.writeHead(503).end();
      else serveBytes(request, response, CONTENT);
    });
    const start = Date.now();
    await download(server.url, target, QUICK);
    expect(Date.now() - start).toBeGreaterThan(950);
    expect(server.requests).toHaveLength(3);
  });

  test('a 429 that asks for hours ends with its error', async () => {
    const server = await serve((_, response) => response.writeHead(429, { 'retry-after': '7200' }).end());
    const error = await failure(server.url);
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ status: 429, retryAfterSeconds: 7200 });
    expect(server.requests).toHaveLength(1);
  });

  test.each([401, 403, 404])('%i is not tried again', async (status) => {
    const server = await serve((_, response) => response.writeHead(status).end('no'));
    expect(await failure(`${server.url}/x?signature=secret`)).toMatchObject({ status, name: 'HttpError' });
    expect(String(await failure(`${server.url}/x?signature=secret`))).not.toContain('secret');
    expect(server.requests).toHaveLength(2);
  });

  test('a server that always breaks off fails after its attempts, and keeps what came', async () => {
    const server = await serve((_, response) => void breakOff(response, CONTENT, 5000));
    const error = await failure(server.url, { retries: 2 });
    expect(error).toBeInstanceOf(ConnectionError);
    expect(server.requests.length).toBeGreaterThanOrEqual(3);
    expect((await readFile(`${target}.part`)).length).toBe(5000);
  });

  test('a server that goes silent is given up', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 10 });
      response.write('12345');
    });
    const error = await failure(server.url, { retries: 0, stallTimeoutSeconds: 0.2 });
    expect(String(error)).toContain('sent almost nothing for 0.2 s');
  });

  test('a server that drips is given up, and not asked for ever', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length, etag: '"v"' });
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const error = await failure(server.url, { retries: 1, firstWaitSeconds: 0.01, stallTimeoutSeconds: 0.15 });
    expect(String(error)).toContain('sent almost nothing');
    expect(server.requests).toHaveLength(2);
  });

  test('a server that never answers, and one that is not there', async () => {
    const server = await serve(() => {});
    const silent = await failure(server.url, { retries: 0, connectTimeoutSeconds: 0.2 });
    expect(String(silent)).toContain('did not answer within 0.2 s');
    await server.close();
    const absent = await failure(server.url, { retries: 1 });
    expect(absent).toBeInstanceOf(ConnectionError);
    expect(String(absent)).toContain('ECONNREFUSED');
  });

  test('a limit of years does not end at once', async () => {
    const server = await serve((request, response) => serveBytes(request, response, CONTENT));
    const years = { connectTimeoutSeconds: 1e9, stallTimeoutSeconds: 1e9 };
    await download(`${server.url}/a`, target, { ...years, retries: 0 });
    expect(await readFile(target)).toEqual(CONTENT);
    const text = await readText(await request(server.url, years), server.url, { seconds: 1e9 });
    expect(text).toHaveLength(CONTENT.toString().length);
  });

  test('what is no HTTP address is refused', async () => {
    expect(await failure('file:///etc/passwd')).toBeInstanceOf(NetworkError);
    expect(await failure('nonsense')).toBeInstanceOf(NetworkError);
  });

  test('credentials stay with their host', async () => {
    const other = await serve((request, response) => serveBytes(request, response, CONTENT));
    const first = await serve((request, response) => {
      const location = request.url === '/a' ? '/b' : `${other.url}/c`;
      response.writeHead(302, { location }).end();
    });
    await download(`${first.url}/a`, target, { ...QUICK, headers: { authorization: 'Bearer s', 'x-kept': 'yes' } });
    expect(first.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer s', 'Bearer s']);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
    expect(other.requests[0]?.headers['x-kept']).toBe('yes');
  });

  test('endless redirects are given up', async () => {
    const server = await serve((_, response) => response.writeHead(302, { location: '/again' }).end());
    expect(String(await failure(server.url))).toContain('redirects endlessly');
  });

  test.runIf(existsSync('/dev/full'))('a full disk is a ResourceError', async () => {
    const server = await serve((request, response) => serveBytes(request, response, CONTENT));
    await symlink('/dev/full', `${target}.part`);
    const error = await failure(server.url);
    expect(error).toBeInstanceOf(ResourceError);
    expect(String(error)).toContain('the disk is full');
  });
});
