import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AbortedError, DataError } from '../../system/index.ts';
import { checkBeir } from './check.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-check-'));
  await mkdir(join(folder, 'qrels'));
  await put('corpus.jsonl', '{"_id":"d1","title":"A title","text":"two words"}\n{"_id":"d2","text":"one"}\n');
  await put('queries.jsonl', '{"_id":"q1","text":"a b"}\n{"_id":"q2","text":["c","e"]}\n');
  await put('qrels/test.tsv', 'query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n');
});
afterEach(() => rm(folder, { recursive: true }));

async function put(name: string, content: string | Uint8Array): Promise<void> {
  await writeFile(join(folder, name), content);
}

/** Level, kind and count of each problem. */
async function problems(): Promise<string[]> {
  const { problems: found } = await checkBeir(folder);
  return found.map(({ level, what, count }) => `${level}: ${what}: ${count}`);
}

describe('checkBeir', () => {
  it('counts documents, queries and judgements', async () => {
    const { documents, queries, splits, problems: found } = await checkBeir(folder);
    expect(documents).toEqual({ count: 2, empty: 0, meanCharacters: 10, meanWords: 2.5 });
    expect(queries).toEqual({ count: 2, empty: 0, meanCharacters: 2, meanWords: 1.5, withExpansions: 1 });
    expect(splits).toEqual({ test: { judgements: 3, relevant: 2, queries: 2, withoutRelevant: 0 } });
    expect(found).toEqual([]);
  });

  it('finds every problem in one pass, errors first', async () => {
    await put(
      'corpus.jsonl',
      [
        '{"_id":"d1","text":" "}',
        '{"_id":"d 2","text":"x"}',
        '{"_id":',
        '{"_id":"d1","text":"x"}',
        '{"text":"x"}',
      ].join('\n'),
    );
    await put('queries.jsonl', '{"_id":"q1","text":""}\n{"_id":"q\\t2","text":"x"}\n{"_id":"q1","text":"y"}\n');
    await put(
      'qrels/test.tsv',
      [
        'q1\td1\t0',
        'q1\td1\t0',
        'q1\td1\t1',
        'q1\tgone\t1',
        'q1\tgone too\t0',
        'q1\tgone-too\t0',
        'q9\td1\t-1',
        'q1 d1',
        'q1\td1\tx',
      ].join('\n'),
    );
    expect(await problems()).toEqual([
      'error: broken line: 7',
      'error: document id given twice: 1',
      'error: query id given twice: 1',
      'error: two different grades of one document: 1',
      'error: relevant document that is missing from the corpus: 1',
      'error: judgement for a query that is missing: 1',
      'warning: document without text: 1',
      'warning: query without text: 1',
      'warning: judgement given twice: 1',
      'warning: judged document that is missing from the corpus: 1',
      'warning: query without a relevant document: 1',
    ]);
  });

  it('names the position of the first few of each kind', async () => {
    await put('qrels/test.tsv', Array.from({ length: 12 }, (_, at) => `q1\tgone${at}\t1\n`).join(''));
    const [problem] = (await checkBeir(folder)).problems;
    expect(problem?.count).toBe(12);
    expect(problem?.examples).toHaveLength(5);
    expect(problem?.examples[1]).toBe(`${join(folder, 'qrels/test.tsv')}:2 query "q1", document "gone1"`);
  });

  it('continues with other files if one is damaged', async () => {
    const whole = gzipSync(Array.from({ length: 3000 }, (_, at) => `{"_id":"${at * 7919}","text":"x"}\n`).join(''));
    await rm(join(folder, 'corpus.jsonl'));
    await put('corpus.jsonl.gz', whole.subarray(0, whole.length - 100));
    await put('qrels/dev.tsv', '');
    await put('qrels/test.tsv', 'q1\t0\t1\n');
    expect(await problems()).toEqual([
      'error: file that cannot be read to its end: 1',
      'error: file without judgements: 1',
    ]);
  });

  it.each([
    ['an empty corpus', 'corpus.jsonl', 'error: the corpus holds no document: 1'],
    ['no queries', 'queries.jsonl', 'error: no queries (queries.jsonl): 1'],
  ])('reports %s', async (_, name, problem) => {
    await put(name, '');
    expect(await problems()).toContain(problem);
  });

  it('reports missing queries and missing judgements', async () => {
    await rm(join(folder, 'queries.jsonl'));
    await rm(join(folder, 'qrels'), { recursive: true });
    expect(await problems()).toEqual([
      'error: no queries (queries.jsonl): 1',
      'warning: no judgements (qrels/<split>.tsv): 1',
    ]);
  });

  it('refuses a folder without a corpus, and stops on request', async () => {
    await expect(checkBeir(folder, { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    await rm(join(folder, 'corpus.jsonl'));
    await expect(checkBeir(folder)).rejects.toThrow(DataError);
  });
});

describe('checkBeir counts ids that queries and documents share', () => {
  const withQrels = async (qrels: string) => {
    const folder = await mkdtemp(join(tmpdir(), 'llm-qe-check-'));
    await mkdir(join(folder, 'qrels'));
    const lines = (...records: object[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('');
    const document = (_id: string, text = `text ${_id}`) => ({ _id, title: '', text });
    await writeFile(join(folder, 'corpus.jsonl'), lines(document('1'), document('2'), document('x', 'w '.repeat(255))));
    await writeFile(join(folder, 'queries.jsonl'), lines(...['1', '2', '3'].map((_id) => ({ _id, text: `q ${_id}` }))));
    await writeFile(join(folder, 'qrels', 'test.tsv'), qrels);
    const check = await checkBeir(folder);
    await rm(folder, { recursive: true });
    return check;
  };

  it('judged relevant or not, and long documents', async () => {
    const check = await withQrels('1 0 1 1\n2 0 2 0\n3 0 x 1\n');
    expect(check.collisions).toEqual({ queries: 2, relevant: 1 });
    expect(check.long).toEqual({ documents: 1, tokens: 256 });
    expect(check.notes).toEqual([
      expect.stringMatching(/^2 ids belong to a query and to a document.* except for 1 query that judges it relevant/),
      expect.stringMatching(/^at least 1 document \(33\.3 %\) exceeds 256 tokens/),
    ]);
    expect(check.problems.map(({ what }) => what)).toEqual(['query without a relevant document']);
  });

  it('of a judgement of another document only the first', async () => {
    expect((await withQrels('1 0 2 1\n2 0 1 1\n3 0 x 1\n')).collisions).toEqual({ queries: 2, relevant: 0 });
  });

  it('repeated documents and queries, and queries that two splits judge', async () => {
    await put(
      'corpus.jsonl',
      '{"_id":"d1","title":"a","text":"b c"}\n{"_id":"d2","text":"a b c"}\n{"_id":"d3","text":"b"}\n{"_id":"d4","text":""}\n{"_id":"d5","text":""}\n',
    );
    await put('queries.jsonl', '{"_id":"q1","text":"x"}\n{"_id":"q2","text":"x"}\n{"_id":"q3","text":"x"}\n');
    await put('qrels/test.tsv', 'q1\td1\t1\nq1\td2\t1\nq2\td3\t1\n');
    await put('qrels/train.tsv', 'q1\td1\t1\nq3\td3\t1\n');
    const check = await checkBeir(folder);
    expect(check.duplicates).toEqual({ documents: 1, queries: 2 });
    expect(check.sharedQueries).toEqual({ 'train and test': 1 });
    expect(check.notes.map((note) => note.split(':')[0])).toEqual([
      '1 document repeats title and text of an earlier one',
      '2 queries repeat the text of an earlier one',
      'the splits train and test share 1 query',
    ]);
  });
});
