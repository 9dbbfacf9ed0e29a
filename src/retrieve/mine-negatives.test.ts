import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Document, openRetrieverSource, type RetrieverRow } from '../data/index.ts';
import { type Encoder, loadEncoder } from '../embed/index.ts';
import { OtherSettingsError } from '../files/index.ts';
import { UsageError } from '../system/index.ts';
import type { Corpus } from './corpus.ts';
import { type MineNegativesOptions, mineNegatives } from './mine-negatives.ts';
import type { MiningInput } from './mining/settings.ts';
import { defaultRetrievalSettings } from './settings.ts';

const TINY = fileURLToPath(new URL('../embed/goldens/tiny-encoder', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mining-'));
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
});
afterAll(async () => {
  delete process.env.XDG_CACHE_HOME;
  await rm(folder, { recursive: true });
});

const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

function corpusOf(documents: readonly (Partial<Document> & { id: string; text: string })[], hash: string): Corpus {
  return {
    async *documents() {
      for (const document of documents) yield { title: '', ...document };
    },
    count: async () => documents.length,
    corpusHash: async () => hash,
  };
}

/** A text is its angle in degrees: `a30`, and what follows a dot is decoration. */
class Angles implements Encoder {
  readonly id = 'angles';
  readonly fingerprint = 'angles-1';
  readonly dimensions = 2;
  readonly settings = {};
  calls = 0;
  fails = Number.POSITIVE_INFINITY;

  async encode(texts: readonly string[]): Promise<Float32Array> {
    if (++this.calls > this.fails) throw new Error('power cut');
    return Float32Array.from(
      texts.flatMap((text) => {
        const angle = (Number(/a(-?\d+)/.exec(text)![1]) * Math.PI) / 180;
        return [2 * Math.cos(angle), 2 * Math.sin(angle)];
      }),
    );
  }

  async close() {}
}

/** Finds every text equally similar. */
class Constant extends Angles {
  override async encode(texts: readonly string[]): Promise<Float32Array> {
    return new Float32Array(texts.length * this.dimensions).fill(1);
  }
}

let number = 0;
async function mine(rows: object[], settings: MiningInput = {}, more: Partial<MineNegativesOptions> = {}) {
  const file = join(folder, `rows-${number++}.jsonl`);
  await writeFile(file, lines(rows));
  const source = await openRetrieverSource({ rows: file, split: 'train', sampleSeed: 1, allowNoQuery: true });
  const result = await mineNegatives({
    ...{ source, out: join(folder, `mined-${number}.jsonl`), settings, openEncoder: async () => new Angles() },
    retrieval: defaultRetrievalSettings({ similarity: 'cosine', threads: 1 }),
    ...more,
  });
  const text = await readFile(result.file, 'utf8');
  const mined: RetrieverRow[] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  return { ...result, mined, negatives: mined.map((row) => row.negatives.map((one) => one.id ?? one.text)) };
}

const angles = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90];
const corpus = corpusOf(
  angles.map((angle) => ({ id: `d${angle}`, text: `a${angle}` })),
  'angles',
);
const row = (id: string, more: object = {}) => ({
  ...{ id, query: 'a0.', expansions: [], positives: [{ text: 'a20' }], negatives: [{ text: 'old' }] },
  ...more,
});

describe('what is relevant is never mined', () => {
  test('by the id or the text of any row of the query, or by a judgement', async () => {
    const rows = [
      row('q1', { positives: [{ id: 'd10', text: 'a11 other words' }] }),
      row('q2', { positives: [{ text: ' a20\n' }] }),
      row('other', { query: 'a0 another', positives: [{ text: 'a60' }] }),
    ];
    const judgements = [
      new Map([
        [
          'q1',
          new Map([
            ['d0', 1],
            ['d30', 0],
            ['d40', 2],
          ]),
        ],
      ]),
    ];
    const { negatives, dropped } = await mine(rows, { negatives: 2 }, { corpus, judgements });
    expect(negatives).toEqual([
      ['d30', 'd50'],
      ['d0', 'd30'],
      ['d0', 'd10'],
    ]);
    expect(dropped).toMatchObject({ relevant: 4, equalText: 2, query: 0 });
  });

  test('nor the query itself, nor one text twice', async () => {
    const documents = [
      { id: 'd1', text: 'a0.' },
      { id: 'q1', text: 'a3' },
      { id: 'd2', text: 'a5' },
      { id: 'd3', text: ' a5 ' },
      { id: 'd4', title: 'a9', text: 'a20' },
      { id: 'd5', text: 'a40' },
    ];
    const { negatives, dropped } = await mine([row('q1')], { negatives: 4 }, { corpus: corpusOf(documents, 'few') });
    // Of equal scores, the greater id comes first.
    expect(negatives).toEqual([['d3', 'd5']]);
    expect(dropped).toMatchObject({ query: 2, repeated: 1, equalText: 1 });
  });
});

test('a document without text is no negative', async () => {
  const documents = [
    { id: 'blank', text: ' \n' },
    { id: 'd1', text: 'saw' },
  ];
  const rows = [row('q1', { query: 'saw wood', positives: [{ text: 'wood' }] })];
  const opened = { corpus: corpusOf(documents, 'blank'), openEncoder: async () => new Constant() };
  const { negatives, dropped } = await mine(rows, { negatives: 2 }, opened);
  expect(negatives).toEqual([['d1']]);
  expect(dropped.blank).toBe(1);
});

test.each([{ minScore: 0.9, maxScore: 0.1 }, { relativeMargin: 95 }, { relativeMargin: -0.1 }])(
  'settings that leave nothing, or filter nothing, are refused: %j',
  async (settings) => {
    const failure = mine([row('q1')], settings, { corpus });
    await expect(failure).rejects.toThrow(/no candidate is left|relativeMargin/);
  },
);

describe('the choice', () => {
  const cos = (degrees: number) => Math.cos((degrees * Math.PI) / 180);

  test.each<[string, MiningInput, string[]]>([
    ['the best', { negatives: 2 }, ['d0', 'd10']],
    ['a range of ranks', { negatives: 2, rangeMin: 2, rangeMax: 5 }, ['d30', 'd40']],
    ['below a score', { negatives: 2, maxScore: cos(35) }, ['d40', 'd50']],
    ['above a score', { negatives: 9, minScore: cos(35), rangeMax: 20 }, ['d0', 'd10', 'd30']],
    ['by an absolute margin', { negatives: 1, absoluteMargin: cos(20) - cos(45) }, ['d50']],
    ['by a relative margin', { negatives: 1, relativeMargin: 1 - cos(55) / cos(20) }, ['d60']],
  ])('takes %s', async (_what, settings, wanted) => {
    expect((await mine([row('q1')], settings, { corpus })).negatives).toEqual([wanted]);
  });

  test('draws at random by seed and row', async () => {
    const rows = [row('q1'), row('q2')];
    const draw = async (seed: number) =>
      (await mine(rows, { negatives: 3, rangeMax: 9, sampling: 'random', seed }, { corpus })).negatives;
    const first = await draw(1);
    expect(await draw(1)).toEqual(first);
    expect(await draw(2)).not.toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
    for (const drawn of first) expect([...drawn].sort()).toEqual(drawn);
  });

  test('keeps what a row had, and writes the similarities', async () => {
    const rows = [row('q1', { negatives: [{ text: 'a10' }], scores: { positives: [9], negatives: [9] } })];
    const { mined } = await mine(rows, { negatives: 1, keepNegatives: true, scores: true, rangeMin: 1 }, { corpus });
    expect(mined[0]!.negatives).toEqual([{ text: 'a10' }, { id: 'd30', text: 'a30' }]);
    const { positives, negatives } = mined[0]!.scores!;
    expect(positives[0]).toBeCloseTo(cos(20), 6);
    expect(negatives.map((score) => score.toFixed(6))).toEqual([cos(10).toFixed(6), cos(30).toFixed(6)]);
  });

  test('searches with the expansions, if it is not told otherwise', async () => {
    const rows = [row('q1', { expansions: ['a80'], positives: [{ text: 'a40' }] })];
    expect((await mine(rows, { negatives: 2 }, { corpus })).negatives[0]!.sort()).toEqual(['d30', 'd50']);
    expect((await mine(rows, { negatives: 2, querySide: 'query' }, { corpus })).negatives).toEqual([['d0', 'd10']]);
    const published = [{ query: 'a90.', pos: ['a80'], neg: [] }];
    expect((await mine(published, { negatives: 2 }, { corpus })).negatives).toEqual([['d90', 'd70']]);
  });

  test('counts rows that stay short', async () => {
    const few = corpusOf(
      [
        { id: 'd1', text: 'a20' },
        { id: 'd2', text: 'a30' },
      ],
      'two',
    );
    const { short, none, negatives } = await mine(
      [row('q1'), row('q2', { query: 'a30' })],
      { negatives: 2 },
      { corpus: few },
    );
    expect([short, none, negatives]).toEqual([2, 1, [['d2'], []]]);
  });
});

describe('where negatives come from', () => {
  test('the documents of the rows, unless a corpus is given', async () => {
    const rows = angles.map((angle) =>
      row(`q${angle}`, { query: `a${angle}.`, positives: [{ text: `a${angle}` }], negatives: [] }),
    );
    const { negatives, documents } = await mine(rows, { negatives: 1 });
    expect(documents).toBe(10);
    expect(negatives[0]![0]).toMatch(/^text-/);
  });

  const words = corpusOf(
    [
      { id: 'd1', text: 'a80 saw saw' },
      { id: 'd2', text: 'a5 ship' },
      { id: 'd3', text: 'a60 saw' },
      { id: 'd4', text: 'a90 sea' },
    ],
    'words',
  );
  const asked = [row('q1', { query: 'a0 saw' })];

  test('BM25 alone needs no encoder, and has no similarities', async () => {
    const refuse = { corpus: words, openEncoder: () => Promise.reject(new Error('no encoder')) };
    expect((await mine(asked, { retriever: 'bm25', negatives: 3 }, refuse)).negatives).toEqual([['d1', 'd3']]);
    const failure = mine(asked, { retriever: 'bm25', relativeMargin: 0.05 }, refuse);
    await expect(failure).rejects.toBeInstanceOf(UsageError);
  });

  test('both, with the similarity of what only BM25 found', async () => {
    const settings: MiningInput = { retriever: 'both', negatives: 4, scores: true, minScore: 0.1, rangeMax: 4 };
    const { mined, dropped } = await mine(asked, settings, { corpus: words });
    const { negatives, scores } = mined[0]!;
    expect(negatives.map(({ id }) => id).sort()).toEqual(['d1', 'd2', 'd3']);
    expect(dropped.minScore).toBe(1);
    const angleOf = (text: string) => Number(/a(\d+)/.exec(text)![1]);
    for (const [at, { text }] of negatives.entries()) {
      expect(scores!.negatives[at]).toBeCloseTo(Math.cos((angleOf(text) * Math.PI) / 180), 5);
    }
  });
});

test('a run that was cut off ends in the same bytes, and searches nothing twice', async () => {
  const rows = Array.from({ length: 30 }, (_, at) =>
    row(`q${at}`, { query: `a${at}.`, positives: [{ text: `a${at + 31}` }] }),
  );
  const settings = { negatives: 2, sampling: 'random' as const, rangeMax: 6, scores: true };
  const whole = await mine(rows, settings, { corpus });
  const journal = (row: RetrieverRow) => ({
    row,
    negatives: row.negatives.length,
    candidates: 7,
    dropped: whole.dropped,
  });
  const out = join(folder, 'cut.jsonl');
  await mine(rows, settings, { corpus, out });
  await rm(out);
  const cut = whole.mined.slice(0, 11).map((one) => JSON.stringify(journal(one)));
  await writeFile(`${out}.journal`, `${cut.join('\n')}\n{"row":{"id":`);
  const again = await mine(rows, settings, { corpus, out });
  expect([again.reused, again.rows]).toEqual([11, 30]);
  expect(await readFile(out, 'utf8')).toBe(await readFile(whole.file, 'utf8'));
  // Killed just before it ended, a run leaves its work files.
  for (const end of ['journal', 'texts']) await writeFile(`${out}.${end}`, '');
  const encoder = new Angles();
  encoder.fails = 0;
  const finished = await mine(rows, settings, { corpus, out, openEncoder: async () => encoder });
  expect([finished.reused, finished.negatives]).toEqual([30, again.negatives]);
  const left = async () => (await readdir(folder)).filter((name) => name.startsWith('cut')).sort();
  expect(await left()).toEqual(['cut.jsonl', 'cut.manifest.json']);
  await expect(mine(rows, { ...settings, seed: 9 }, { corpus, out })).rejects.toBeInstanceOf(OtherSettingsError);
  expect((await mine(rows, { ...settings, seed: 9 }, { corpus, out, force: true })).reused).toBe(0);
  expect(await left()).toEqual(['cut.jsonl', 'cut.manifest.json']);
});

test('a range that is too small is refused', async () => {
  await expect(mine([row('q1')], { negatives: 5, rangeMax: 4 }, { corpus })).rejects.toThrow(/do not fit/);
});

interface Golden {
  corpus: string[];
  rows: { query: string; positives: string[] }[];
  runs: Record<string, { settings: Record<string, number>; negatives: { text: string; score: number }[][] }>;
}

describe("negatives and scores are those of sentence-transformers' mine_hard_negatives", async () => {
  const golden: Golden = JSON.parse(await readFile(new URL('./goldens/mining.json', import.meta.url), 'utf8'));
  const names: Record<string, keyof MiningInput> = {
    ...{ num_negatives: 'negatives', range_min: 'rangeMin', range_max: 'rangeMax', max_score: 'maxScore' },
    ...{ min_score: 'minScore', absolute_margin: 'absoluteMargin', relative_margin: 'relativeMargin' },
  };
  const rows = golden.rows.map(({ query, positives }, at) => {
    return { id: `q${at}`, query, positives: positives.map((text) => ({ text })), expansions: [], negatives: [] };
  });
  const peer = corpusOf(
    golden.corpus.map((text, at) => ({ id: `d${at}`, text })),
    'golden',
  );

  test.each(Object.keys(golden.runs))('%s', async (name) => {
    const { settings, negatives } = golden.runs[name]!;
    const given = Object.fromEntries(Object.entries(settings).map(([key, value]) => [names[key]!, value]));
    const model = { name: 'tiny', path: TINY, format: 'safetensors', fingerprint: 'tiny', source: 'fixture' } as const;
    const openEncoder = () => loadEncoder(model, { cache: join(folder, 'graphs'), threads: 1 });
    const { mined } = await mine(rows, { ...given, scores: true }, { corpus: peer, openEncoder });
    expect(mined.map((one) => one.negatives.map(({ text }) => text))).toEqual(
      negatives.map((some) => some.map(({ text }) => text)),
    );
    const [found, wanted] = [mined.flatMap(({ scores }) => scores!.negatives), negatives.flat()];
    for (const [at, { score }] of wanted.entries()) expect(found[at]).toBeCloseTo(score, 4);
  });
});
