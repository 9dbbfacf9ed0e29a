import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import type { Qrels, Run } from '../../measures/index.ts';
import { DataError } from '../../system/index.ts';
import { readQrels, readRun, writeBeirQrels, writeRun, writeTrecQrels } from './trec.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-trec-'));
  file = join(folder, 'file.txt');
});
afterEach(() => rm(folder, { recursive: true }));

async function qrelsOf(content: string | Uint8Array): Promise<Qrels> {
  await writeFile(file, content);
  return readQrels(file);
}

async function runOf(content: string): Promise<Run> {
  await writeFile(file, content);
  return readRun(file);
}

async function fault(work: Promise<unknown>): Promise<DataError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DataError);
  expect((error as DataError).file).toBe(file);
  expect((error as DataError).fix).toMatch(/\.$/);
  return error as DataError;
}

const SAMPLE: Qrels = new Map([
  [
    'q1',
    new Map([
      ['d1', 2],
      ['d2', 0],
      ['d3', -1],
    ]),
  ],
  ['q2', new Map([['d1', 1]])],
]);

describe('readQrels', () => {
  it.each([
    ["BEIR's TSV", 'query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq1\td3\t-1\nq2\td1\t1\n'],
    ['TSV without a header', 'q1\td1\t2\nq1\td2\t0\nq1\td3\t-1\nq2\td1\t1\n'],
    [
      'TSV with a byte order mark and CR LF',
      '\ufeffquery-id\tcorpus-id\tscore\r\nq1\td1\t2\r\nq1\td2\t0\r\nq1\td3\t-1\r\nq2\td1\t1\r\n',
    ],
    ["TREC's columns", 'q1 0 d1 2\nq1 0 d2 0\nq1 0 d3 -1\nq2 0 d1 1\n'],
    ["TREC's columns, ragged, interleaved, with tabs", 'q1\t0\td1\t2\n q2  Q0 d1   1 \nq1 0\td2 0\nq1 0 d3 -1'],
  ])('reads %s', async (_, content) => {
    expect(await qrelsOf(content)).toEqual(SAMPLE);
  });

  it('reads gzip, and grades written as 1.0', async () => {
    expect(await qrelsOf(gzipSync('q\td\t1.0\n'))).toEqual(new Map([['q', new Map([['d', 1]])]]));
  });

  it('keeps ids that look like something else', async () => {
    const qrels = await qrelsOf('query-id\tcorpus-id\tscore\nscore\tnull\t1\n__proto__\tconstructor\t1\n');
    expect([...qrels.keys()]).toEqual(['score', '__proto__']);
    expect(qrels.get('__proto__')?.get('constructor')).toBe(1);
  });

  it('counts a duplicate judgement once', async () => {
    expect(await qrelsOf('q 0 d 1\nq 0 d 1\n')).toEqual(new Map([['q', new Map([['d', 1]])]]));
  });

  it.each([
    ['two columns in a TSV', 'query-id\tcorpus-id\tscore\nq\td\n', 2, /expected 3 columns, found 2/],
    ['a blank in an id of a TSV', 'q\td\t1\nwhat is it\td\t1\n', 2, /"what is it" holds white space/],
    ['a blank behind an id of a TSV', 'q\td \t1\n', 1, /"d " holds white space/],
    ['a wide space in an id', 'q 0 d\u00a01 1\n', 1, /U\+00A0/],
    ['an empty id in a TSV', 'query-id\tcorpus-id\tscore\nq\t\t1\n', 2, /some empty/],
    ['five columns', 'q 0 d 1\nq 0 d 1 x\n', 2, /expected 4 columns, found 5/],
    ['prose', 'These are no judgements.\n', 1, /grade "judgements\." is not a whole number/],
    ['a grade that is a word', 'q\td\t1\nq\te\trelevant\n', 2, /grade "relevant"/],
    ['a fraction', 'q 0 d 0.5\n', 1, /grade "0.5"/],
    ['NaN', 'q 0 d nan\n', 1, /grade "nan"/],
    ['a header in the middle', 'q\td\t1\nquery-id\tcorpus-id\tscore\n', 2, /grade "score"/],
    ['two grades of one document', 'q 0 d 1\nq 0 d 2\n', 2, /another grade for query "q"/],
    ['an empty file', '', undefined, /no judgement/],
    ['a header alone', 'query-id\tcorpus-id\tscore\n', undefined, /no judgement/],
  ])('refuses %s, naming the line', async (_, content, line, reason) => {
    const error = await fault(qrelsOf(content));
    expect(error.line).toBe(line);
    expect(error.message).toMatch(reason);
  });
});

describe('writing qrels', () => {
  it('is read back the same in both formats', async () => {
    await writeBeirQrels(file, SAMPLE);
    expect(await readFile(file, 'utf8')).toBe(
      'query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq1\td3\t-1\nq2\td1\t1\n',
    );
    expect(await readQrels(file)).toEqual(SAMPLE);
    await writeTrecQrels(file, SAMPLE);
    expect(await readFile(file, 'utf8')).toBe('q1 0 d1 2\nq1 0 d2 0\nq1 0 d3 -1\nq2 0 d1 1\n');
    expect(await readQrels(file)).toEqual(SAMPLE);
  });

  it.each(['a b', 'a\tb', 'a\nb', 'a\rb', ''])('refuses the id %j, which the format would split', async (id) => {
    const qrels: Qrels = new Map([['q', new Map([[id, 1]])]]);
    expect((await fault(writeTrecQrels(file, qrels))).id).toBe(id);
    if (id === 'a b') await writeBeirQrels(file, qrels);
    else expect((await fault(writeBeirQrels(file, qrels))).id).toBe(id);
    expect(await readdir(folder)).toEqual(id === 'a b' ? ['file.txt'] : []);
  });
});

describe('readRun', () => {
  it.each(['1', '1.1', '.1', '1e1'])(
    'refuses 80,000 characters that begin like the score %s at once',
    async (start) => {
      const seconds = await cpuSeconds(async () => {
        const error = await fault(runOf(`q1 Q0 d1 1 ${start}${'1'.repeat(80_000)}x tag\n`));
        expect(error.message.length).toBeLessThan(5000);
      });
      expect(seconds).toBeLessThan(5);
    },
  );

  it('reads scores exactly and ignores the rank', async () => {
    const run = await runOf('q1 Q0 d1 7 1.5 tag\nq2 Q0 d1 0 -3e-2 tag\nq1\tQ0\td2\tx\t.5\ttag\r\n');
    expect(new Map(run)).toEqual(
      new Map([
        [
          'q1',
          [
            { id: 'd1', score: 1.5 },
            { id: 'd2', score: 0.5 },
          ],
        ],
        ['q2', [{ id: 'd1', score: -0.03 }]],
      ]),
    );
  });

  it.each([
    ['five columns', 'q Q0 d 1 1.5\n', 1, /expected 6 columns, found 5/],
    ['an id with a blank', 'q Q0 d 1 1 1.5 tag\n', 1, /found 7/],
    ['a score of NaN', 'q Q0 d 1 2 tag\nq Q0 e 2 nan tag\n', 2, /score nan is not a finite number/],
    ['an infinite score', 'q Q0 d 1 inf tag\n', 1, /score inf/],
    ['a score too large for a number', 'q Q0 d 1 1e999 tag\n', 1, /score 1e999/],
    ['a hexadecimal score', 'q Q0 d 1 0x10 tag\n', 1, /score 0x10/],
    ['a word for a score', 'q Q0 d 1 high tag\n', 1, /score high/],
    [
      'a document listed twice',
      'q Q0 d 1 2 tag\np Q0 d 1 2 tag\nq Q0 d 2 1 tag\n',
      3,
      /document of query "q" occurs on an earlier/,
    ],
    ['an empty file', '\n', undefined, /no result/],
    ['qrels in its place', 'q 0 d 1\n', 1, /expected 6 columns, found 4/],
  ])('refuses %s, naming the line', async (_, content, line, reason) => {
    const error = await fault(runOf(content));
    expect(error.line).toBe(line);
    expect(error.message).toMatch(reason);
  });
});

describe('writeRun', () => {
  it('ranks as trec_eval does: scores as 32-bit floats, ties by id descending', async () => {
    const run: Run = new Map([
      [
        'q',
        [
          { id: 'a', score: 1 },
          { id: 'c', score: 1 + 1e-12 },
          { id: 'b', score: 1 },
          { id: 'top', score: 1.001 },
        ],
      ],
      ['p', [{ id: 'x', score: -0 }]],
    ]);
    await writeRun(file, run, 'bm25');
    expect(await readFile(file, 'utf8')).toBe(
      'q Q0 top 1 1.001 bm25\nq Q0 c 2 1.000000000001 bm25\nq Q0 b 3 1 bm25\nq Q0 a 4 1 bm25\np Q0 x 1 0 bm25\n',
    );
  });

  it('compares ids by their bytes', async () => {
    const ids = ['\uffff', '\u{1f600}', 'z', 'é'];
    await writeRun(file, new Map([['q', ids.map((id) => ({ id, score: 1 }))]]), 't');
    const written = (await readRun(file)).get('q')!.map(({ id }) => id);
    expect(written).toEqual([...ids].sort((a, b) => Buffer.compare(Buffer.from(b), Buffer.from(a))));
  });

  it('is read back the same', async () => {
    const scores = [1e-30, 0.1, 123456789.125, -1 / 3, 5e-324];
    const run: Run = new Map([['q', scores.map((score, at) => ({ id: `d${at}`, score }))]]);
    await writeRun(file, run, 't');
    const read = new Map((await readRun(file)).get('q')!.map(({ id, score }) => [id, score]));
    expect(scores.map((_, at) => read.get(`d${at}`))).toEqual(scores);
  });

  it('reads ids with Unicode spaces back, because such spaces do not separate columns', async () => {
    const run: Run = new Map([['\u3000', [{ id: '\u00a0d', score: 1 }]]]);
    await writeRun(file, run, 't\u3000');
    expect(new Map(await readRun(file))).toEqual(run);
  });

  it.each([
    ['a blank in a query id', 'a b', 'd', 1, 'tag', 'a b'],
    ['a tab in a document id', 'q', 'd\t1', 1, 'tag', 'd\t1'],
    ['a blank in the tag', 'q', 'd', 1, 'my run', 'my run'],
    ['a score that is not finite', 'q', 'd', Number.NaN, 'tag', 'd'],
  ])('refuses %s and writes nothing', async (_, query, id, score, tag, named) => {
    const error = await fault(writeRun(file, new Map([[query, [{ id, score }]]]), tag));
    expect(error.id).toBe(named);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses a document listed twice', async () => {
    const twice = [0, 1].map((score) => ({ id: 'd', score }));
    expect((await fault(writeRun(file, new Map([['q', twice]]), 't'))).message).toContain(
      'query "q" lists this document twice',
    );
  });
});

describe('readRun holds typed arrays and', () => {
  it('finds a duplicate document in any order of the lines, and names the line', async () => {
    const lines = (...pairs: string[]) => pairs.map((pair) => `${pair.replace(' ', ' Q0 ')} 1 1 t`).join('\n');
    for (const [content, line] of [
      [lines('q d', 'q d'), 2],
      [lines('q d', 'p d', 'q e', 'p e', 'q d'), 5],
      [lines(...Array.from({ length: 40 }, (_none, at) => `q d${at}`), 'p d3', 'q d17'), 42],
    ] as const) {
      const error = await fault(runOf(content));
      expect([error.line, error.message]).toEqual([line, expect.stringContaining('earlier line')]);
    }
  });

  it('separates the lines of interleaved queries', async () => {
    const count = 100;
    const content = Array.from({ length: count }, (_none, at) => `q${at % 3} Q0 d${at} 1 ${at / 7} t`).join('\n');
    const run = await runOf(content);
    expect([...run.keys()]).toEqual(['q0', 'q1', 'q2']);
    for (const [query, hits] of run) {
      const first = Number(query.slice(1));
      expect(hits).toEqual(
        Array.from({ length: Math.ceil((count - first) / 3) }, (_none, at) => ({
          id: `d${first + 3 * at}`,
          score: (first + 3 * at) / 7,
        })),
      );
    }
  });
});
