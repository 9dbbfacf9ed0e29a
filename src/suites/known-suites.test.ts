import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseSets, findSuite } from './known-suites.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-suites-'));
});
afterAll(() => rm(folder, { recursive: true }));

const suiteFile = async (text: string) => {
  const file = join(folder, 'suite.yaml');
  await writeFile(file, text);
  return file;
};

describe('findSuite', () => {
  it('knows the fifteen sets: MS MARCO on dev, CQADupStack as a group of twelve', async () => {
    const { sets, without } = await findSuite('beir15');
    expect(sets).toHaveLength(14 + 12);
    expect(new Set(sets.map(({ name, group }) => group ?? name)).size).toBe(15);
    expect(sets.find(({ name }) => name === 'msmarco')).toMatchObject({ split: 'dev', documents: 8_841_823 });
    expect(sets.filter(({ split }) => split === 'dev')).toHaveLength(1);
    expect(sets.find(({ name }) => name === 'cqadupstack/tex')).toMatchObject({ group: 'cqadupstack', queries: 2906 });
    expect(without).toBe('msmarco');
  });

  it('knows NanoBEIR, TREC DL and BRIGHT', async () => {
    const sizes = await Promise.all(
      ['nanobeir', 'trec-dl', 'bright'].map(async (name) => (await findSuite(name)).sets),
    );
    expect(sizes.map(({ length }) => length)).toEqual([13, 2, 12]);
    expect(sizes[2]![0]).toMatchObject({ name: 'biology', source: { kind: 'hub', name: 'bright-biology' } });
  });

  it('takes some sets of BEIR, each once', async () => {
    const { sets } = await findSuite('beir:scifact,nfcorpus,scifact');
    expect(sets.map(({ name }) => name)).toEqual(['scifact', 'nfcorpus']);
    await expect(findSuite('beir:scifakt')).rejects.toThrow('"scifakt" is not one of BEIR\'s data sets');
  });

  it('reads a file, whose folders are relative to it', async () => {
    const file = await suiteFile(
      'name: mine\nbaseline: b\nsets:\n  one: {dir: data/one}\n  two: {dir: /two, split: dev, group: g}\nsystems:\n  b: {retriever: bm25}\n',
    );
    expect(await findSuite(file)).toMatchObject({
      ...{ name: 'mine', baseline: 'b', systems: { b: { retriever: 'bm25' } } },
      sets: [
        { name: 'one', split: 'test', source: { kind: 'folder', folder: join(folder, 'data/one') } },
        { name: 'two', split: 'dev', group: 'g', source: { kind: 'folder', folder: '/two' } },
      ],
    });
  });

  it.each([
    ['sets: {}', 'at least one set'],
    ['sets:\n  a: {dir: x}\n  b: {dir: y, group: a}', 'sets.b.group: the group a has the name of a set'],
    ['sets:\n  a: {dir: x, spilt: y}', 'spilt'],
    ['sets:\n  ../up: {dir: x}', 'Invalid key'],
    ['sets: [1', 'is not YAML'],
    ['{}', 'sets'],
  ])('refuses a file with %j', async (text, message) => {
    await expect(findSuite(await suiteFile(text))).rejects.toThrow(message);
  });

  it('reads no other kind of file, and does not quote it', async () => {
    const secret = join(folder, 'passwd');
    await writeFile(secret, 'root:x:0:0:root:/root:/bin/bash\n');
    const error = await findSuite(secret).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      message: expect.stringContaining('is neither a folder nor a .yaml file'),
      name: 'UsageError',
    });
    const broken = await suiteFile('root: [x\n"se:cret": ]')
      .then(findSuite)
      .catch((reason: unknown) => reason);
    for (const one of [error, broken]) expect(String((one as Error).message)).not.toMatch(/root:x|secret|se:cret/);
    expect(broken).toMatchObject({ message: expect.stringContaining('is not YAML') });
    await mkdir(join(folder, 'odd.yaml'));
    await expect(findSuite(join(folder, 'odd.yaml'))).rejects.toThrow('is not a file');
  });

  it.each([
    ['../e.jsonl', 'expansions'],
    ['/etc/passwd', 'expansions'],
    ['link.jsonl', 'expansions'],
    ['{set}/../../e', 'expansions '],
    ['/etc/passwd', 'gate'],
  ])('refuses %j as %s of a system, which lies outside of its folder', async (path, key) => {
    await rm(join(folder, 'link.jsonl'), { force: true });
    await symlink('/etc/passwd', join(folder, 'link.jsonl'));
    const text = `sets: {a: {dir: x}}\nsystems:\n  s: {retriever: bm25, "${key}": "${path}"}\n`;
    await expect(suiteFile(text).then(findSuite)).rejects.toThrow(
      `system s: ${key.trim()} names a file outside of the folder of the suite`,
    );
  });

  it('reads expansions relative to the file', async () => {
    const text = 'sets: {a: {dir: x}}\nsystems:\n  s: {retriever: bm25, expansions: "made/{set}.jsonl"}\n';
    const { systems } = await suiteFile(text).then(findSuite);
    expect(systems).toEqual({ s: { retriever: 'bm25', expansions: join(folder, 'made/{set}.jsonl') } });
  });

  it('takes the folder of a data set, and nothing else', async () => {
    expect((await findSuite(folder)).sets).toHaveLength(1);
    await expect(findSuite('beir16')).rejects.toThrow('neither a suite nor a file or folder');
  });
});

describe('chooseSets', () => {
  it('chooses sets and groups by name', async () => {
    const suite = await findSuite('beir15');
    expect(chooseSets(suite, ['scifact', 'cqadupstack/tex']).sets).toHaveLength(2);
    expect(chooseSets(suite, ['cqadupstack']).sets).toHaveLength(12);
    expect(() => chooseSets(suite, ['nowhere'])).toThrow('has no set "nowhere"');
  });
});
