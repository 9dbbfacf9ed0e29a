import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { resolveAdapter } from '../../src/models/store/hub-adapter.ts';
import { ModelStore, type ModelStoreOptions, type PullOptions } from '../../src/models/store/store.ts';
import { LlmQeError, sha256 } from '../../src/system/index.ts';
import { COMMIT, type FakeHub, type FakeHubOptions, startFakeHub } from '../support/fake-hub.ts';
import { twoParts } from '../support/gguf-parts.ts';

let home: string;
const hubs: FakeHub[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'store-files-'));
});
afterEach(async () => {
  await Promise.all(hubs.splice(0).map((hub) => hub.close()));
  await rm(home, { recursive: true, force: true });
});

async function serve(files: FakeHubOptions['files'], options: Partial<FakeHubOptions> = {}): Promise<FakeHub> {
  const hub = await startFakeHub({ files, ...options });
  hubs.push(hub);
  return hub;
}

/** Opens a store that reaches this hub, or none. */
function open(hub?: FakeHub, options: ModelStoreOptions = {}): ModelStore {
  const environment = { HF_ENDPOINT: hub?.url ?? 'http://127.0.0.1:9', HF_HOME: join(home, 'hf'), PATH: home };
  return new ModelStore({ home: join(home, 'store'), environment, ...options });
}

async function failure(work: Promise<unknown>): Promise<LlmQeError> {
  const error = await work.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(LlmQeError);
  return error as LlmQeError;
}

async function put(folder: string, files: Record<string, string | Buffer>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

const BESIDE = { 'config.json': '{}', 'tokenizer.json': '{}' };
const [FIRST, SECOND] = [
  'model.safetensors-00001-of-00002.safetensors',
  'model.safetensors-00002-of-00002.safetensors',
];
const INDEX = JSON.stringify({ weight_map: { a: FIRST, b: SECOND } });
const SHARDED = { ...BESIDE, 'model.safetensors.index.json': INDEX, [FIRST!]: 'one', [SECOND!]: 'two' };

describe('a pull downloads all files of a model', () => {
  test.each<[string, Record<string, string | Buffer>, string, number]>([
    ['both parts of a GGUF model', twoParts(), '', 2],
    ['both parts, by the name of the second', { ...twoParts(), 'y.gguf': 'y' }, '/x-00002-of-00002.gguf', 2],
    ['shards with unusual names', SHARDED, '', 5],
    ['a complete file, not the stale index next to it', { ...SHARDED, 'model.safetensors': 'whole' }, '', 3],
    ['a ref with slashes', { ...BESIDE, 'model.safetensors': 'w' }, '@refs/pr/1', 3],
  ])('%s', async (_what, files, suffix, count) => {
    const hub = await serve(files);
    const model = await open(hub).pull(`hf:owner/name${suffix}`);
    const folder = model.format === 'gguf' ? dirname(model.path) : model.path;
    expect((await readdir(folder)).filter((name) => name !== 'manifest.json')).toHaveLength(count);
    expect(await open(hub, { offline: true }).resolve(`hf:owner/name${suffix}`)).toEqual(model);
    if (model.format === 'gguf') expect(model.path).toBe(join(folder, 'x-00001-of-00002.gguf'));
  });

  test.each<[string, Record<string, string | Buffer>, string]>([
    ['a shard that the hub lacks', { ...SHARDED, [SECOND!]: undefined } as never, `no such file: ${SECOND}`],
    ['a part that the hub lacks', { 'x-00001-of-00002.gguf': 'p' }, 'no such file: x-00002-of-00002.gguf'],
    ['parts that state another count', { 'x.gguf': twoParts()['x-00001-of-00002.gguf']! }, 'split into 2 parts'],
  ])('%s is an error, and leaves no model', async (_what, files, reason) => {
    const there = Object.fromEntries(Object.entries(files).filter(([, content]) => content !== undefined));
    const store = open(await serve(there));
    expect((await failure(store.pull('hf:owner/name'))).message).toContain(reason);
    expect((await store.list()).filter(({ path }) => path !== undefined)).toEqual([]);
  });

  test('downloads what an earlier pull omitted', async () => {
    const hub = await serve(SHARDED);
    const { path } = await open(hub).pull('hf:owner/name');
    const manifest = JSON.parse(await readFile(join(path, 'manifest.json'), 'utf8'));
    manifest.files = manifest.files.filter((file: { path: string }) => file.path !== SECOND);
    await writeFile(join(path, 'manifest.json'), JSON.stringify(manifest));
    await rm(join(path, SECOND!));
    const error = await failure(open(hub, { offline: true }).resolve('hf:owner/name'));
    expect(error.message).toContain(`no such file: ${SECOND}`);
    await open(hub).pull('hf:owner/name');
    expect(await readFile(join(path, SECOND!), 'utf8')).toBe('two');
  });

  test.each(['model.safetensors-00001-of-00002.safetensors', 'tokenizer.json'])(
    'damage to %s is detected at the next use, and fixed by a download',
    async (name) => {
      const hub = await serve(SHARDED);
      const model = await open(hub).pull('hf:owner/name');
      const bytes = await readFile(join(model.path, name));
      await writeFile(join(model.path, name), Buffer.alloc(bytes.length));
      expect((await failure(open(hub, { offline: true }).resolve('hf:owner/name'))).message).toContain(
        `damaged (${name}`,
      );
      expect(await open(hub).resolve('hf:owner/name')).toEqual(model);
      expect(await readFile(join(model.path, name))).toEqual(bytes);
    },
  );

  test('--verify detects damage that kept size and time', async () => {
    const hub = await serve(SHARDED);
    const { path } = await open(hub).pull('hf:owner/name');
    await utimes(join(path, FIRST!), 1000, 1000);
    await open(hub, { offline: true }).resolve('hf:owner/name');
    await writeFile(join(path, FIRST!), 'ONE');
    await utimes(join(path, FIRST!), 1000, 1000);
    await failure(open(hub, { offline: true }).pull('hf:owner/name', { verify: true }));
    await open(hub).pull('hf:owner/name', { verify: true });
    expect(await readFile(join(path, FIRST!), 'utf8')).toBe('one');
  });
});

describe('a fingerprint covers all files', () => {
  test.each<[string, Record<string, string | Buffer>, string, string | Buffer]>([
    ['the second part of a GGUF model', twoParts(), 'x-00002-of-00002.gguf', twoParts(3)['x-00002-of-00002.gguf']!],
    ['a shard with an unusual name', SHARDED, SECOND!, 'TWO'],
    ['the index', SHARDED, 'model.safetensors.index.json', `${INDEX} `],
    ['a module', { ...SHARDED, '1_Pooling/config.json': '{}' }, '1_Pooling/config.json', '[]'],
  ])('%s', async (_what, files, name, other) => {
    const folder = await put(join(home, 'model'), files);
    const before = await open().resolve(folder);
    await writeFile(join(folder, name), other);
    await utimes(join(folder, name), 5, 5);
    expect((await open().resolve(folder)).fingerprint).not.toBe(before.fingerprint);
  });

  test.each(['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf'])('also for a path to %s', async (name) => {
    const folder = await put(join(home, 'model'), twoParts());
    const model = await open().resolve(join(folder, name));
    expect(model.path).toBe(join(folder, 'x-00001-of-00002.gguf'));
    expect(model.fingerprint).toBe((await open().resolve(folder)).fingerprint);
    await rm(join(folder, 'x-00002-of-00002.gguf'));
    expect((await failure(open().resolve(model.path))).message).toContain('no such file: x-00002-of-00002.gguf');
  });
});

describe('names that lead outside are refused', () => {
  test.each([
    '../../../../evil.gguf',
    '/tmp/evil.gguf',
    'a/../../evil.gguf',
    '..\\..\\evil.gguf',
    'C:\\evil.gguf',
    'C:/evil.gguf',
    'a\0evil.gguf',
    './evil.gguf',
    'a//evil.gguf',
  ])('in a listing: %j', async (name) => {
    const hub = await serve({ [name]: 'evil' });
    const error = await failure(open(hub).pull('hf:owner/name'));
    expect(error.message).toContain('lists a file outside the repository');
    expect(hub.storage.requests).toEqual([]);
    expect(await readdir(home, { recursive: true })).not.toContainEqual(expect.stringContaining('evil'));
  });

  test('in a listing, next to a complete model', async () => {
    const hub = await serve({ ...BESIDE, 'model.safetensors': 'w', '../evil': 'x' });
    await failure(open(hub).pull('hf:owner/name'));
    expect(existsSync(join(home, 'store/models/evil'))).toBe(false);
  });

  test('names that only look encoded are kept', async () => {
    const hub = await serve({ '..%2f..%2fodd.gguf': 'odd' });
    const { path } = await open(hub).pull('hf:owner/name');
    expect(dirname(path)).toBe(join(home, 'store/models/hf--owner--name'));
  });

  test.each(['hf:owner/name@../../x', 'hf:owner/name@refs/../x', 'hf:owner/name/..\\x.gguf', 'hf:owner/name@/x'])(
    'in a name: %s',
    async (name) => {
      expect((await failure(open(await serve({})).pull(name))).message).toContain('does not name a model');
    },
  );
});

describe('a format that cannot be used is refused before the weights', () => {
  const WHOLE = { ...BESIDE, 'model.safetensors': 'w' };
  test.each<[string, Record<string, string>, PullOptions, string]>([
    ['safetensors if a GGUF file is needed', WHOLE, { kind: 'generator', formats: ['gguf'] }, 'a GGUF file is needed'],
    ['a GGUF file as an encoder', { 'x.gguf': 'w' }, { kind: 'encoder' }, 'as gguf, but a model in safetensors'],
    ['shards if a GGUF file is needed', SHARDED, { formats: ['gguf'] }, 'a GGUF file is needed'],
  ])('%s', async (_what, files, options, reason) => {
    const hub = await serve(files);
    expect((await failure(open(hub).pull('hf:owner/name', options))).message).toContain(reason);
    expect(hub.storage.requests).toEqual([]);
    const folder = await put(join(home, 'model'), files);
    expect((await failure(open().pull(folder, options))).message).toContain(reason);
    await open(hub).pull('hf:owner/name');
    expect((await failure(open(hub).pull('hf:owner/name', options))).message).toContain(reason);
  });

  test('a known model is refused by its table, and the right one is suggested', async () => {
    const hub = await serve({});
    const error = await failure(open(hub).pull('llama-3-8b-instruct', { kind: 'generator', formats: ['gguf'] }));
    expect(error.fix).toContain('llama-3-8b-instruct-gguf');
    expect(hub.asked()).toEqual([]);
  });
});

describe("the hub's own cache", () => {
  const MODEL = { ...BESIDE, 'model.safetensors': 'weights' };
  const POOLED = {
    ...MODEL,
    'modules.json': '[]',
    '1_Pooling/config.json': '{"pooling_mode_cls_token":true}',
    'README.md': 'x',
  };

  async function snapshot(files: Record<string, string>, absent: string[] = []): Promise<string> {
    const repository = join(home, 'hf/hub/models--owner--name');
    await put(repository, { 'refs/main': COMMIT });
    await put(join(repository, '.no_exist', COMMIT), Object.fromEntries(absent.map((name) => [name, ''])));
    return await put(join(repository, 'snapshots', COMMIT), files);
  }

  test.each<[string, Record<string, string>]>([
    ['modules.json', MODEL],
    ['the pooling', { ...MODEL, 'modules.json': '[]' }],
    ['the tokenizer', { ...POOLED, 'tokenizer.json': undefined as never }],
    ['half of its weights', { ...POOLED, 'model.safetensors': 'wei' }],
  ])('that lacks %s is not used if the hub is reachable', async (_what, files) => {
    await snapshot(Object.fromEntries(Object.entries(files).filter(([, text]) => text !== undefined)));
    const model = await open(await serve(POOLED)).resolve('hf:owner/name', { kind: 'encoder' });
    expect(model.source).toContain('the Hugging Face hub');
    expect(await readFile(join(model.path, '1_Pooling/config.json'), 'utf8')).toContain('cls');
  });

  test('that is complete is used, and then offline too', async () => {
    const folder = await snapshot(MODEL);
    const hub = await serve(MODEL);
    expect((await open(hub).resolve('hf:owner/name', { kind: 'encoder' })).path).toBe(folder);
    expect(hub.storage.requests).toEqual([]);
    const offline = open(undefined, { offline: true });
    expect((await offline.resolve('hf:owner/name', { kind: 'encoder' })).path).toBe(folder);
  });

  test.each<[string, Record<string, string>, string[], boolean]>([
    ['without modules.json', MODEL, [], false],
    ['with a pooling but no modules.json', { ...MODEL, '1_Pooling/config.json': '{}' }, [], false],
    [
      'with prompts but no modules.json',
      { ...MODEL, 'config_sentence_transformers.json': '{}' },
      ['modules.json'],
      false,
    ],
    ['that was found to have no modules.json', MODEL, ['modules.json'], true],
    ['with modules.json', POOLED, [], true],
  ])('offline, as an encoder, %s', async (_what, files, absent, isUsed) => {
    const folder = await snapshot(files, absent);
    const resolving = open(undefined, { offline: true }).resolve('hf:owner/name', { kind: 'encoder' });
    if (isUsed) expect((await resolving).path).toBe(folder);
    else
      expect(await failure(resolving)).toMatchObject({
        message: expect.stringContaining('modules.json'),
        file: folder,
      });
  });

  test('with a broken link does not block the download', async () => {
    const folder = await snapshot({ ...BESIDE });
    await symlink('../../blobs/gone', join(folder, 'model.safetensors'));
    expect((await open(await serve(MODEL)).resolve('hf:owner/name')).source).toContain('hub (owner/name)');
    await rm(join(home, 'store'), { recursive: true });
    const error = await failure(open(undefined, { offline: true }).resolve('hf:owner/name'));
    expect(error.message).toMatch(
      /not in the store and incomplete .*broken links: model\.safetensors\), but connections/,
    );
  });

  const LISTED = '[{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]';
  test.each<[string, Record<string, string>, string]>([
    [
      'of a pooling module',
      { ...POOLED, 'modules.json': LISTED, '1_Pooling/config.json': '' },
      'modules.json names 1_Pooling, but',
    ],
    ['of the tokenizer', { 'config.json': '{}', 'model.safetensors': 'w' }, 'its tokenizer is missing'],
    ['of weights', { 'config.json': '{}' }, 'no readable weights'],
  ])('offline, the lack %s is said when the model is resolved', async (_what, files, reason) => {
    await snapshot(Object.fromEntries(Object.entries(files).filter(([, content]) => content !== '')));
    const error = await failure(open(undefined, { offline: true }).resolve('hf:owner/name', { kind: 'encoder' }));
    expect(error.message).toContain(reason);
    expect(error.message).toContain('incomplete in the Hugging Face cache');
  });

  test('of an adapter with a broken link is named offline', async () => {
    const folder = await snapshot({ 'adapter_config.json': '{}' });
    await symlink('../../blobs/gone', join(folder, 'adapter_model.safetensors'));
    const environment = { HF_HOME: join(home, 'hf'), PATH: home };
    const resolving = resolveAdapter('hf:owner/name', { home: join(home, 'store'), environment, offline: true });
    expect((await failure(resolving)).message).toContain('broken links: adapter_model.safetensors');
  });

  test('with a blob that does not match its name is not used', async () => {
    const folder = await snapshot({ ...BESIDE });
    const blob = join(home, 'hf/hub/models--owner--name/blobs', sha256('weights'));
    await put(dirname(blob), { [sha256('weights')]: 'weighty' });
    await symlink(blob, join(folder, 'model.safetensors'));
    await failure(open(undefined, { offline: true }).resolve('hf:owner/name'));
    await writeFile(blob, 'weights');
    expect((await open(undefined, { offline: true }).resolve('hf:owner/name')).path).toBe(folder);
  });
});

describe('an adapter on the hub', () => {
  const ADAPTER = { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'factors', 'README.md': 'x' };
  const resolve = (hub: FakeHub | undefined, name = 'hf:owner/name', offline?: boolean) =>
    resolveAdapter(name, {
      home: join(home, 'store'),
      offline,
      environment: { HF_ENDPOINT: hub?.url ?? 'http://127.0.0.1:9', HF_HOME: join(home, 'hf') },
    });

  test('is downloaded once, with its two files, and found offline', async () => {
    const hub = await serve(ADAPTER);
    const path = await resolve(hub);
    expect((await readdir(path)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'manifest.json']);
    expect(await resolve(undefined, 'hf:owner/name', true)).toBe(path);
    await writeFile(join(path, 'adapter_model.safetensors'), 'FACTORS');
    expect((await failure(resolve(undefined, 'hf:owner/name', true))).message).toContain('switched off by --offline');
    await resolve(hub);
    expect(await readFile(join(path, 'adapter_model.safetensors'), 'utf8')).toBe('factors');
  });

  test('is found in the cache of the hub, and a path is kept', async () => {
    const repository = join(home, 'hf/hub/models--owner--name');
    await put(repository, { 'refs/main': COMMIT });
    const folder = await put(join(repository, 'snapshots', COMMIT), ADAPTER);
    expect(await resolve(undefined, 'hf:owner/name', true)).toBe(folder);
    expect(await resolve(undefined, './my-adapter')).toBe('./my-adapter');
  });

  test.each<[string, Record<string, string>, string]>([
    ['of a complete model', { ...BESIDE, 'model.safetensors': 'w' }, 'holds no adapter'],
    ['as a pickle', { 'adapter_config.json': '{}', 'adapter_model.bin': 'p' }, 'as adapter_model.bin only'],
    ['that leads outside', { ...ADAPTER, '../evil': 'x' }, 'outside the repository'],
  ])('%s is refused before any download', async (_what, files, reason) => {
    const hub = await serve(files);
    expect((await failure(resolve(hub))).message).toContain(reason);
    expect(hub.storage.requests).toEqual([]);
  });

  test.each(['hf:owner', 'hf:owner/name/x.gguf', 'hf:owner/name@../x'])('%s is not the name of one', async (name) => {
    await failure(resolve(undefined, name));
  });
});

describe('an encoder whose network has a folder of its own', () => {
  const modules = (...paths: string[]) =>
    JSON.stringify(
      ['Transformer', 'Pooling'].map((kind, at) => ({ path: paths[at], type: `sentence_transformers.models.${kind}` })),
    );
  const nested = (network: string, pooling: string) => ({
    'modules.json': modules(network, pooling),
    [`${network}/pytorch_model.bin`]: 'w',
    [`${network}/config.json`]: '{}',
    [`${network}/vocab.txt`]: 'a',
    [`${pooling}/config.json`]: '{}',
    'left.txt': 'no part of the model',
  });

  test.each([
    ['in the old layout', '0_Transformer', '1_Pooling'],
    ['with names of its own', 'network', 'pool'],
  ])('%s is found in a folder and on the hub, with all its files', async (_what, network, pooling) => {
    const files = nested(network, pooling);
    const local = await open().resolve(await put(join(home, 'old'), files), { kind: 'encoder' });
    expect(local).toMatchObject({ format: 'torch', path: join(home, 'old') });
    const hub = await serve(files);
    const pulled = await open(hub).resolve('hf:owner/name', { kind: 'encoder' });
    expect(pulled.fingerprint).toBe(local.fingerprint);
    await writeFile(join(home, 'old', pooling, 'config.json'), '{"changed":1}');
    expect((await open().resolve(join(home, 'old'), { kind: 'encoder' })).fingerprint).not.toBe(local.fingerprint);
    expect((await open(hub, { offline: true }).resolve('hf:owner/name', { kind: 'encoder' })).path).toBe(pulled.path);
  });

  test.each([
    ['no pooling', '1_Pooling/config.json', 'modules.json names 1_Pooling, but 1_Pooling/config.json is missing'],
    ['no weights', '0_Transformer/pytorch_model.bin', 'old/0_Transformer holds no checkpoint'],
    ['no list of modules', 'modules.json', 'the old layout of sentence-transformers'],
  ])('%s is an error', async (_what, missing, reason) => {
    const { [missing]: _none, ...files } = nested('0_Transformer', '1_Pooling') as Record<string, string>;
    const folder = await put(join(home, 'old'), files);
    expect((await failure(open().resolve(folder, { kind: 'encoder' }))).message).toContain(reason);
  });
});
