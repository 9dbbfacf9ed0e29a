import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ggufPart, twoParts, writeAll } from '../../../test/support/gguf-parts.ts';
import { ModelError } from '../../system/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { partsOfGguf } from './gguf-parts.ts';
import { findWeightFiles } from './model-files.ts';
import { writeSafetensors } from './safetensors-writer.ts';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'model-files-'));
});
afterAll(() => rm(root, { recursive: true }));

const folderWith = async (files: Record<string, string | Buffer>) =>
  await writeAll(await mkdtemp(join(root, 'm-')), files);
const index = (...shards: string[]) =>
  JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, at) => [`t${at}`, shard])) });
const listing = (names: string[], text = '') => ({ place: 'there', names, readIndex: async () => text });
const SHARDS = ['model.safetensors-00001-of-00002.safetensors', 'model.safetensors-00002-of-00002.safetensors'];

describe('the files of a model', () => {
  test.each<[string, string[], string, string[]]>([
    [
      'shards of any name',
      [...SHARDS, 'model.safetensors.index.json'],
      index(...SHARDS),
      ['model.safetensors.index.json', ...SHARDS],
    ],
    [
      'a complete file next to a stale index',
      ['model.safetensors', 'model.safetensors.index.json'],
      index('gone'),
      ['model.safetensors'],
    ],
    [
      'a complete PyTorch file next to a stale index',
      ['pytorch_model.bin', 'pytorch_model.bin.index.json'],
      '',
      ['pytorch_model.bin'],
    ],
    [
      'shards of PyTorch',
      ['a.bin', 'pytorch_model.bin.index.json'],
      index('a.bin'),
      ['pytorch_model.bin.index.json', 'a.bin'],
    ],
    [
      'shards preferred to PyTorch',
      ['s.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin'],
      index('s.safetensors'),
      ['model.safetensors.index.json', 's.safetensors'],
    ],
    [
      'parts of a GGUF model',
      ['x-00002-of-00002.gguf', 'x-00001-of-00002.gguf'],
      '',
      ['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf'],
    ],
    ['one GGUF file', ['y.gguf'], '', ['y.gguf']],
  ])('%s', async (_what, names, text, files) => {
    expect((await findWeightFiles(listing(names, text))).files).toEqual(files);
  });

  test.each<[string, string[], string, string]>([
    [
      'a shard that is missing',
      [SHARDS[0]!, 'model.safetensors.index.json'],
      index(...SHARDS),
      `no such file: ${SHARDS[1]}`,
    ],
    ['an index alone', ['model.safetensors.index.json'], index('a', 'b', 'c'), 'no such file: a, b, c'],
    ['an empty index', ['model.safetensors.index.json'], '{"weight_map":{}}', 'names no shards'],
    ['an index that is HTML', ['model.safetensors.index.json'], '<html>', 'is not a shard index'],
    ['a shard outside the folder', ['model.safetensors.index.json'], index('../x'), 'outside its folder'],
    [
      'a part that is missing',
      ['x-00002-of-00003.gguf', 'x-00001-of-00003.gguf'],
      '',
      'no such file: x-00003-of-00003.gguf',
    ],
    ['the first part missing', ['x-00002-of-00002.gguf'], '', 'x-00001-of-00002.gguf'],
    ['shards without their index', SHARDS, '', 'but no model.safetensors.index.json'],
    [
      'torch shards without their index',
      ['pytorch_model-00001-of-00002.bin'],
      '',
      'but no pytorch_model.bin.index.json',
    ],
    ['two models', ['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf', 'y.gguf'], '', '2 GGUF files'],
  ])('%s is an error', async (_what, names, text, reason) => {
    const finding = findWeightFiles(listing(names, text));
    await expect(finding).rejects.toThrow(ModelError);
    await expect(finding).rejects.toThrow(reason);
  });

  test.each<[string, number | undefined]>([
    ['x-00001-of-00003.gguf', 3],
    ['Q4/x-00002-of-00002.gguf', 2],
    ['x-00003-of-00002.gguf', undefined],
    ['x-00000-of-00002.gguf', undefined],
    ['x-99999-of-99999.gguf', undefined],
    ['x.gguf', undefined],
  ])('%s has %s parts', (name, count) => {
    expect(partsOfGguf(name)?.length).toBe(count);
  });
});

describe('a GGUF model of two parts', () => {
  test('is opened completely, by its folder and by either part', async () => {
    const folder = await folderWith(twoParts());
    for (const path of [folder, join(folder, 'x-00001-of-00002.gguf'), join(folder, 'x-00002-of-00002.gguf')]) {
      const checkpoint = await openCheckpoint(path);
      expect(checkpoint.path).toBe(join(folder, 'x-00001-of-00002.gguf'));
      expect(checkpoint.tensors().map(({ name }) => name)).toEqual(['a', 'b']);
      expect(await checkpoint.read('b')).toEqual(new Float32Array(32).fill(2));
      await checkpoint.close();
    }
  });

  const part = (no: number, count: number, tensorCount: number, name: string) =>
    ggufPart({ no, count, tensorCount, tensors: { [name]: 1 } });
  test.each<[string, Record<string, Buffer>, string]>([
    [
      'a part with the number of another',
      { 'x-00002-of-00002.gguf': part(0, 2, 2, 'b') },
      'its metadata says part 1 of 2',
    ],
    ['parts of another count', { 'x-00002-of-00002.gguf': part(1, 3, 2, 'b') }, 'its metadata says part 2 of 3'],
    ['fewer tensors than it counts', { 'x-00002-of-00002.gguf': part(1, 2, 9, 'b') }, 'counts 9 tensors'],
    ['a tensor in both', { 'x-00002-of-00002.gguf': part(1, 2, 2, 'a') }, 'two parts hold this tensor'],
    ['a damaged part', { 'x-00002-of-00002.gguf': Buffer.from('nothing') }, 'is not a GGUF file'],
  ])('with %s is refused', async (_what, other, reason) => {
    await expect(openCheckpoint(await folderWith({ ...twoParts(), ...other }))).rejects.toThrow(reason);
  });

  test('under a name that is not the name of a part is refused', async () => {
    const folder = await folderWith({ 'renamed.gguf': twoParts()['x-00001-of-00002.gguf']! });
    await expect(openCheckpoint(folder)).rejects.toThrow('says it is split into 2 parts, but its name says 1');
  });
});

test('one shard opens all shards, and a file that no index names opens alone', async () => {
  const folder = await folderWith({ 'model.safetensors.index.json': index(...SHARDS) });
  for (const [at, name] of [...SHARDS, 'other.safetensors'].entries()) {
    await writeSafetensors(join(folder, name), [{ name: `t${at}`, shape: [1], data: Float32Array.of(at) }]);
  }
  const names = async (file: string) => {
    const checkpoint = await openCheckpoint(join(folder, file));
    await checkpoint.close();
    return checkpoint.tensors().map(({ name }) => name);
  };
  expect(await names(SHARDS[1]!)).toEqual(['t0', 't1']);
  expect(await names('other.safetensors')).toEqual(['t2']);
});

test('broken links are named', async () => {
  const folder = await mkdtemp(join(root, 'links-'));
  await writeFile(join(folder, 'config.json'), '{}');
  await symlink(join(root, 'gone'), join(folder, 'model.safetensors'));
  await expect(openCheckpoint(folder)).rejects.toThrow('broken links: model.safetensors');
});
