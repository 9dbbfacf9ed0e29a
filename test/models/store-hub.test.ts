import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ModelStore } from '../../src/models/store/store.ts';
import { AbortedError, LlmQeError, ModelError, sha256 } from '../../src/system/index.ts';
import { COMMIT, type FakeHub, type FakeHubOptions, startFakeHub } from '../support/fake-hub.ts';
import { sendInto } from '../support/local-server.ts';

const WEIGHTS = Buffer.alloc(200_000, 'weights');
const FILES = {
  'README.md': '# not needed',
  'config.json': '{"model_type":"bert"}',
  'tokenizer.json': '{}',
  'model.safetensors': WEIGHTS,
  'pytorch_model.bin': 'the same again',
  'onnx/model.onnx': 'not needed',
  '1_Pooling/config.json': '{}',
};

let home: string;
const hubs: FakeHub[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'store-hub-'));
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await Promise.all(hubs.splice(0).map((hub) => hub.close()));
  await rm(home, { recursive: true, force: true });
});

async function serve(options: Partial<FakeHubOptions> = {}): Promise<FakeHub> {
  const hub = await startFakeHub({ files: FILES, ...options });
  hubs.push(hub);
  return hub;
}

function open(hub: { url: string }, environment: NodeJS.ProcessEnv = {}): ModelStore {
  return new ModelStore({ home, environment: { HF_ENDPOINT: hub.url, HF_HOME: join(home, 'hf'), ...environment } });
}

async function failure(work: Promise<unknown>): Promise<LlmQeError> {
  const error = await work.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(LlmQeError);
  return error as LlmQeError;
}

async function partFile(): Promise<string> {
  const names = await readdir(home, { recursive: true });
  return join(home, names.find((name) => name.endsWith('model.safetensors.part')) ?? 'none');
}

function forbidConnections(): void {
  vi.stubGlobal('fetch', () => {
    throw new Error('a connection was made');
  });
}

describe('a model on the hub', () => {
  test('is downloaded with only the files it needs, and found again without a connection', async () => {
    const hub = await serve();
    const model = await open(hub).resolve('hf:owner/name');
    expect(model).toMatchObject({ name: 'hf:owner/name', format: 'safetensors' });
    expect(model.source).toBe('the Hugging Face hub (owner/name)');
    expect((await readdir(model.path)).sort()).toEqual([
      '1_Pooling',
      'config.json',
      'manifest.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect(await readFile(join(model.path, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(existsSync(`${model.path}.lock`) || existsSync(`${model.path}.fetching`)).toBe(false);
    forbidConnections();
    expect(await open(hub).resolve('hf:owner/name')).toEqual(model);
    expect(await open(hub, { HF_HUB_OFFLINE: '1' }).resolve('hf:owner/name')).toEqual(model);
    expect((await open(hub).list()).at(-1)).toMatchObject({ name: 'hf:owner/name', path: model.path });
  });

  test('does not send the token to the storage it redirects to', async () => {
    const hub = await serve({ token: 'hf_x' });
    await open(hub, { HF_TOKEN: 'hf_x' }).resolve('hf:owner/name');
    expect(hub.storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test('uses the token that the login command stored', async () => {
    const hub = await serve({ token: 'hf_file' });
    await mkdir(join(home, 'hf'));
    await writeFile(join(home, 'hf/token'), 'hf_file\n');
    expect((await open(hub).resolve('hf:owner/name')).format).toBe('safetensors');
  });

  test('that is gated: the error says where to accept the licence, and to set HF_TOKEN', async () => {
    const hub = await serve({ token: 'right' });
    const without = await failure(open(hub).resolve('hf:owner/name'));
    expect(without).toBeInstanceOf(ModelError);
    expect(without.message).toContain('gated');
    expect(without.fix).toContain(`${hub.url}/owner/name`);
    expect(without.fix).toContain('HF_TOKEN');
    const wrong = await failure(open(hub, { HF_TOKEN: 'wrong' }).resolve('hf:owner/name'));
    expect(wrong.fix).toContain('the account of your token');
  });

  test('that is gated and known offers its alternative', async () => {
    const hub = await serve({ token: 'right' });
    const error = await failure(open(hub).resolve('llama-3-8b-instruct'));
    expect(error.fix).toContain(`${hub.url}/meta-llama/Meta-Llama-3-8B-Instruct`);
    expect(error.fix).toContain('llama-3-8b-instruct-gguf');
  });

  test('that does not exist, at all or at this revision', async () => {
    const hub = await serve();
    expect((await failure(open(hub).resolve('hf:owner/other'))).message).toContain('has no owner/other');
    expect((await failure(open(hub).resolve('hf:owner/name@v9'))).message).toContain('at revision v9');
  });

  test('is kept apart by revision', async () => {
    const hub = await serve();
    const main = await open(hub).resolve('hf:owner/name');
    const tagged = await open(hub).resolve('hf:owner/name@v2');
    expect(tagged.path).not.toBe(main.path);
    expect(hub.asked()).toContain('GET /api/models/owner/name/revision/v2?blobs=true');
  });

  test('resumes a broken transfer with a range request', async () => {
    let broken = false;
    const hub = await serve({
      intercept: (request, response) => {
        if (broken || !request.url!.endsWith('model.safetensors')) return false;
        broken = true;
        response.writeHead(200, { etag: '"v1"', 'content-length': WEIGHTS.length });
        void sendInto(partFile, response, WEIGHTS.subarray(0, 50_000)).then(() => response.destroy());
        return true;
      },
    });
    const model = await open(hub).resolve('hf:owner/name');
    expect(sha256(await readFile(join(model.path, 'model.safetensors')))).toBe(sha256(WEIGHTS));
    expect(hub.storage.requests[0]?.headers.range).toBe('bytes=50000-');
  });

  test('resumes a stopped pull with the missing files', async () => {
    const stop = new AbortController();
    const hub = await serve({
      intercept: (request, response) => {
        if (stop.signal.aborted || !request.url!.endsWith('tokenizer.json')) return false;
        response.writeHead(200, { 'content-length': 2 }).flushHeaders();
        setTimeout(() => stop.abort(), 50);
        return true;
      },
    });
    const error = await failure(open(hub).resolve('hf:owner/name', { signal: stop.signal }));
    expect(error).toBeInstanceOf(AbortedError);
    await open(hub).resolve('hf:owner/name');
    expect(hub.asked().filter((line) => line.includes('model.safetensors'))).toHaveLength(1);
  });

  test('is downloaded once if two callers need it at the same time', async () => {
    const hub = await serve();
    const [first, second] = await Promise.all([open(hub).resolve('hf:owner/name'), open(hub).resolve('hf:owner/name')]);
    expect(second).toEqual(first);
    expect(hub.storage.requests).toHaveLength(1);
  });

  test('is refused if its files are not what the hub states', async () => {
    const large = await serve({ lies: { 'model.safetensors': 'f'.repeat(64) } });
    expect((await failure(open(large).resolve('hf:owner/name'))).message).toContain('SHA-256');
    const small = await serve({ lies: { 'config.json': 'f'.repeat(40) } });
    expect((await failure(open(small).resolve('hf:owner/name'))).message).toContain(
      'sent bytes for config.json that differ',
    );
    expect((await open(small).list()).every(({ path }) => path === undefined)).toBe(true);
  });

  test('on a mirror that lists only names is checked against the headers of each file', async () => {
    const names = Object.keys(FILES).map((rfilename) => ({ rfilename }));
    const tags: Record<string, string> = { 'model.safetensors': sha256(WEIGHTS) };
    const hub = await serve({
      intercept: (request, response) => {
        const isListing = request.url!.startsWith('/api/');
        const path = request.url!.split(`${COMMIT}/`)[1] ?? '';
        if (isListing) response.end(JSON.stringify({ sha: COMMIT, siblings: names }));
        else if (request.method === 'HEAD') response.writeHead(302, { 'x-linked-etag': `"${tags[path] ?? ''}"` }).end();
        return isListing || request.method === 'HEAD';
      },
    });
    expect((await open(hub).resolve('hf:owner/name')).format).toBe('safetensors');
    tags['model.safetensors'] = 'f'.repeat(64);
    expect((await failure(open(hub).resolve('hf:owner/name@v2'))).message).toContain('SHA-256');
  });

  test('is requested again after a 429', async () => {
    let refused = false;
    const hub = await serve({
      intercept: (_, response) => {
        if (refused) return false;
        refused = true;
        response.writeHead(429, { 'retry-after': '0' }).end();
        return true;
      },
    });
    expect((await open(hub).resolve('hf:owner/name')).format).toBe('safetensors');
  });

  test('with several GGUF files: one must be chosen', async () => {
    const hub = await serve({ files: { 'a.Q4_0.gguf': 'a', 'a.Q8_0.gguf': 'b' } });
    const error = await failure(open(hub).resolve('hf:owner/name'));
    expect(error.message).toContain('2 GGUF files');
    expect(error.fix).toContain('a.Q8_0.gguf');
    const model = await open(hub).resolve('hf:owner/name/a.Q8_0.gguf');
    expect(model).toMatchObject({ format: 'gguf', fingerprint: sha256('b') });
    expect(await readFile(model.path, 'utf8')).toBe('b');
  });

  test('without readable weights is refused', async () => {
    const hub = await serve({ files: { 'config.json': '{}', 'flax_model.msgpack': '' } });
    expect((await failure(open(hub).resolve('hf:owner/name'))).message).toContain('no readable weights');
  });
});

describe('the hub', () => {
  test('is not tried again at once if it is unreachable', async () => {
    const server = createServer((_, response) => response.end('{}'));
    const listen = (port: number) => new Promise<void>((done) => void server.listen(port, '127.0.0.1', done));
    await listen(0);
    const { port } = server.address() as { port: number };
    await new Promise((done) => server.close(done));
    const store = open({ url: `http://127.0.0.1:${port}` });
    expect((await failure(store.resolve('hf:owner/name'))).message).toContain('ECONNREFUSED');
    let asked = 0;
    server.on('request', () => asked++);
    await listen(port);
    const error = await failure(store.resolve('hf:owner/other'));
    await new Promise((done) => server.close(done));
    expect(error.message).toContain('not reachable');
    expect(asked).toBe(0);
  });

  test('that answers with something else: the error names HF_ENDPOINT', async () => {
    const hub = await serve({
      intercept: (_, response) => {
        response.end('<html>a proxy says hello</html>');
        return true;
      },
    });
    expect((await failure(open(hub).resolve('hf:owner/name'))).fix).toContain('HF_ENDPOINT');
  });
});

describe("the hub's own cache", () => {
  async function snapshot(files: Record<string, string>, ref = 'main'): Promise<string> {
    const repository = join(home, 'hf/hub/models--owner--name');
    const folder = join(repository, 'snapshots', COMMIT);
    await mkdir(join(repository, 'refs'), { recursive: true });
    await writeFile(join(repository, 'refs', ref), COMMIT);
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(folder, name, '..'), { recursive: true });
      await writeFile(join(folder, name), content);
    }
    return folder;
  }

  test('is used in place, also offline', async () => {
    const folder = await snapshot({ 'config.json': '{}', 'vocab.txt': 'a', 'pytorch_model.bin': 'w' });
    forbidConnections();
    const store = new ModelStore({ home, offline: true, environment: { HF_HOME: join(home, 'hf') } });
    const model = await store.resolve('hf:owner/name');
    expect(model).toMatchObject({ path: folder, format: 'torch', source: 'the Hugging Face cache (owner/name)' });
    expect(existsSync(join(home, 'models'))).toBe(false);
    expect((await store.resolve(`hf:owner/name@${COMMIT}`)).path).toBe(folder);
  });

  test('is ignored if it holds only a part of the model', async () => {
    await snapshot({
      'config.json': '{}',
      'model.safetensors.index.json': '{}',
      'model-00001-of-00002.safetensors': 'w',
    });
    const hub = await serve();
    expect((await open(hub).resolve('hf:owner/name')).path).toContain(join(home, 'models'));
  });
});
