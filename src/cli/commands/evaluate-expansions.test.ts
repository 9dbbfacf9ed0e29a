import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { runCommandLine } from '../run.ts';

const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const QUERIES = 60;
let folder: string;
let printed: CapturedOutput;
const at = (name: string) => join(folder, name);
const rows = Array.from({ length: QUERIES }, (_, row) => row);
const put = (name: string, lines: readonly string[]) => writeFileSync(at(name), `${lines.join('\n')}\n`);
const expansion = (query: string, text: string) =>
  JSON.stringify({
    query,
    sample: 0,
    text,
    finish: 'stop',
    promptTokens: 9,
    completionTokens: 4,
    milliseconds: 7,
    key: query,
  });

/** Queries ask for a word that their documents lack; expansions hold the one they have. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-evaluate-'));
  printed = captureOutput();
  vi.stubEnv('LLM_QE_HOME', at('home'));
  mkdirSync(at('qrels'));
  put(
    'corpus.jsonl',
    rows.map((row) => JSON.stringify({ _id: `d${row}`, title: '', text: `answer${row}x` })),
  );
  put(
    'queries.jsonl',
    rows.map((row) => JSON.stringify({ _id: `q${row}`, text: `riddle${row}x` })),
  );
  const judged = (some: number[]) => ['query-id\tcorpus-id\tscore', ...some.map((row) => `q${row}\td${row}\t1`)];
  put('qrels/test.tsv', judged(rows.slice(0, 50)));
  put('qrels/dev.tsv', judged(rows.slice(50)));
  put(
    'good.jsonl',
    rows.map((row) => expansion(`q${row}`, `answer${row}x`)),
  );
  put(
    'bad.jsonl',
    rows.slice(0, 50).map((row) => expansion(`q${row}`, `answer${row + 1}x`)),
  );
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const bm25 = (...more: string[]) => runCommandLine(['evaluate', '--dataset', folder, '--retriever', 'bm25', ...more]);
const dense = (...more: string[]) =>
  runCommandLine(['evaluate', '--dataset', folder, '--encoder', ENCODER, '--threads', '1', ...more]);

describe('evaluate with expansions', () => {
  it('prints the verdict first, then change, interval, p, helped and hurt', async () => {
    expect(await bm25('--expansions', at('good.jsonl')), printed.err).toBe(0);
    expect(printed.out).toMatch(/^expanded against raw: helped 50 queries, hurt 0 of 50: a real gain\n/);
    expect(printed.out).toMatch(
      /expanded against raw {2}\+1\.0000 {2}\+1\.0000 to \+1\.0000 {2}< 0\.0001 +50 \/ 0 \/ 0 +a real gain/,
    );
  });

  it('combines the expansions as their manifest records, unless the user says otherwise', async () => {
    const combination = { alpha: 'mean', queryRepeats: 'per-text' };
    const about = { strategy: 'lamer', combination };
    writeFileSync(
      at('good.manifest.json'),
      JSON.stringify({ stage: 'expansions', version: '1', key: 'k', settings: {}, about }),
    );
    const settings = async (...more: string[]) => {
      printed.out = '';
      expect(await dense('--retriever', 'rrf', '--expansions', at('good.jsonl'), '--json', ...more), printed.err).toBe(
        0,
      );
      const { settings, combination } = JSON.parse(printed.out);
      return { alpha: settings.alpha, repeats: settings['query repeats'], chosenBy: combination.chosenBy };
    };
    expect(await settings()).toEqual({
      ...{ alpha: 'mean', repeats: 'per-text' },
      chosenBy: { alpha: 'expansions', queryRepeats: 'expansions' },
    });
    expect(await settings('--alpha', '.25', '--query-repeats', '3')).toEqual({
      ...{ alpha: 0.25, repeats: 3, chosenBy: { alpha: 'given', queryRepeats: 'given' } },
    });
    printed.out = '';
    expect(await bm25('--expansions', at('good.jsonl'))).toBe(0);
    expect(printed.out).toContain('Expansions are combined with query repeats per-text (as lamer does it).');
    expect(await bm25('--expansions', at('good.jsonl'), '--query-repeats', '0')).toBe(2);
    expect(printed.err).toContain('--query-repeats: expected a whole number, per-text, characters:B or words:B');
  });

  it('searches with the texts in place of the queries, each query as often as in the file', async () => {
    const line = (row: number) => ({ ...JSON.parse(expansion(`q${row}`, `answer${row}x`)), queryRepeats: row % 3 });
    put(
      'replay.jsonl',
      [...rows.slice(1), 0].map((row) => JSON.stringify(row === 0 ? JSON.parse(expansion('q0', '')) : line(row))),
    );
    const run = async (...more: string[]) => {
      printed.out = '';
      const words = ['--expansions', at('replay.jsonl'), '--run-out', at('as-is.trec'), ...more];
      expect(await bm25(...words), printed.err).toBe(0);
      return readFileSync(at('as-is.trec'), 'utf8').split('\n').slice(0, 3);
    };
    const found = await run('--as-is');
    expect(printed.out).toContain(`The texts of ${at('replay.jsonl')} replace the queries (--as-is).`);
    // Raw queries find nothing; q0 has no text and stays as it is.
    expect(printed.out).toMatch(/helped 49 queries, hurt 0 of 50/);
    expect(found.every((one) => / llm-qe-bm25$/.test(one))).toBe(true);
    expect(await bm25('--expansions', at('replay.jsonl'), '--as-is', '--query-repeats', '3')).toBe(2);
    expect(printed.err).toContain('--as-is and --query-repeats cannot be combined');
    expect(await bm25('--as-is')).toBe(2);
    expect(printed.err).toContain('--as-is needs --expansions');
  });

  it('reports no difference for expansions that change nothing, and too few queries', async () => {
    expect(await bm25('--expansions', at('bad.jsonl'), '--json'), printed.err).toBe(0);
    expect(JSON.parse(printed.out).comparison).toMatchObject({ helped: 0, hurt: 0, verdict: { kind: 'none' } });
    printed.out = '';
    expect(await bm25('--expansions', at('bad.jsonl'), '--limit', '8', '--json')).toBe(0);
    expect(JSON.parse(printed.out).comparison.verdict.kind).toBe('few');
  });

  it('writes both runs, and prints their paths', async () => {
    expect(await bm25('--expansions', at('good.jsonl'), '--run-out', at('run.trec')), printed.err).toBe(0);
    expect(printed.out).toContain(`expanded run: ${at('run.trec')}\nraw run: ${at('run-raw.trec')}\n`);
    expect(readFileSync(at('run.trec'), 'utf8')).toMatch(/ llm-qe-bm25\n/);
    expect(existsSync(at('run-raw.trec'))).toBe(true);
  });

  it('calls a baseline with feedback by its feedback, in tables, JSON, runs and report', async () => {
    const given = ['--feedback', 'rm3', '--run-out', at('run.trec'), '--report', at('page.html')];
    expect(await bm25('--expansions', at('good.jsonl'), ...given), printed.err).toBe(0);
    expect(printed.out).toMatch(/^expanded, rm3 against rm3: helped 50 queries/);
    expect(printed.out).toMatch(/\nrm3 +0\.\d{4}/);
    expect(printed.out).toContain(`expanded, rm3 run: ${at('run.trec')}\nrm3 run: ${at('run-rm3.trec')}\n`);
    expect(readFileSync(at('run-rm3.trec'), 'utf8')).not.toContain('raw');
    expect(existsSync(at('run-raw.trec'))).toBe(false);
    expect(readFileSync(at('page.html'), 'utf8')).toContain('<b>expanded, rm3 against rm3</b>');
    printed.out = '';
    expect(await bm25('--expansions', at('good.jsonl'), '--feedback', 'rm3', '--json')).toBe(0);
    const json = JSON.parse(printed.out);
    expect(json).toMatchObject({ arm: 'expanded, rm3', baseline: { name: 'rm3' }, comparison: { baseline: 'rm3' } });
    expect(json).not.toHaveProperty('raw');
    printed.out = '';
    expect(await bm25('--feedback', 'rm3')).toBe(0);
    expect(printed.out).toMatch(/\nrm3 +0\.\d{4}/);
  });

  it.each([
    ['run.trec', 'run-raw.trec', 'q1 Q0 d1 1 2.0 another-system\n', ['--run-out']],
    ['run.trec', 'run-raw.trec', 'notes\n', ['--run-out']],
    ['page.html', 'page.json', '{"mine": 1}', ['--report']],
  ])('never overwrites the neighbour of %s', async (named, beside, content, option) => {
    writeFileSync(at(beside), content);
    expect(await bm25('--expansions', at('good.jsonl'), ...option, at(named))).toBe(2);
    expect(printed.err).toContain(beside);
    expect(readFileSync(at(beside), 'utf8')).toBe(content);
    expect(existsSync(at(named))).toBe(false);
  });

  it('reports who wrote the expansions, from their manifest', async () => {
    const page = async () => {
      expect(await bm25('--expansions', at('good.jsonl'), '--report', at('page.html')), printed.err).toBe(0);
      return readFileSync(at('page.html'), 'utf8');
    };
    expect(await page()).toContain('The expansions have no manifest');
    const settings = {
      prompt: { name: 'q2d', text: 'Write: {query}' },
      temperature: 1,
      topP: 0.9,
      topK: 0,
      maxTokens: 64,
      seed: 7,
    };
    const manifest = {
      stage: 'expansions',
      version: '1',
      key: 'k',
      settings: { ...settings, samples: 1 },
      about: { generator: 'big-llm' },
    };
    writeFileSync(at('good.manifest.json'), JSON.stringify(manifest));
    expect(await page()).toContain(
      'Expansions by big-llm, prompt q2d, 1 per query, temperature 1, top-p 0.9, at most 64 tokens, seed 7.',
    );
  });
});

describe('the default LLM', () => {
  it('causes a warning on other data than WordNet, with alternatives', async () => {
    const manifest = {
      stage: 'expansions',
      version: '1',
      key: 'k',
      settings: {},
      about: { generator: 'smollm2-135m-instruct' },
    };
    writeFileSync(at('good.manifest.json'), JSON.stringify(manifest));
    expect(await bm25('--expansions', at('good.jsonl'))).toBe(0);
    expect(printed.err).toMatch(
      /warning: the expansions are by the default LLM, .*--generator llama-3-8b-instruct-gguf/,
    );
  });
});

describe('--alphas', () => {
  it('chooses on the development queries if they have expansions, otherwise by cross-validation', async () => {
    expect(await dense('--expansions', at('good.jsonl'), '--alphas', '0,.5,1', '--json'), printed.err).toBe(0);
    expect(JSON.parse(printed.out).alpha).toMatchObject({ chosenBy: 'dev', value: expect.any(String) });
    printed.out = '';
    expect(await dense('--expansions', at('bad.jsonl'), '--alphas', '0,.5,1', '--json'), printed.err).toBe(0);
    expect(JSON.parse(printed.out).alpha.chosenBy).toBe('cross-validation');
    printed.out = '';
    const both = ['--expansions', at('bad.jsonl'), '--dev-expansions', at('good.jsonl')];
    expect(await dense(...both, '--alphas', '0,.5,1'), printed.err).toBe(0);
    expect(printed.out).toContain('it was chosen on the development queries');
  });

  it.each([
    ['without expansions', ['--alphas', '0,1'], /there are none/],
    ['for BM25', ['--retriever', 'bm25', '--expansions', 'good.jsonl', '--alphas', '0,1'], /bm25, which has no alpha/],
    [
      'beyond 1',
      ['--expansions', 'good.jsonl', '--alphas', '0,1.5'],
      /--alphas: expected comma-separated weights from 0 to 1/,
    ],
    ['of words', ['--expansions', 'good.jsonl', '--alphas', 'all'], /--alphas: expected comma-separated weights/],
    ['omitted with --dev-expansions', ['--dev-expansions', 'good.jsonl'], /--dev-expansions needs --alphas/],
  ])('is refused %s', async (_what, words, message) => {
    expect(await dense(...words.map((word) => (word.endsWith('.jsonl') ? at(word) : word)))).toBe(2);
    expect(printed.err).toMatch(message);
  });
});

it('all commands that draw at random have one default seed', async () => {
  const seeds = await Promise.all(
    ['compare', 'evaluate', 'expand', 'demo', 'try', 'data split', 'candidates'].map(async (name) => {
      const { CATALOGUE } = await import('../catalogue.ts');
      const { command } = await CATALOGUE[name]!();
      return (command.options.shape.seed as { parse(value: unknown): unknown }).parse(undefined);
    }),
  );
  expect(new Set(seeds)).toEqual(new Set([42]));
});
