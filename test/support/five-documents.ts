import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Document } from '../../src/data/index.ts';
import type { Encoder, TextRole } from '../../src/embed/index.ts';
import {
  type Corpus,
  CorpusSearch,
  defaultRetrievalSettings,
  type RetrievalSettings,
} from '../../src/retrieve/index.ts';

/**
 * Five documents whose every score can be told by hand. Their vectors are short of unit length on purpose, so that dot
 * product and cosine rank them differently; their texts hold 15 terms, 3 a document.
 *
 * | id | vector  | length | text             |
 * | d1 | (4, 0)  | 4      | saw saw saw wood |
 * | d2 | (3, 4)  | 5      | saw wood         |
 * | d3 | (0, 2)  | 2      | ship ship ship   |
 * | d4 | (-3, 4) | 5      | ship / ship sea  |
 * | d5 | (12, 5) | 13     | wood sea lamp    |
 */
export const DOCUMENTS: readonly (Document & { vector: [number, number] })[] = [
  { id: 'd1', title: '', text: 'saw saw saw wood', vector: [4, 0] },
  { id: 'd2', title: '', text: 'saw wood', vector: [3, 4] },
  { id: 'd3', title: '', text: 'ship ship ship', vector: [0, 2] },
  { id: 'd4', title: 'ship', text: 'ship sea', vector: [-3, 4] },
  { id: 'd5', title: '', text: 'wood sea lamp', vector: [12, 5] },
];

/** Vectors of words; a query's or expansion's vector is the sum of its words'. */
const WORDS: Record<string, [number, number]> = {
  saw: [1, 0],
  ship: [0, 3],
  sea: [0, -2],
  lamp: [-3, 2],
  turn: [-1, 1],
};

/** Gives the vectors of the tables above, and remembers what it was asked. */
export class FiveEncoder implements Encoder {
  readonly id = 'five';
  readonly fingerprint: string = 'five-1';
  readonly dimensions = 2;
  readonly settings: Encoder['settings'] = { pooling: 'none' };
  /** Every call's texts, with their role. */
  readonly calls: [role: TextRole, ...texts: string[]][] = [];
  closed = false;

  async encode(texts: readonly string[], role: TextRole): Promise<Float32Array> {
    this.calls.push([role, ...texts]);
    return Float32Array.from(texts.flatMap((text) => vectorOf(text, role)));
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

function vectorOf(text: string, role: TextRole): [number, number] {
  if (role === 'document') {
    const document = DOCUMENTS.find((one) => text === `${one.title} ${one.text}`.trim());
    // An expansion in the role of a document is told by its vector.
    return document?.vector ?? [-1, 1];
  }
  const vectors = text.split(' ').map((word) => WORDS[word]);
  if (vectors.includes(undefined)) throw new Error(`the fake encoder has no vector of ${JSON.stringify(text)}`);
  return vectors.reduce<[number, number]>((sum, vector) => [sum[0] + vector![0], sum[1] + vector![1]], [0, 0]);
}

/** The five documents as a corpus that counts how often it is read. */
export class FiveCorpus implements Corpus {
  reads = 0;

  async *documents(): AsyncGenerator<Document> {
    this.reads++;
    for (const { id, title, text } of DOCUMENTS) yield { id, title, text };
  }

  async count(): Promise<number> {
    return DOCUMENTS.length;
  }

  async corpusHash(): Promise<string> {
    return 'five documents';
  }
}

/** BM25 as a share of `weight · idf`: with k1 = 1 and b = 0 a term that stands f times in a document gives f / (f + 1). */
export const FIVE_SETTINGS = { k1: 1, b: 0, threads: 1 } as const;

/**
 * Gives the tests of a file a cache folder of their own, and a search of the five documents; all is closed and removed
 * behind them.
 */
export async function fiveDocuments() {
  const home = await mkdtemp(join(tmpdir(), 'five-documents-'));
  const before = process.env.LLM_QE_HOME;
  process.env.LLM_QE_HOME = home;
  const opened: CorpusSearch[] = [];
  afterAll(async () => {
    for (const search of opened) await search.close();
    if (before === undefined) delete process.env.LLM_QE_HOME;
    else process.env.LLM_QE_HOME = before;
    await rm(home, { recursive: true, force: true });
  });
  return function open(
    settings: Partial<RetrievalSettings> = {},
    { corpus = new FiveCorpus(), encoder = new FiveEncoder() } = {},
  ): CorpusSearch {
    const search = new CorpusSearch(corpus, defaultRetrievalSettings({ ...FIVE_SETTINGS, ...settings }), { encoder });
    opened.push(search);
    return search;
  };
}
