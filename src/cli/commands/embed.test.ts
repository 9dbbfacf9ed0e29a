import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';
import { writeTinyDataset } from '../../../test/support/tiny-dataset.ts';

const ENCODER = resolve('src/embed/goldens/tiny-encoder');

let folder: string;
let dataset: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embed-'));
  dataset = join(folder, 'data');
  writeTinyDataset(dataset);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** Each machine has its own cache. */
function embed(machine: string, ...words: string[]) {
  vi.stubEnv('LLM_QE_HOME', join(folder, machine));
  const options = ['--encoder', ENCODER, '--max-length', '6', '--threads', '1'];
  return llmQe('embed', '--corpus', dataset, ...options, ...words);
}

/** All files below a folder, by their path in it. */
async function filesBelow(place: string): Promise<Record<string, string>> {
  const names = await readdir(place, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.sort().map((file) => readFile(file, 'base64')));
  return Object.fromEntries(texts.map((text, at) => [files[at]!.slice(place.length), text]));
}

const cacheOf = (machine: string) => filesBelow(join(folder, machine, 'vectors'));

async function allShards(): Promise<void> {
  for (const [machine, shard] of ['1/3', '2/3', '3/3'].entries())
    expect((await embed(`m${machine}`, '--shard', shard)).code).toBe(0);
}

describe('llm-qe embed', () => {
  it('puts the vectors where evaluate finds them', async () => {
    const { code, out } = await embed('alone', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ documents: 8, dimensions: 32, encoder: { settings: { maxLength: 6 } } });
    const before = await cacheOf('alone');
    const words = ['evaluate', '--dataset', dataset, '--encoder', ENCODER, '--max-length', '6', '--json'];
    expect((await llmQe(...words)).code).toBe(0);
    expect(await cacheOf('alone')).toEqual(before);
  });

  it('joins shards into the very files of one machine', async () => {
    await embed('alone');
    await allShards();
    // Joining needs neither the encoder nor what the machines keep for themselves.
    const joined = await embed('joined', '--join', '--json', '--encoder', 'none');
    expect(joined.code).toBe(0);
    expect(JSON.parse(joined.out).documents).toBe(8);
    const alone = await cacheOf('alone');
    expect(Object.keys(alone)).toHaveLength(5);
    expect(await cacheOf('joined')).toEqual(alone);
  });

  it('asks for a shard that is cut, changed or missing by its name, and makes it again', async () => {
    await allShards();
    const shards = join(dataset, 'vectors.shards');
    const file = Object.keys(await filesBelow(shards)).find((name) => /^.2-of-3\/.*vectors\.f32$/.test(name))!;
    const vectors = join(shards, file);
    const whole = await readFile(vectors);

    await truncate(vectors, whole.length - 4);
    expect((await embed('joined', '--join')).log).toMatch(/shard 2\/3 was cut: \d+ of \d+ bytes are left/);
    await embed('m1', '--shard', '2/3');
    expect(await readFile(vectors)).toEqual(whole);

    await writeFile(vectors, Buffer.from(whole).fill(1, 8, 12));
    expect((await embed('joined', '--join')).log).toMatch(/shard 2\/3 was changed after it was finished/);
    expect((await embed('m1', '--shard', '2/3')).log).toMatch(/its vectors are made again/);
    expect(await readFile(vectors)).toEqual(whole);

    await rm(join(shards, '3-of-3.json'));
    expect((await embed('joined', '--join')).log).toMatch(/shard 3\/3 is missing or not finished/);
  });

  it('refuses shards of another corpus or encoder', async () => {
    await allShards();
    expect((await embed('m1', '--shard', '2/3', '--max-length', '5')).code).toBe(0);
    expect((await embed('joined', '--join')).log).toMatch(/shard 2\/3 was made with another encoder than shard 1\/3/);
    await embed('m1', '--shard', '2/3');
    await writeFile(join(dataset, 'corpus.jsonl'), '{"_id":"d0","title":"","text":"x"}\n');
    expect((await embed('joined', '--join')).log).toMatch(/shard 1\/3 was made for another corpus/);
  });

  it('finishes a shard without documents', async () => {
    await writeFile(join(dataset, 'corpus.jsonl'), '{"_id":"d0","title":"","text":"x"}\n');
    for (const shard of ['1/3', '2/3', '3/3']) expect((await embed('m', '--shard', shard)).code).toBe(0);
    const { code, out } = await embed('joined', '--join', '--json');
    expect([code, JSON.parse(out).documents]).toEqual([0, 1]);
  });
});
