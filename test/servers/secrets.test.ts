import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectEncoder } from '../../src/embed/index.ts';
import { UsageError } from '../../src/system/index.ts';
import { chat, embeddings, ScenarioServer } from '../support/scenario-server.ts';

/** The built program, as a user starts it. `npm test` builds it first. */
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');

const SECRETS = ['sk-the-key-of-a-test', 'the-password', 'the-query-key', 'hf_the_token_of_a_test'];
const [KEY, PASSWORD, QUERY_KEY, TOKEN] = SECRETS as [string, string, string, string];

let server: ScenarioServer;
let folder: string;

beforeAll(async () => {
  const echo = ({ headers, path }: { headers: object; path: string }) => `${JSON.stringify(headers)} at ${path}`;
  server = await ScenarioServer.start({
    works: (call) => ('input' in call.body ? embeddings(call) : chat(`A lighthouse. ${echo(call)}`)),
    refuses: (call) => ({ status: 401, body: { error: { message: `no access for ${echo(call)}` } } }),
    fails: (call) => ({ status: 400, body: `<html><body>${echo(call)}</body></html>` }),
  });
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-secrets-'));
  await mkdir(join(folder, 'set', 'qrels'), { recursive: true });
  await writeFile(
    join(folder, 'set', 'corpus.jsonl'),
    '{"_id":"d","title":"","text":"a tower"}\n{"_id":"e","text":""}\n',
  );
  await writeFile(join(folder, 'set', 'queries.jsonl'), '{"_id":"q","text":"a lighthouse"}\n');
  await writeFile(join(folder, 'set', 'qrels', 'test.tsv'), 'query-id\tcorpus-id\tscore\nq\td\t1\n');
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function run(words: string[], environment: Record<string, string> = {}) {
  const env = { PATH: process.env.PATH, XDG_CACHE_HOME: join(folder, 'cache'), OPENAI_API_KEY: KEY, ...environment };
  const child = spawn(process.execPath, [MAIN, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, log] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (log += chunk));
  const [code] = await once(child, 'close');
  return { code: code as number, out, log };
}

const secretly = (name: string) => {
  const { host } = new URL(server.origin);
  return `http://user:${PASSWORD}@${host}/${name}/v1?api-key=${QUERY_KEY}`;
};
let outputs = 0;
const expand = (address: string) => [
  ...['expand', '--out', join(folder, `expanded-${outputs++}`, 'e.jsonl')],
  '--dataset',
  join(folder, 'set'),
  '--generator',
  address,
  '--model',
  'm',
];
const evaluate = (address: string) => [
  'evaluate',
  '--dataset',
  join(folder, 'set'),
  '--encoder',
  address,
  '--encoder-model',
  'm',
];

/** Returns every file in the folder and every given text that holds a secret in any form. */
async function leaks(...texts: string[]): Promise<string[]> {
  const basic = Buffer.from(`user:${PASSWORD}`).toString('base64');
  const holds = (text: string) => [...SECRETS, basic].some((secret) => text.includes(secret));
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const contents = await Promise.all(files.map((file) => readFile(file, 'latin1')));
  return [...files.filter((_, place) => holds(contents[place]!)), ...texts.filter(holds)];
}

describe('no secret is printed or stored', () => {
  it('by runs that succeed, with a server that echoes what it receives', async () => {
    const wrote = await run([...expand(secretly('works')), '--json'], { OPENAI_LOG: 'debug' });
    expect(wrote).toMatchObject({ code: 0 });
    expect(JSON.parse(wrote.out)).toMatchObject({ expansions: 1 });
    const { expansions } = JSON.parse(wrote.out).files;
    // The password in the address takes precedence over the key in the environment.
    expect(server.calls('works').at(-1)!.headers.authorization).toMatch(/^Basic /);
    expect(server.calls('works').at(-1)!.path).toBe(`/v1/chat/completions?api-key=${QUERY_KEY}`);
    const files = ['--report', join(folder, 'report.html'), '--run-out', join(folder, 'run.txt')];
    const scored = await run([...evaluate(secretly('works')), '--expansions', expansions, ...files, '--json']);
    expect(scored).toMatchObject({ code: 0 });
    expect(scored.out).toContain('http://***@127.0.0.1');
    const plain = await run([...evaluate(server.at('works')), '--json']);
    expect(server.calls('works').at(-1)!.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(await leaks(wrote.out, wrote.log, scored.out, scored.log, plain.out, plain.log)).toEqual([]);
  });

  it('by runs that fail', async () => {
    const outcomes = await Promise.all([
      run(expand(secretly('refuses'))),
      run(evaluate(secretly('refuses')), { LLM_QE_DEBUG: '1' }),
      run(expand(server.at('fails')), { LLM_QE_DEBUG: '1' }),
      run(evaluate(server.at('fails'))),
      run(expand(`ftp://user:${PASSWORD}@host/v1`)),
      run(expand('http://127.0.0.1:1/v1'), { HTTP_PROXY: `http://user:${PASSWORD}@127.0.0.1:1` }),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([1, 1, 1, 1, 2, 1]);
    for (const { log } of outcomes) expect(log).toMatch(/^error: /m);
    expect(outcomes[0]!.log).toMatch(/no access for/);
    expect(await leaks(...outcomes.flatMap(({ out, log }) => [out, log]))).toEqual([]);
  });

  it('by a key or a token that cannot be sent', async () => {
    const environment = { OPENAI_API_KEY: `${KEY}\n${KEY}`, HF_TOKEN: `hf_a\n${TOKEN}` };
    const [wrote, pulled] = await Promise.all([
      run(expand(server.at('works')), environment),
      run(['models', 'pull', 'hf:owner/name'], environment),
    ]);
    expect(wrote).toMatchObject({ code: 2, log: expect.stringMatching(/OPENAI_API_KEY holds a line end/) });
    expect(pulled).toMatchObject({ code: 2, log: expect.stringMatching(/HF_TOKEN holds a line end/) });
    expect(await leaks(wrote.log, pulled.log)).toEqual([]);
  });
});

describe('keys', () => {
  const connect = (apiKey?: string) => {
    const options = { baseUrl: server.at('works'), model: 'm', apiKey, cache: join(folder, 'cache'), retries: 0 };
    return connectEncoder(options);
  };
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    ['a line end', `${KEY}\nx`],
    ['a character that is not ASCII', `${KEY}ключ`],
    ['a character that is not ASCII', '“sk-quoted-by-a-word-processor”'],
    ['a blank', `${KEY} x`],
    ['a control character', `${KEY}\u0007x`],
  ])('with %s inside are refused by name, without showing the value', async (what, key) => {
    vi.stubEnv('OPENAI_API_KEY', key);
    for (const given of [key, undefined]) {
      const error = await connect(given).then(
        () => new Error('no fault'),
        (reason: Error) => reason,
      );
      expect(error).toBeInstanceOf(UsageError);
      expect(error.message).toContain(`holds ${what}`);
      expect(error.stack).not.toContain(key.slice(0, 12));
    }
  });

  it.each([
    [` ${KEY}\r\n`, `Bearer ${KEY}`],
    ['', undefined],
    [' \n', undefined],
  ])('%j is sent without its blanks', async (key, authorization) => {
    vi.stubEnv('OPENAI_API_KEY', key);
    await connect();
    expect(server.calls('works').at(-1)!.headers.authorization).toBe(authorization);
  });
});

describe('proxies of the environment', () => {
  it('are used for calls, except to the hosts in NO_PROXY', async () => {
    const asked: string[] = [];
    const proxy = createServer((request, response) => {
      asked.push(`${request.headers['proxy-authorization']} ${request.url}`);
      const { pathname, search } = new URL(request.url!);
      const { hostname, port } = new URL(server.origin);
      const passed = forward(
        { hostname, port, path: pathname + search, method: request.method, headers: request.headers },
        (answer) => {
          response.writeHead(answer.statusCode!, answer.headers);
          answer.pipe(response);
        },
      );
      request.pipe(passed);
    });
    proxy.on('connect', (request, socket) => {
      asked.push(`CONNECT ${request.url}`);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const port = (proxy.address() as AddressInfo).port;
    const HTTP_PROXY = `http://user:${PASSWORD}@127.0.0.1:${port}`;
    const HTTPS_PROXY = `127.0.0.1:${port}`;
    try {
      const far = await run(expand('http://far.invalid/works/v1'), {
        HTTP_PROXY,
      });
      expect(far).toMatchObject({ code: 0 });
      expect(asked).toEqual([expect.stringMatching(/^Basic \S+ http:\/\/far\.invalid\/works\/v1\/chat\/completions$/)]);
      const near = await run(expand(server.at('works')), {
        HTTP_PROXY,
        NO_PROXY: 'x.y,127.0.0.1',
      });
      expect(near).toMatchObject({ code: 0 });
      expect(asked).toHaveLength(1);
      const closed = await run(evaluate('https://far.invalid/works/v1'), { HTTPS_PROXY });
      expect(asked.slice(1)).toContain('CONNECT far.invalid:443');
      expect(closed.log).toMatch(/Proxy response \(403\).*\n.*HTTPS_PROXY is set/);
      const wrong = await run(evaluate(server.at('works')), { HTTP_PROXY: 'ftp://user:secret-of-ftp@host' });
      expect(wrong).toMatchObject({ code: 2, log: expect.stringMatching(/HTTP_PROXY is not the address/) });
      expect(await leaks(far.log, near.log, closed.log, wrong.log)).toEqual([]);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});
