import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BeirDataset, readExpansions } from '../../data/index.ts';
import { combinationOf } from '../../retrieve/index.ts';
import { DataError } from '../../system/index.ts';
import { EXPORT_FORMATS, exportExpansions } from './export.ts';
import { guessFormat } from './formats.ts';
import { stripQuery } from './query-repeats.ts';
import { type ReplayOptions, replayExpansions } from './replay.ts';

const QUERIES = { q1: 'what is a saw', q2: 'Cats', q3: 'sea' };
let folder: string;
let dataset: BeirDataset;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replay-'));
  const data = join(folder, 'data');
  await mkdir(join(data, 'qrels'), { recursive: true });
  await writeFile(join(data, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
  const all = Object.entries({ ...QUERIES, unjudged: 'other' });
  await writeFile(join(data, 'queries.jsonl'), all.map(([_id, text]) => `${JSON.stringify({ _id, text })}\n`).join(''));
  await writeFile(
    join(data, 'qrels', 'test.tsv'),
    Object.keys(QUERIES)
      .map((id) => `${id}\td\t1\n`)
      .join(''),
  );
  dataset = await BeirDataset.open(data);
});
afterAll(() => rm(folder, { recursive: true }));

async function put(content: string | Buffer, name = `texts-${count++}.tsv`): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

async function replay(content: string | Buffer, more: Partial<ReplayOptions> = {}, name?: string) {
  const from = await put(content, name);
  const out = more.out ?? join(folder, `out-${count++}`, 'expansions.jsonl');
  const queries = Object.entries(QUERIES).map(([id, text]) => ({ id, text }));
  const result = await replayExpansions({ dataset, queries, from, ...more, out });
  const expansions = await readExpansions(out);
  const texts = Object.fromEntries([...expansions].map(([id, records]) => [id, records.map(({ text }) => text)]));
  const repeats = [...expansions.values()].flat().map((one) => one.queryRepeats);
  return { ...result, out, from, texts, repeats };
}

/** What pandas writes for three queries, each five times before its text. */
const five = (query: string) => Array(5).fill(query).join(' ');
const GYM = [
  `q1\t"${five(QUERIES.q1)} a tool\n\nq2\tis no query here; a ""saw"" cuts"`,
  `q2\t${five('cats')} purr`,
  `q3\t${five('sea')} seaside`,
]
  .map((line) => `${line}\n`)
  .join('');

describe('texts of QueryGym', () => {
  it('lose the query before them, keep line ends and marks, and say how often the query stood there', async () => {
    const found = await replay(GYM, {}, 'test.mugi.gpt-4.1.queries.tsv');
    expect(found).toMatchObject({
      ...{ format: 'querygym', isGuessed: true, writer: 'test.mugi.gpt-4.1', missing: 0, others: 0, expansions: 3 },
      ...{ combination: { alpha: 0.5, queryRepeats: 5 }, isRuleKnown: true, repeats: [5, 5, 5] },
      texts: { q1: ['a tool\n\nq2\tis no query here; a "saw" cuts'], q2: ['purr'], q3: ['seaside'] },
    });
    expect(await combinationOf(found.out)).toMatchObject({ queryRepeats: 5, chosenBy: { queryRepeats: 'expansions' } });
    expect(await readFile(found.files.queries, 'utf8')).toContain('{"_id":"q2","text":["Cats","purr"]}');
  });

  it('may be read without quotation marks, gzipped, with CR LF', async () => {
    const plain = `q1\twhat is a saw a tool\r\nthat cuts\r\n\r\nq2\tpurr\r\n`;
    const found = await replay(gzipSync(plain), { format: 'querygym' });
    expect(found).toMatchObject({
      texts: { q1: ['a tool\nthat cuts'], q2: ['purr'], q3: [''] },
      missing: 1,
      missingIds: ['q3'],
    });
  });

  it('without quotation marks go on over a line with a tab, unless what stands before it has the form of an id', async () => {
    const found = await replay('q1\ta tool\nName\tvalue\nq2\tpurr\nq77\ta query of a larger set\n');
    expect(found).toMatchObject({ texts: { q1: ['a tool\nName\tvalue'], q2: ['purr'] }, others: 1 });
  });

  describe('with ids that are numbers', () => {
    /** Replays texts for a data set with these queries, of which some are judged. */
    const replayNumbers = async (content: string, ids: readonly string[], more: Partial<ReplayOptions> = {}) => {
      const data = join(folder, `numbers-${count++}`);
      await mkdir(join(data, 'qrels'), { recursive: true });
      await writeFile(join(data, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
      await writeFile(join(data, 'queries.jsonl'), ids.map((_id) => `{"_id":"${_id}","text":"sea"}\n`).join(''));
      await writeFile(join(data, 'qrels', 'test.tsv'), ids.map((id) => `${id}\td\t1\n`).join(''));
      const queries = ids.map((id) => ({ id, text: 'sea' }));
      return replay(content, { dataset: await BeirDataset.open(data), queries, ...more });
    };

    it('are read as strings, with their zeros', async () => {
      const ids = ['007', '19335', '1110199'];
      const content =
        '007\t"sea one\n\n12\tis no query"\n19335\tsea two\n1110199\tsea three\n555555\tof a larger set\n';
      expect(await replayNumbers(content, ids)).toMatchObject({
        texts: { '007': ['one\n\n12\tis no query'], 19335: ['two'], 1110199: ['three'] },
        ...{ others: 1, missing: 0 },
      });
      const rows = '{"id":"007","text":"a"}\n{"id":19335,"text":"b"}\n{"id":1110199,"text":"c"}\n';
      const found = await replayNumbers(rows, ids, { format: 'jsonl' });
      expect(found.texts).toEqual({ '007': ['a'], 19335: ['b'], 1110199: ['c'] });
    });

    it('without quotation marks go on over a line with a number and a tab that is shorter or longer than any id', async () => {
      const content = '19335\tsea list:\n1\tshells\n2\tsand\n20250101\tdate\n1110199\tthree\n';
      expect((await replayNumbers(content, ['19335', '1110199'])).texts).toEqual({
        19335: ['list:\n1\tshells\n2\tsand\n20250101\tdate'],
        1110199: ['three'],
      });
    });

    it('are refused where a number may be an id or text', async () => {
      // Without texts of several lines there is no doubt: 3 is a query of a larger set.
      expect(await replayNumbers('1\tone\n3\tother\n2\ttwo\n', ['1', '2'])).toMatchObject({ others: 1 });
      for (const content of ['1\tlist:\n\nshells\n3\tsand\n2\ttwo\n', '1\tlist:\n3\tsand\n2\ttwo\nand more\n']) {
        const refused = replayNumbers(content, ['1', '2']);
        await expect(refused).rejects.toThrow(/lacks, or goes on with the text of query 1/);
        await expect(refused).rejects.toMatchObject({ id: '3', fix: expect.stringContaining('quotation marks') });
      }
    });

    it.each(['7', '7.0', '0007'])('are refused if the file has %s in place of 007', async (id) => {
      const refused = replayNumbers(`19335\tone\n${id}\ttwo\n`, ['007', '19335']);
      await expect(refused).rejects.toMatchObject({ constructor: DataError, line: 2, id });
      await expect(refused).rejects.toThrow(/but 007: a program read the ids as numbers/);
    });
  });

  it('lose the query as a whole word only, in any case, and not more often than wanted', () => {
    expect(stripQuery('Sea sea seaside', 'sea')).toEqual({ text: 'seaside', repeats: 2 });
    expect(stripQuery('sea sea seaside', 'sea', 1)).toEqual({ text: 'sea seaside', repeats: 1 });
    expect(stripQuery('sea', 'sea')).toEqual({ text: '', repeats: 1 });
    expect(stripQuery('the sea', 'sea')).toEqual({ text: 'the sea', repeats: 0 });
    expect(stripQuery('text', ' ')).toEqual({ text: 'text', repeats: 0 });
  });

  it('tell the rule of MuGI, or that there is none', async () => {
    const query = (times: number, text: string) => `${'sea '.repeat(times)}${text}`;
    // floor(floor(60 / 3) / 5) = 4, floor(floor(93 / 3) / 5) = 6, and at least 1.
    const texts = { q3: query(4, 'y'.repeat(60)) };
    const queries = [
      { id: 'q3', text: 'sea' },
      { id: 'q2', text: 'sea' },
      { id: 'q1', text: 'sea' },
    ];
    const rest = `q2\t${query(6, 'y'.repeat(93))}\nq1\t${query(1, 'y'.repeat(9))}\n`;
    const mugi = await replay(`q3\t${texts.q3}\n${rest}`, { queries });
    expect(mugi).toMatchObject({
      combination: { queryRepeats: 'characters:5' },
      isRuleKnown: true,
      repeats: [4, 6, 1],
    });
    const odd = await replay(`q3\t${query(2, 'x')}\nq2\t${query(9, 'x')}\nq1\t${query(4, 'x')}\n`, { queries });
    expect(odd.isRuleKnown).toBe(false);
  });
});

describe('other formats', () => {
  it.each([
    [
      'beir',
      '{"_id": "q1", "text": ["what is a saw", "a tool", "it cuts"]}\n{"_id": "q2", "text": ["Cats", "purr"]}\n',
    ],
    [
      'jsonl',
      '{"qid": "q1", "reformulated": ["what is a saw a tool", "what is a saw it cuts"]}\n{"qid": "q2", "reformulated": "Cats purr"}\n',
    ],
    [
      'topics',
      '<top>\n<num> Number: q1\n<title> what is a saw\n a tool\n<desc> Description:\nnot this\n</top>\n\n<top>\n<num> q2 </num>\n<title>purr</title>\n</top>\n',
    ],
  ] as const)('%s is guessed and read', async (format, content) => {
    const found = await replay(content);
    expect(found.format).toBe(format);
    expect(found.texts).toEqual({
      q1: format === 'topics' ? ['a tool'] : ['a tool', 'it cuts'],
      q2: ['purr'],
      q3: [''],
    });
  });

  it('topics may stand on one line each, with other tags in their text', async () => {
    const line = (id: string, text: string) => `<top><num>${id}</num><title>${text}</title></top>`;
    const found = await replay(`  ${line('q1', 'a tool')}\n${line('q2', 'purr <b> loud')} ${line('q3', 'waves')}\n`);
    expect(found.texts).toEqual({ q1: ['a tool'], q2: ['purr <b> loud'], q3: ['waves'] });
  });

  it('topics may be lines, whose quotation marks count', async () => {
    expect((await replay('q1\t"a tool\nq2\tpurr\n', { format: 'topics' })).texts.q1).toEqual(['"a tool']);
  });

  it('JSONL has fields of any name', async () => {
    const row = { number: 7, query: 'x', out: { text: 'no' }, gen: 'purr', key: 'q2' };
    const fields = { id: 'key', text: 'gen' };
    expect((await replay(`${JSON.stringify(row)}\n`, { format: 'jsonl', fields })).texts.q2).toEqual(['purr']);
    await expect(
      replay(`${JSON.stringify(row)}\n`, { fields: { id: 'key', text: 'out' }, format: 'jsonl' }),
    ).rejects.toThrow(/out: /);
    await expect(replay('{"a": 1}\n')).rejects.toThrow(/no field holds the id/);
  });
});

describe('a faulty file', () => {
  it.each([
    ['a query twice', 'q1\ta\nq2\tb\nq1\tc\n', /line 3.*q1|q1.*line 3/s],
    ['a mark without end', 'q1\t"a tool\nq2\tb\n', /never ends/],
    ['no tab', 'q1 a\n', /neither JSON, nor <top>/],
    ['an empty file', '', /empty/],
    ['queries of another data set', 'x1\ta\nx2\tb\n', /none of the 3 queries of data/],
    ['a topic without number', '<top>\n<title> a\n</top>\n', /no <num>/],
    ['a topic that is cut', '<top>\n<num> q1\n<title> a\n', /lacks its <\/top>/],
    ['an id with a blank', 'q 1\ta\n', /white space/],
    ['a file of llm-qe', '{"query":"q1","sample":0,"text":"a","key":"k"}\n', /file of expansions of llm-qe/],
    ['broken JSON', '{"_id": "q1", "text": \n', /not valid JSON/],
    ['an endless text', `q1\t"${`${'a'.repeat(5000)}\n`.repeat(250)}`, /longer than 1048576 characters/],
    ['bytes that are not UTF-8', Buffer.from([0x71, 0x31, 0x09, 0xff, 0x0a]), /UTF-8/],
  ])('%s is refused', async (_what, content, message) => {
    const error = await replay(content).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    const { file, line, id, fix } = error as DataError;
    expect(`${String(error)} ${line === undefined ? '' : `line ${line}`} ${id ?? ''} ${file ?? ''}`).toMatch(message);
    expect(fix).not.toBe('');
  });

  it('does not replace expansions of other texts', async () => {
    const { out } = await replay(GYM);
    await expect(replay('q1\ta\n', { out })).rejects.toThrow(/other settings/);
    expect((await replay('q1\ta\n', { out, force: true })).texts.q1).toEqual(['a']);
  });
});

describe('exports', () => {
  it('write what was read, byte by byte', async () => {
    const gym = GYM.replaceAll('cats', 'Cats');
    const { out } = await replay(gym);
    const file = join(folder, 'again.tsv');
    await exportExpansions({ dataset, expansions: out, format: 'querygym', out: file });
    expect(await readFile(file, 'utf8')).toBe(gym);
    const beir =
      '{"_id":"q1","text":["what is a saw","a tool"]}\n{"_id":"q3","text":["sea","waves"]}\n{"_id":"q2","text":"Cats"}\n';
    const read = await replay(beir);
    await exportExpansions({ dataset, expansions: read.out, format: 'beir', out: file });
    expect(await readFile(file, 'utf8')).toBe(beir);
  });

  it.each(EXPORT_FORMATS)('in %s are read again as the same texts', async (format) => {
    const { out, texts } = await replay('q1\ta tool\nq2\tpurr\nq3\twaves\n');
    const file = join(folder, `exported-${format}`);
    await exportExpansions({ dataset, expansions: out, format, out: file, queryRepeats: 3 });
    const content = await readFile(file, 'utf8');
    expect(await guessFormat(file)).toBe(format === 'tsv' ? 'querygym' : format);
    if (format !== 'beir') expect(content).toContain('Cats Cats Cats purr');
    const again = await replay(content);
    expect(again.texts).toEqual(texts);
    expect(again.combination.queryRepeats).toBe(format === 'beir' ? 5 : 3);
  });

  it('repeat the query as the expansions are combined', async () => {
    const { out } = await replay(GYM);
    const file = join(folder, 'topics.tsv');
    await exportExpansions({ dataset, expansions: out, format: 'tsv', out: file, queryRepeats: 'per-text' });
    const [line] = (await readFile(file, 'utf8')).split('\n');
    expect(line).toBe('q1\twhat is a saw a tool q2 is no query here; a "saw" cuts');
  });
});
