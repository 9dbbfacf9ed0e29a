import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';

const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const QUERIES = 40;
let folder: string;
const at = (name: string) => join(folder, name);

/**
 * A collection of 40 queries, half dev, half test. Every other query is a question, whose expansion holds the word of its document; that of the
 * others leads to a wrong document, while the query itself finds the right one.
 */
function writeCollection(name: string, { splits = ['dev', 'test'], samples = 1 } = {}): void {
  const rows = Array.from({ length: QUERIES }, (_none, row) => row);
  const put = (file: string, lines: readonly string[]) => writeFileSync(join(at(name), file), `${lines.join('\n')}\n`);
  const isQuestion = (row: number) => row % 4 < 2;
  mkdirSync(join(at(name), 'qrels'), { recursive: true });
  put(
    'corpus.jsonl',
    rows.map((row) => JSON.stringify({ _id: `d${row}`, title: '', text: `word${row}x` })),
  );
  put(
    'queries.jsonl',
    rows.map((row) =>
      JSON.stringify({ _id: `q${row}`, text: isQuestion(row) ? `what is riddle${row}x` : `word${row}x` }),
    ),
  );
  for (const [place, split] of splits.entries()) {
    const own = rows.filter((row) => row % splits.length === place);
    put(`qrels/${split}.tsv`, ['query-id\tcorpus-id\tscore', ...own.map((row) => `q${row}\td${row}\t1`)]);
  }
  const wrong = (row: number) => `word${(row + 1) % QUERIES}x `.repeat(9).trim();
  put(
    'expansions.jsonl',
    rows.flatMap((row) =>
      Array.from({ length: samples }, (_none, sample) =>
        JSON.stringify({
          ...{ query: `q${row}`, sample, text: isQuestion(row) === (sample === 0) ? `word${row}x` : wrong(row) },
          ...{ finish: 'stop', promptTokens: 9, completionTokens: 4, milliseconds: 7, key: `${row} ${sample}` },
        }),
      ),
    ),
  );
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-gate-command-'));
  vi.stubEnv('LLM_QE_HOME', at('home'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const BM25 = ['--retriever', 'bm25', '--query-repeats', '1'];

describe('llm-qe gate', () => {
  it('limits the share of harmed queries, and says on what that rests', async () => {
    for (const name of ['a', 'b']) writeCollection(name);
    const train = async (share: string) => {
      const words = ['--retriever', 'bm25', '--harm-at-most', share, '--out', at('gate.json')];
      const { code, out, log } = await llmQe('gate', 'train', '--dataset', at('a'), at('b'), ...words);
      expect(code, log).toBe(0);
      return { said: out, gate: JSON.parse(readFileSync(at('gate.json'), 'utf8')) };
    };
    // Half of the 40 queries are tested on; 0.8^20 is 0.012.
    const limited = await train('0.2');
    expect(limited.said).toMatch(
      /With 95 % confidence it harms at most 20\.0 % .*on 20 queries .*: 0 harmed, p 0\.0115/,
    );
    expect(limited.gate).toMatchObject({ harm: { atMost: 0.2, queries: 20, isStricter: false } });
    const few = await train('0.05');
    expect(few.said).toMatch(/never expands: to show that at most 5\.0 % .* takes 59 queries or more .* there are 20/);
    expect(few.gate.policy.writeFrom).toBeGreaterThan(1);
    const refused = await llmQe('gate', 'train', '--dataset', at('a'), '--harm-at-most', '1', '--out', at('gate.json'));
    expect(refused.code).toBe(2);
    expect(refused.log).toContain('--harm-at-most');
  });

  it('learns from two collections, decides on a third, and saves the calls that would harm', async () => {
    for (const name of ['a', 'b', 'c']) writeCollection(name);
    const train = await llmQe(
      'gate',
      'train',
      '--dataset',
      at('a'),
      at('b'),
      '--retriever',
      'bm25',
      '--out',
      at('gate.json'),
      '--json',
    );
    expect(train.code, train.log).toBe(0);
    const gate = JSON.parse(train.out);
    expect(gate.trainedOn).toEqual([
      { dataset: 'a', split: 'dev', queries: 20 },
      { dataset: 'b', split: 'dev', queries: 20 },
    ]);
    expect(gate.heldOut.map(({ collection, means, saved }: never) => ({ collection, means, saved }))).toEqual(
      ['a', 'b'].map((collection) => ({
        collection,
        // Half of the queries find their document by themselves, the others by their expansion.
        means: expect.objectContaining({ never: 0.5, gate: 1, oracle: 1 }),
        saved: { queries: 10, share: 0.5 },
      })),
    );
    const expansions = join(at('c'), 'expansions.jsonl');
    const gated = ['--dataset', at('c'), '--expansions', expansions, '--gate', at('gate.json')];
    const report = await llmQe(
      'evaluate',
      ...gated,
      ...BM25,
      '--report',
      at('page.html'),
      '--run-out',
      at('run.trec'),
      '--json',
    );
    expect(report.code, report.log).toBe(0);
    const found = JSON.parse(report.out);
    expect(found).toMatchObject({ expanded: true, measures: { 'nDCG@10': 1 }, raw: { 'nDCG@10': 0.5 } });
    expect(found.comparison).toMatchObject({ arm: 'gate', baseline: 'never', helped: 10, hurt: 0 });
    const { always } = found.gate.means;
    expect(always).toBeLessThan(1);
    expect(found.gate).toMatchObject({
      means: { never: 0.5, gate: 1, oracle: 1 },
      harmed: { gate: { queries: 0, share: 0 } },
      saved: { queries: 10, share: 0.5 },
      measures: { always: { 'nDCG@10': always }, oracle: { 'nDCG@10': 1 } },
    });
    expect(found.gate.harmed.gate.atMost).toBeCloseTo(1 - 0.05 ** (1 / 20), 10);
    expect(found.gate.decisions).toHaveLength(20);
    for (const { query, expand, weight } of found.gate.decisions) {
      const isQuestion = Number(query.slice(1)) % 4 < 2;
      expect([query, expand, weight]).toEqual([query, isQuestion, isQuestion ? 1 : 0]);
    }
    expect(readFileSync(at('page.html'), 'utf8')).toMatch(/The gate saves 10 of 20 calls of the LLM/);
    expect(readFileSync(at('run.trec'), 'utf8')).toMatch(/^q1 Q0 d1 /m);

    const words = await llmQe('evaluate', ...gated, ...BM25);
    expect(words.out).toMatch(/never +0\.5000[\s\S]*always +[\s\S]*gate +1\.0000[\s\S]*oracle +1\.0000/);
    expect(words.out).toMatch(/c, gate +0 of 20 +0\.0 % +13\.9 %/);

    const apply = await llmQe(
      'gate',
      'apply',
      '--gate',
      at('gate.json'),
      '--dataset',
      at('c'),
      '--out',
      at('d.jsonl'),
      '--queries-out',
      at('to-expand.jsonl'),
      '--json',
    );
    expect(apply.code, apply.log).toBe(0);
    expect(JSON.parse(apply.out)).toMatchObject({ queries: 20, expand: 10, saved: 0.5 });
    const lines = (file: string) =>
      readFileSync(at(file), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    expect(lines('to-expand.jsonl').map(({ _id }) => _id)).toEqual(
      lines('d.jsonl').flatMap(({ query, expand }) => (expand ? [query] : [])),
    );
    expect(lines('d.jsonl').every(({ weight }) => weight === 0)).toBe(true);
    const weighed = await llmQe(
      'gate',
      'apply',
      '--gate',
      at('gate.json'),
      '--dataset',
      at('c'),
      '--out',
      at('d.jsonl'),
      '--expansions',
      expansions,
    );
    expect(weighed.out).toMatch(
      /20 queries: expand 10, leave 10 \(50\.0 % of the LLM calls saved\)\n10 get a weight above 0, 1\.00 on average/,
    );
  });

  it('trains for a dense search, and refuses another kind of search', async () => {
    writeCollection('a');
    const tiny = ['--encoder', ENCODER, '--threads', '1'];
    const train = await llmQe('gate', 'train', '--dataset', at('a'), '--out', at('gate.json'), ...tiny);
    expect(train.code, train.log).toBe(0);
    expect(train.out).toMatch(/ten parts of the data set/);
    expect(train.log).toMatch(/20 training queries[^\n]*not to be trusted/);
    const expansions = ['--expansions', join(at('a'), 'expansions.jsonl'), '--gate', at('gate.json')];
    const dense = await llmQe('evaluate', '--dataset', at('a'), ...expansions, ...tiny, '--json');
    expect(dense.code, dense.log).toBe(0);
    const { gate } = JSON.parse(dense.out);
    expect(gate.means.oracle).toBeGreaterThanOrEqual(Math.max(gate.means.never, gate.means.gate, gate.means.constant));
    expect(dense.log).not.toMatch(/another search/);
    const cosine = await llmQe('evaluate', '--dataset', at('a'), ...expansions, ...tiny, '--similarity', 'cosine');
    expect(cosine.log).toMatch(/trained for another search \(similarity: dot, now cosine\)/);
    const onDev = await llmQe('evaluate', '--dataset', at('a'), '--split', 'dev', ...expansions, ...tiny);
    expect(onDev.log).toMatch(/the gate was trained on these queries/);
    const lexical = await llmQe('evaluate', '--dataset', at('a'), ...expansions, ...BM25);
    expect([lexical.code, lexical.log]).toEqual([2, expect.stringMatching(/trained for --retriever dense, not bm25/)]);
  });

  it('needs no text for a query that the gate leaves, and names one that it wants', async () => {
    for (const name of ['a', 'b', 'c']) writeCollection(name);
    const gate = ['--gate', at('gate.json')];
    const train = await llmQe('gate', 'train', '--dataset', at('a'), at('b'), '--retriever', 'bm25', '--out', gate[1]!);
    expect(train.code, train.log).toBe(0);
    const lines = readFileSync(join(at('c'), 'expansions.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const wanted = lines.filter((line) => Number(JSON.parse(line).query.slice(1)) % 4 === 1);
    const evaluate = (some: readonly string[]) => {
      writeFileSync(at('some.jsonl'), `${some.join('\n')}\n`);
      return llmQe('evaluate', '--dataset', at('c'), '--expansions', at('some.jsonl'), ...gate, ...BM25, '--json');
    };
    const found = await evaluate(wanted);
    expect(found.code, found.log).toBe(0);
    expect(JSON.parse(found.out).gate).toMatchObject({ means: { never: 0.5, gate: 1 }, withoutText: 10 });
    const lacking = await evaluate(wanted.slice(1));
    expect([lacking.code, lacking.log]).toEqual([
      1,
      expect.stringMatching(/which the gate wants expanded; 9 of its 10 have one/),
    ]);
    expect(lacking.log).toContain(JSON.parse(wanted[0]!).query);

    const apply = ['gate', 'apply', ...gate, '--dataset', at('c')];
    const idle = await llmQe(...apply);
    expect([idle.code, idle.log]).toEqual([2, expect.stringMatching(/neither written nor printed/)]);
    expect(JSON.parse((await llmQe(...apply, '--json')).out).decisions).toHaveLength(20);
  });

  it('takes a development split for each data set', async () => {
    writeCollection('old', { splits: ['train', 'dev', 'test'] });
    writeCollection('new', { splits: ['dev', 'test'] });
    const train = (...words: string[]) =>
      llmQe(
        'gate',
        'train',
        '--dataset',
        at('old'),
        at('new'),
        ...words,
        '--retriever',
        'bm25',
        '--out',
        at('g.json'),
        '--json',
      );
    const found = await train('--dev-split', 'train', '--dev-split', 'dev');
    expect(found.code, found.log).toBe(0);
    expect(JSON.parse(found.out).trainedOn.map(({ split }: { split: string }) => split)).toEqual(['train', 'dev']);
    const three = await train(...['a', 'b', 'c'].flatMap((split) => ['--dev-split', split]));
    expect([three.code, three.log]).toEqual([2, expect.stringMatching(/3 splits for 2 data sets/)]);
  });

  it('says why it uses another split, and never uses test queries by itself', async () => {
    writeCollection('old', { splits: ['train', 'test'] });
    writeCollection('bare', { splits: ['test'] });
    const train = (...words: string[]) =>
      llmQe('gate', 'train', ...words, '--retriever', 'bm25', '--out', at('gate.json'), '--json');
    const old = await train('--dataset', at('old'));
    expect(old.log).toMatch(/old: uses split train, because the data set has no development split/);
    expect(JSON.parse(old.out).trainedOn[0].reason).toBe('the data set has no development split');
    const bare = await train('--dataset', at('bare'));
    expect([bare.code, bare.log]).toEqual([
      2,
      expect.stringMatching(/would look better there than it is[\s\S]*--dev-split NAME/),
    ]);
    const named = await train('--dataset', at('bare'), '--dev-split', 'test');
    expect([named.code, named.log]).toEqual([0, expect.stringMatching(/figures on it are no evidence/)]);
  });

  it('refuses what does not fit together', async () => {
    writeCollection('a');
    const ended = async (...words: string[]) => {
      const { code, log } = await llmQe(...words);
      return [code, log] as const;
    };
    const expansions = join(at('a'), 'expansions.jsonl');
    expect(
      await ended('gate', 'train', '--dataset', at('a'), '--expansions', expansions, '--expansions', expansions),
    ).toEqual([2, expect.stringMatching(/2 files of expansions for 1 data set/)]);
    expect(await ended('gate', 'train', '--dataset', at('a'), at('a'), '--retriever', 'bm25')).toEqual([
      2,
      expect.stringMatching(/two data sets are called a/),
    ]);
    expect(await ended('evaluate', '--dataset', at('a'), '--gate', at('gate.json'))).toEqual([
      2,
      expect.stringMatching(/--gate decides on expansions/),
    ]);
    expect(
      await ended('evaluate', '--dataset', at('a'), '--expansions', expansions, '--gate', at('x'), '--alphas', '0,1'),
    ).toEqual([2, expect.stringMatching(/--gate and --alphas/)]);
    writeFileSync(expansions, '');
    expect(await ended('gate', 'train', '--dataset', at('a'), '--retriever', 'bm25')).toEqual([
      1,
      expect.stringMatching(/expands no query of split dev of a[\s\S]*llm-qe expand --dataset/),
    ]);
  });
});

describe('llm-qe tune', () => {
  it('chooses on dev, reports the cross-validated gain, and evaluate uses the choice', async () => {
    writeCollection('a', { samples: 3 });
    const tuned = ['--dataset', at('a'), '--retriever', 'bm25', '--out', at('tuned.json')];
    const tune = await llmQe('tune', ...tuned, '--repeats', '1,2', '--json');
    expect(tune.code, tune.log).toBe(0);
    const found = JSON.parse(tune.out);
    expect(found).toMatchObject({ split: 'dev', queries: 20, raw: 0.5, best: { texts: 1 } });
    expect(found.points).toHaveLength(1 + 2 * 3);
    expect(found.points[0]).toEqual({ texts: 0, value: 0.5 });
    expect(found.inSample).toMatchObject({ arm: 'tuned', baseline: 'raw', helped: 10 });
    expect(found.crossValidated).toMatchObject({ arm: 'cross-validated', baseline: 'raw' });
    const words = await llmQe('tune', ...tuned, '--repeats', '1,2');
    expect(words.out).toMatch(/nDCG@10 by query repeats \(1 expansion\), bars from/);
    expect(words.out).toMatch(/raw +0\.5000 +#\n/);
    expect(words.out).toMatch(/best: 1 expansion, query repeats 2/);

    const expansions = ['--dataset', at('a'), '--retriever', 'bm25', '--expansions', join(at('a'), 'expansions.jsonl')];
    const plain = JSON.parse((await llmQe('evaluate', ...expansions, '--json')).out);
    const used = JSON.parse((await llmQe('evaluate', ...expansions, '--tuned', at('tuned.json'), '--json')).out);
    expect(used.tuned).toMatchObject({ texts: 1, queryRepeats: 2, split: 'dev' });
    expect(used.settings['query repeats']).toBe(2);
    expect(used.measures['nDCG@10']).toBeGreaterThan(plain.measures['nDCG@10']);
    const both = await llmQe('evaluate', ...expansions, '--tuned', at('tuned.json'), '--query-repeats', '3');
    expect([both.code, both.log]).toEqual([2, expect.stringMatching(/--tuned and --query-repeats both say/)]);
    const other = await llmQe('evaluate', ...expansions, '--tuned', at('tuned.json'), '--k1', '2');
    expect(other.log).toMatch(/tuned for another search \(k1: 0\.9, now 2\)/);
  });

  it('warns of the queries it was tuned on, and says that raw queries were chosen', async () => {
    writeCollection('a', { splits: ['test'] });
    const common = ['--dataset', at('a'), '--retriever', 'bm25', '--expansions', join(at('a'), 'expansions.jsonl')];
    const tune = await llmQe('tune', ...common, '--dev-split', 'test', '--out', at('tuned.json'));
    expect(tune.code, tune.log).toBe(0);
    const onTest = await llmQe('evaluate', ...common, '--tuned', at('tuned.json'));
    expect(onTest.log).toMatch(
      /was tuned on these queries \(split test of a\): its figures here are too good to be true/,
    );
    expect(onTest.log).not.toMatch(/chose raw queries/);
    const tuned = JSON.parse(readFileSync(at('tuned.json'), 'utf8'));
    const best = { texts: 0, value: tuned.raw };
    writeFileSync(at('raw.json'), JSON.stringify({ ...tuned, split: 'dev', best }));
    const raw = await llmQe('evaluate', ...common, '--tuned', at('raw.json'));
    expect(raw.log).toMatch(/raw\.json chose raw queries \(a, split dev, 40 queries\): the expansions are not used/);
    expect(raw.log).not.toMatch(/was tuned on these queries/);
  });

  it('refuses more expansions than there are', async () => {
    writeCollection('a', { samples: 2 });
    const tune = await llmQe('tune', '--dataset', at('a'), '--retriever', 'bm25', '--samples', '1,9', '--out', at('t'));
    expect([tune.code, tune.log]).toEqual([2, expect.stringMatching(/--samples 9[\s\S]*at most 2 expansions/)]);
  });

  it('refuses test queries, and other files', async () => {
    writeCollection('bare', { splits: ['test'] });
    const bare = await llmQe('tune', '--dataset', at('bare'), '--retriever', 'bm25', '--out', at('tuned.json'));
    expect([bare.code, bare.log]).toEqual([2, expect.stringMatching(/has no development split/)]);
    writeFileSync(at('gate.json'), '{"kind": "gate"}');
    const wrong = await llmQe(
      'evaluate',
      '--dataset',
      at('bare'),
      '--expansions',
      join(at('bare'), 'expansions.jsonl'),
      '--tuned',
      at('gate.json'),
    );
    expect([wrong.code, wrong.log]).toEqual([1, expect.stringMatching(/is not a tuned combination/)]);
  });
});
