import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BeirDataset } from '../data/index.ts';
import { auditLeaks, describeLeaks } from './leak-audit.ts';
import { hashRuns, hashWords, wordsOf } from './token-runs.ts';
import type { Topics } from './topics.ts';

const LONG = 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen';
const QUERY = 'why do the old wooden bridges near here always creak so loudly at night';
const DOCUMENTS = {
  d1: `Before. ${LONG.toUpperCase()}, and after.`,
  d2: 'The saw cuts hard wood in winter. It is a tool.',
  d3: `Somebody asked: ${QUERY}?`,
  d4: 'nothing of it',
};

let folder: string;
let dataset: BeirDataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'leaks-'));
  await mkdir(join(folder, 'qrels'));
  const lines = Object.entries(DOCUMENTS).map(([_id, text]) => `${JSON.stringify({ _id, title: '', text })}\n`);
  await writeFile(join(folder, 'corpus.jsonl'), lines.join(''));
  dataset = await BeirDataset.open(folder);
});
afterAll(() => rm(folder, { recursive: true }));

function topicsOf(queries: Record<string, [text: string, ...expansions: string[]]>, qrels: Record<string, string[]>) {
  const topics: Topics = {
    ...{ dataset: 'toy', split: 'test' },
    queries: Object.entries(queries).map(([id, [text, ...expansions]]) => ({ id, text, expansions })),
    qrels: new Map(Object.entries(qrels).map(([id, documents]) => [id, new Map(documents.map((one) => [one, 1]))])),
  };
  return topics;
}

describe('the audit of leaks', () => {
  it('finds runs of 13 words and whole sentences of the corpus, in relevant documents and others', async () => {
    const topics = topicsOf(
      {
        run: ['numbers', `Well, ${LONG.split(' ').slice(0, 13).join(' ')}.`],
        sentence: ['saws', 'A saw cuts. The saw cuts hard wood in winter! Yes.'],
        short: ['numbers', LONG.split(' ').slice(0, 12).join(' '), 'It is a tool.', 'saw cuts hard wood in'],
        asked: [QUERY, `You ask ${QUERY}.`],
      },
      { run: ['d1'], sentence: ['d4'], short: ['d1'], asked: ['d3'] },
    );
    const { found, expansions } = await auditLeaks(dataset, topics);
    expect(expansions).toBe(6);
    expect(found).toMatchObject({ expansions: 3, share: 0.5, inRelevant: 2 });
    // A "sentence" without an end that the corpus holds as a part of a longer one is found too: 12 words in a row.
    expect(found.examples.map(({ query, document, isRelevant }) => [query, document, isRelevant])).toEqual([
      ['run', 'd1', true],
      ['sentence', 'd2', false],
      ['short', 'd1', true],
    ]);
  });

  it('compares n-grams with relevant documents and as many others, without those of the query', async () => {
    const topics = topicsOf(
      { q: ['the saw cuts', 'the saw cuts hard wood'], none: ['x', 'y z a'] },
      { q: ['d2'], none: [] },
    );
    const { overlap } = await auditLeaks(dataset, topics, { ngram: 2 });
    // Beyond the query's, there are "cuts hard" and "hard wood".
    expect(overlap).toEqual({ n: 2, queries: 1, relevant: 1, others: 0 });
    const single = await auditLeaks(dataset, topicsOf({ q: ['x', 'it of nothing more'] }, { q: ['d2'] }), { ngram: 1 });
    expect(single.overlap.relevant).toBe(0.25);
    expect([0, 0.75]).toContain(single.overlap.others);
  });

  it('counts the terms that an expansion adds, and those of the query that it repeats', async () => {
    const topics = topicsOf({ q: ['old saws', 'a saw and the planes', 'old saw'] }, { q: ['d2'] });
    // saw (repeated), plane (added); old and saw (repeated).
    expect((await auditLeaks(dataset, topics)).terms).toEqual({ added: 0.5, repeated: 0.75 });
  });

  it('is told in sentences', async () => {
    const audit = await auditLeaks(
      dataset,
      topicsOf({ q: ['saws', 'The saw cuts hard wood in winter.'] }, { q: ['d2'] }),
    );
    expect(describeLeaks(audit)).toEqual([
      "Of an expansion's 3-grams, 100.0 % occur in documents that are relevant to its query, and 0.0 % in the same number of other documents, drawn at random.",
      "An expansion adds 4.0 terms to its query, and repeats 100.0 % of the query's.",
      '1 of 1 expansions (100.0 %) hold a run of 13 words, or a sentence, of the corpus; 1 of them one of a relevant document.',
    ]);
  });
});

describe('runs of words', () => {
  it('are equal for equal words in the same order only', () => {
    const runs = (text: string, length: number) => [...hashRuns(hashWords(wordsOf(text)), length)];
    expect(runs('A saw, a SAW', 2)).toEqual([...runs('a saw a', 2), runs('a saw', 2)[0]!]);
    expect(new Set(runs('a b c b a c a b c', 3)).size).toBe(6);
    expect(runs('a b', 3)).toEqual([]);
    const many = Array.from({ length: 20_000 }, (_none, at) => `w${at % 141} v${(at * 7) % 199}`).join(' ');
    const words = wordsOf(many);
    const distinct = new Set(words.slice(2).map((word, at) => `${words[at]} ${words[at + 1]} ${word}`));
    expect(new Set(runs(many, 3)).size).toBe(distinct.size);
  });
});
