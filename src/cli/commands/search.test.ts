import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { runCommandLine } from '../run.ts';

let folder: string;
let printed: CapturedOutput;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-search-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  printed = captureOutput();
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function search(documents: object[], ...words: string[]): Promise<unknown> {
  const corpus = join(folder, 'docs.jsonl');
  await writeFile(corpus, documents.map((document) => `${JSON.stringify(document)}\n`).join(''));
  printed.out = '';
  expect(await runCommandLine(['search', '--corpus', corpus, '--json', ...words])).toBe(0);
  return JSON.parse(printed.out);
}

describe('llm-qe search', () => {
  const houses = [
    { _id: 'a', text: 'Die alten Häuser', url: 'https://example.org/a', metadata: { year: 1999 } },
    { _id: 'b', text: 'Bücher' },
  ];

  it('returns further fields of a document, and analyses other languages', async () => {
    const german = await search(houses, '--retriever', 'bm25', '--analyzer', 'german', '--query', 'Haus Buch');
    expect(german).toMatchObject({
      notes: [],
      documents: [
        { id: 'b', rank: 1, text: 'Bücher' },
        { id: 'a', rank: 2, metadata: { url: 'https://example.org/a', year: 1999 } },
      ],
    });
    expect((german as { documents: object[] }).documents[0]).not.toHaveProperty('metadata');
    const english = await search(houses, '--retriever', 'bm25', '--query', 'Haus');
    expect(english).toMatchObject({ documents: [] });
  });

  it.each([
    ['a damaged line', '{"_id":"a","text":"t"}\n{"_id":"b"\n', [], /docs\.jsonl:2/],
    ['a document twice', '{"_id":"a","text":"t"}\n{"_id":"a","text":"t"}\n', [], /docs\.jsonl:2, id "a"/],
    ['a stand-in', 'version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n', [], /Git LFS/],
    ['a damaged line, before the LLM', '{"_id":"a"\n', ['--expand', '--generator', 'no-llm'], /docs\.jsonl:1/],
  ])('finds %s before it opens a model', async (_name, content, words, reason) => {
    const corpus = join(folder, 'docs.jsonl');
    await writeFile(corpus, content);
    const line = ['search', '--corpus', corpus, '--query', 'x', '--encoder', join(folder, 'no-encoder'), ...words];
    expect(await runCommandLine(line)).not.toBe(0);
    expect(printed.err).toMatch(reason);
  });

  it('refuses a prompt that reads the gold document', async () => {
    const corpus = join(folder, 'docs.jsonl');
    await writeFile(corpus, '{"_id":"a","text":"t"}\n');
    await writeFile(join(folder, 'prompt.txt'), '{query} {document}');
    const words = ['--expand', '--prompt', join(folder, 'prompt.txt'), '--generator', 'no-llm'];
    expect(await runCommandLine(['search', '--corpus', corpus, '--query', 'x', ...words])).toBe(2);
    expect(printed.err).toMatch(/reads the gold document of a query, which a search never uses/);
  });

  it('says how much of the corpus the encoder does not read', async () => {
    const long = Array.from({ length: 200 }, (_none, at) => `word${at}`).join(' ');
    const encoder = resolve('src/embed/goldens/tiny-encoder');
    const documents = [
      { _id: 'a', text: long },
      { _id: 'b', text: 'short' },
    ];
    const found = await search(documents, '--encoder', encoder, '--query', 'word');
    const note = /^50 % of the documents \(1 of 2\) are longer than 96 tokens: the rest of their text is not searched/;
    expect(found).toMatchObject({ notes: [expect.stringMatching(note)] });
    expect(printed.err).toContain('50 % of the documents');
  });

  it('finds what stands late in a long document by its passages, and says where', async () => {
    const words = Array.from({ length: 150 }, (_none, at) => (at === 140 ? 'needle' : `word${at}`));
    const encoder = resolve('src/embed/goldens/tiny-encoder');
    const documents = [
      { _id: 'a', title: 'T', text: words.join(' '), url: 'u' },
      { _id: 'b', text: 'short' },
    ];
    const line = ['--encoder', encoder, '--query', 'needle', '--passages', '20/5'];
    for (const retriever of ['dense', 'rrf']) {
      const found = (await search(documents, ...line, '--retriever', retriever)) as { documents: FoundDocument[] };
      expect(found.documents.map(({ id }) => id).sort()).toEqual(['a', 'b']);
      const { passage, text } = found.documents.find(({ id }) => id === 'a')!;
      expect(text).toBe(`T ${words.join(' ').slice(passage.start, passage.end)}`);
      expect(text.split(' ').length).toBeLessThanOrEqual(21);
    }
    expect(
      await runCommandLine(['search', '--corpus', join(folder, 'docs.jsonl'), ...line, '--feedback', 'vector']),
    ).toBe(2);
    expect(printed.err).toContain('--feedback vector does not work with --passages');
  });
});

interface FoundDocument {
  id: string;
  text: string;
  passage: { start: number; end: number };
}
