import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROMPTS } from '../generate/index.ts';
import { defaultRetrievalSettings } from '../retrieve/index.ts';
import { listenWith } from '../serve/index.ts';
import { SILENT } from '../system/index.ts';
import { createStudioApp } from './app.ts';
import { PageFiles } from './http/page-files.ts';
import { ProgressFeed } from './http/progress-feed.ts';
import { pageFolder } from './open-studio.ts';
import { Studio } from './studio.ts';

const TOKEN = 'a-token-of-this-test';
const HOST = '127.0.0.1:8091';
const files = new PageFiles(pageFolder());
const faults: unknown[] = [];
let runs: string;
let app: Hono;

beforeAll(async () => {
  runs = await mkdtemp(join(tmpdir(), 'studio-'));
  const studio = new Studio({
    ...{ runs, corpora: [], settings: defaultRetrievalSettings({ threads: 1 }), generators: ['none'] },
    openGenerator: () => Promise.reject(new Error('this test has no generator')),
    ...{ prompt: PROMPTS.q2d, sampling: { temperature: 0, topP: 1, topK: 0, maxTokens: 16 }, samples: 1, seed: 1 },
    ...{ progress: new ProgressFeed(SILENT), signal: new AbortController().signal },
  });
  app = createStudioApp({ studio, files, token: TOKEN, port: () => 8091, onError: (error) => faults.push(error) });
});

afterAll(() => rm(runs, { recursive: true }));

interface Asked {
  host?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

const cookie = `llm-qe-studio-8091=${TOKEN}`;

/** Asks as the page does, with its cookie, unless headers are given. */
async function ask(path: string, { host = HOST, method = 'GET', headers = { cookie }, body }: Asked = {}) {
  return app.request(`http://${HOST}${path}`, {
    method,
    headers: { host, ...headers },
    ...(body !== undefined && { body }),
  });
}

describe('the guard', () => {
  it.each(['/', '/runs', '/api/runs', `/assets/${files.version}/main.js`, '/nowhere'])(
    'refuses %s without the token',
    async (path) => {
      const answer = await ask(path, { headers: {} });
      expect(answer.status).toBe(403);
      expect(await answer.json()).toEqual({
        error: {
          message: 'the token is missing or wrong',
          fix: 'Open the address that `llm-qe studio` printed, with its token.',
        },
      });
    },
  );

  it.each(['evil.example', 'evil.example:8091', '127.0.0.1:8092', '127.0.0.1', '127.0.0.1:8091.evil.example', ''])(
    'refuses the host %j even with the token',
    async (host) => {
      expect((await ask('/api/runs', { host })).status).toBe(403);
    },
  );

  it.each(['127.0.0.1:8091', 'localhost:8091', '[::1]:8091', 'LOCALHOST:8091'])('lets %s in', async (host) => {
    expect((await ask('/api/runs', { host })).status).toBe(200);
  });

  it('turns the token of an address into a cookie that scripts and other sites cannot use, and cleans the address', async () => {
    const answer = await ask(`/runs?token=${TOKEN}&sort=name`, { headers: {} });
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe('/runs?sort=name');
    expect(answer.headers.get('set-cookie')).toBe(`${cookie}; Path=/; HttpOnly; SameSite=Strict`);
  });

  it('never leads to another machine', async () => {
    const answer = await ask(`//evil.example/?token=${TOKEN}`, { headers: {} });
    expect(answer.headers.get('location')).toBe('/evil.example/');
  });

  it.each([`${TOKEN}x`, TOKEN.slice(1), ''])('refuses the wrong token %j, however it is sent', async (wrong) => {
    expect((await ask(`/?token=${wrong}`, { headers: {} })).status).toBe(403);
    expect((await ask('/', { headers: { cookie: `llm-qe-studio-8091=${wrong}` } })).status).toBe(403);
    expect((await ask('/', { headers: { authorization: `Bearer ${wrong}` } })).status).toBe(403);
  });

  it('takes the token as a bearer, also for changes', async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await ask('/api/runs', { headers })).status).toBe(200);
    expect((await ask('/api/nowhere', { headers, method: 'POST' })).status).toBe(404);
  });

  it('lets changes by cookie come from its own page alone', async () => {
    const post = async (more: Record<string, string>) =>
      (await ask('/api/nowhere', { method: 'POST', headers: { cookie, ...more } })).status;
    expect(await post({ origin: 'http://127.0.0.1:8091' })).toBe(404);
    expect(await post({})).toBe(403);
    expect(await post({ origin: 'http://127.0.0.1:9000' })).toBe(403);
    expect(await post({ origin: 'https://127.0.0.1:8091' })).toBe(403);
    expect(await post({ origin: 'null' })).toBe(403);
    const authorization = `Bearer ${TOKEN}`;
    expect(await post({ origin: 'http://evil.example', authorization })).toBe(403);
  });
});

describe('an answer', () => {
  it.each(['/', '/api/runs', '/api/nowhere'])('of %s carries the policy', async (path) => {
    const { headers } = await ask(path);
    const policy = headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  });

  it('carries the policy when it is a refusal', async () => {
    const { headers } = await ask('/', { headers: {} });
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('refuses a body that is too large', async () => {
    const answer = await ask('/api/nowhere', {
      ...{ method: 'POST', body: 'x'.repeat(2 ** 20 + 1) },
      headers: { authorization: `Bearer ${TOKEN}`, 'content-length': `${2 ** 20 + 1}` },
    });
    expect(answer.status).toBe(413);
  });
});

describe('a body in chunks', () => {
  it('is read, up to the limit', async () => {
    const listening = await listenWith(app, { host: '127.0.0.1', port: 0 });
    const headers = { host: HOST, authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    const send = async (method: string, chunks: string[]) => {
      const sent = request(listening.url, { method, path: '/api/try/rank', headers });
      for (const chunk of chunks) sent.write(chunk);
      sent.end();
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      return { status: answer.statusCode, text: (await answer.toArray()).join('') };
    };
    try {
      expect(await send('POST', ['{"query"', ': 1}'])).toMatchObject({
        ...{ status: 400, text: expect.stringMatching(/query: .*string/) },
      });
      expect((await send('POST', ['x'.repeat(2 ** 20), 'x'])).status).toBe(413);
      expect((await send('DELETE', [])).status).toBe(404);
    } finally {
      await listening.close(0);
    }
  });
});

describe('the page', () => {
  it('names only its own files, and each is there', async () => {
    const text = await (await ask('/')).text();
    const addresses = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address!);
    expect(addresses.length).toBeGreaterThan(2);
    for (const address of addresses) {
      expect(address).toMatch(/^\/assets\//);
      expect((await ask(address)).status).toBe(200);
    }
  });

  it('imports only files that are there', async () => {
    for (const name of files.names.filter((one) => one.endsWith('.js'))) {
      const text = await (await ask(`/assets/${files.version}/${name}`)).text();
      const imported = [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)["']([\w@./-]+)["']/g)].map(([, to]) => to!);
      for (const to of imported) {
        const { pathname } = new URL(to, `http://${HOST}/assets/${files.version}/${name}`);
        expect(`${name} imports ${to}: ${(await ask(pathname)).status}`).toBe(`${name} imports ${to}: 200`);
      }
    }
  });

  it.each([
    '/assets/../package.json',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/assets/VERSION/../../../package.json',
    '/assets/VERSION/..%2f..%2f..%2fpackage.json',
    '/assets/VERSION/%2fetc%2fpasswd',
    '/assets/VERSION/tsconfig.json',
    '/assets/other/main.js',
  ])('has nothing at %s', async (path) => {
    const answer = await ask(path.replace('VERSION', files.version));
    const text = await answer.text();
    expect(answer.status === 404 || text.startsWith('<!doctype html>')).toBe(true);
    expect(text).not.toContain('"dependencies"');
  });

  it('is compressed, and its files are kept for ever', async () => {
    const address = `/assets/${files.version}/main.js`;
    const { headers } = await ask(address, { headers: { cookie, 'accept-encoding': 'gzip, deflate' } });
    expect(headers.get('content-encoding')).toBe('gzip');
    expect(headers.get('cache-control')).toContain('immutable');
    const etag = (await ask('/')).headers.get('etag')!;
    expect((await ask('/', { headers: { cookie, 'if-none-match': etag } })).status).toBe(304);
  });

  it('weighs less than 500 KB with all its libraries, as it is sent', async () => {
    const sizes = await Promise.all(
      files.names.filter((name) => !name.endsWith('.txt')).map((name) => files.transferred(name)),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(500_000);
  });
});

describe('the list of runs', () => {
  it('is empty without runs, and reads no file of another kind', async () => {
    await writeFile(join(runs, 'notes.txt'), 'no run');
    expect(await (await ask('/api/runs')).json()).toEqual({ folder: runs, runs: [] });
  });
});
