import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HashingEncoder } from '../../test/support/hashing-encoder.ts';
import { defaultRetrievalSettings } from '../retrieve/index.ts';
import { IndexWriter } from '../segments/index.ts';
import { ServedIndex } from './served-index.ts';

let home: string;
let folder: string;
const encoder = new HashingEncoder();
const settings = defaultRetrievalSettings({ threads: 1 });
/** Changes are seen only by those who look. */
const unwatched = { watchMs: 2 ** 30 };
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'llm-qe-served-'));
  vi.stubEnv('LLM_QE_HOME', join(home, 'cache'));
  folder = join(home, 'notes');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

async function change(work: (writer: IndexWriter) => Promise<void>, isNew = false): Promise<void> {
  const made = isNew ? ({ retriever: 'dense', analyzer: 'english', fields: 'flat' } as const) : undefined;
  await IndexWriter.change(folder, made, { encoder: { open: async () => encoder, options: {} } }, work);
}

async function* documents(...ids: string[]) {
  for (const id of ids) yield { document: { id, title: '', text: `text of ${id}` }, file: 'x', line: 1 };
}

const found = async (index: ServedIndex) => {
  const vector = await encoder.encode(['query'], 'query');
  return (await index.search(vector, 10)).map(({ id, text }) => `${id}: ${text}`).sort();
};

it('sees changes of an index folder, and ends searches on the generation that they began with', async () => {
  await change((writer) => writer.add(documents('a', 'b'), true), true);
  const index = await ServedIndex.open(folder, encoder, settings, unwatched);
  expect(index.name).toBe('notes');
  expect(await found(index)).toEqual(['a: text of a', 'b: text of b']);
  await change((writer) => writer.remove(['a']));
  await change((writer) => writer.add(documents('c')));
  await change((writer) => writer.compact());
  // The search that notices the change still ends on the old generation, whose files are gone by now.
  const before = found(index);
  await index.refresh();
  expect(await before).toEqual(['a: text of a', 'b: text of b']);
  expect(await found(index)).toEqual(['b: text of b', 'c: text of c']);
  expect(index.size).toBe(2);
  for (const id of ['d', 'e', 'f']) {
    await change((writer) => writer.add(documents(id)));
    const { firstPass } = index;
    await index.refresh();
    // Whoever took the search a moment ago can go on.
    expect((await firstPass.lookUp(['b'])).size).toBe(1);
  }
  expect(await found(index)).toHaveLength(5);
  await index.close();
});

it('goes on with the old generation if the new one cannot be opened, and says why once', async () => {
  await change((writer) => writer.add(documents('a'), true), true);
  const errors: unknown[] = [];
  const index = await ServedIndex.open(folder, encoder, settings, {
    ...unwatched,
    onError: (error) => errors.push(error),
  });
  await writeFile(join(folder, 'llm-qe-index.json'), '{}');
  await index.refresh();
  await index.refresh();
  expect(await found(index)).toEqual(['a: text of a']);
  expect(errors.map(String)).toEqual([expect.stringContaining('is not the manifest of an index')]);
  await index.close();
});

it('tries a generation again that could not be opened, and says why once', async () => {
  await change((writer) => writer.add(documents('a'), true), true);
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const index = await ServedIndex.open(folder, encoder, settings, { ...unwatched, onError, retryMs: 0 });
  await change((writer) => writer.add(documents('b')));
  const vectors = join(folder, 'segment-000002', 'vectors.f32');
  await rename(vectors, join(home, 'away'));
  for (let times = 0; times < 3; times++) await index.refresh();
  expect(await found(index)).toEqual(['a: text of a']);
  expect(errors.map(String)).toEqual([expect.stringContaining('vectors.f32')]);
  await rename(join(home, 'away'), vectors);
  await index.refresh();
  expect(await found(index)).toEqual(['a: text of a', 'b: text of b']);
  await index.close();
});

it('sees what was removed although nobody searches', async () => {
  await change((writer) => writer.add(documents('a', 'b'), true), true);
  const index = await ServedIndex.open(folder, encoder, settings, { watchMs: 5 });
  await change((writer) => writer.remove(['a']));
  await expect.poll(() => index.size).toBe(1);
  expect(await found(index)).toEqual(['b: text of b']);
  await index.close();
});

it('serves an index that is still empty, and finds what is added', async () => {
  await change((writer) => writer.add(documents(), true), true);
  const index = await ServedIndex.open(folder, encoder, settings, unwatched);
  expect([index.size, await found(index)]).toEqual([0, []]);
  await change((writer) => writer.add(documents('a')));
  await index.refresh();
  expect(await found(index)).toEqual(['a: text of a']);
  await index.close();
});

it('returns the best passage of a long document, and where it stands', async () => {
  const file = join(home, 'long.jsonl');
  const words = Array.from({ length: 9 }, (_none, at) => `w${at}`);
  await writeFile(file, `${JSON.stringify({ _id: 'a', title: 'T', text: words.join(' ') })}\n`);
  const index = await ServedIndex.open(file, encoder, { ...settings, passages: '3/0' });
  const [hit, ...others] = await index.search(await encoder.encode(['T w3 w4 w5'], 'query'), 5);
  expect(hit).toMatchObject({ id: 'a', text: 'T w3 w4 w5', passage: { start: 9, end: 17 } });
  expect(others).toEqual([]);
  await index.close();
});
