import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { ChatServer, completion } from '../../../test/support/chat-server.ts';
import { runCommandLine } from '../run.ts';

const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const QUERIES = 30;

let folder: string;
let printed: CapturedOutput;
let server: ChatServer;

const at = (name: string) => join(folder, name);
const put = (name: string, lines: readonly unknown[]) =>
  writeFileSync(
    at(name),
    `${lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')}\n`,
  );
const ids = (from: number, count: number) => Array.from({ length: count }, (_, row) => from + row);
const judge = (rows: readonly number[]) => ['query-id\tcorpus-id\tscore', ...rows.map((row) => `q${row}\td${row}\t1`)];

/** Each query asks for a word that its document lacks; the LLM knows the word that it has. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-try-'));
  printed = captureOutput();
  vi.stubEnv('LLM_QE_HOME', at('home'));
  server = await ChatServer.start((call) => {
    const [, number] = /riddle(\d+)x/.exec(call.messages.at(-1)!.content)!;
    const body = completion(call);
    for (const { message } of body.choices) message.content = `the answer${number}x`;
    return { status: 200, body };
  });
  const all = ids(0, 2 * QUERIES);
  put(
    'docs.jsonl',
    all.map((row) => ({ _id: `d${row}`, title: '', text: `the answer${row}x` })),
  );
  put(
    'asked.jsonl',
    all.map((row) => ({ _id: `q${row}`, text: `riddle${row}x` })),
  );
  put('judged.tsv', judge(ids(0, QUERIES)));
  put('dev.tsv', judge(ids(QUERIES, QUERIES)));
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const files = () => ['--corpus', at('docs.jsonl'), '--queries', at('asked.jsonl'), '--qrels', at('judged.tsv')];
const run = (...more: string[]) =>
  runCommandLine([
    'try',
    '--generator',
    server.baseUrl,
    '--encoder',
    ENCODER,
    '--threads',
    '1',
    '--out',
    at('out'),
    ...more,
  ]);

describe('try', () => {
  it('answers with a verdict, milliseconds, tokens and a report', async () => {
    expect(await run(...files()), printed.err).toBe(0);
    expect(printed.out).toMatch(
      /BM25 \+ expansion against BM25: helped 30 queries, hurt 0 of 30: a real gain|against .*: .* of 30: /,
    );
    expect(printed.out).toMatch(/BM25 \+ expansion against BM25 .*30 \/ 0 \/ 0 .*a real gain/);
    expect(printed.out).toMatch(/cost per query: the LLM wrote 5 tokens .* ms without and .* ms with the expansion/);
    expect(printed.out).toContain('chosen by cross-validation');
    expect(printed.out).toMatch(/^advice: /m);
    const page = readFileSync(at('out/report.html'), 'utf8');
    expect(page).toContain('Does expansion help on docs?');
    expect(page).toContain('class="verdict');
    expect(readdirSync(at('out/runs')).sort()).toEqual([
      'bm25-expansion.run',
      'bm25.run',
      'dense-expansion.run',
      'dense.run',
      'rrf-expansion.run',
      'rrf.run',
    ]);
  });

  it('says once that documents are cut, on the screen and in the report', async () => {
    expect(await run(...files(), '--max-length', '4'), printed.err).toBe(0);
    const words = 'are longer than 4 tokens: the rest of their text is not searched';
    expect(printed.out.split(words)).toHaveLength(2);
    expect(readFileSync(at('out/report.html'), 'utf8').split(words)).toHaveLength(2);
  });

  it('repeats no LLM call, and gives the same results again', async () => {
    const documents: Record<string, unknown>[] = [];
    for (let time = 0; time < 2; time++) {
      printed.out = '';
      expect(await run(...files(), '--retriever', 'bm25', '--json'), printed.err).toBe(0);
      documents.push(JSON.parse(printed.out));
    }
    expect(server.calls).toHaveLength(QUERIES);
    expect(documents[1]!.comparisons).toEqual(documents[0]!.comparisons);
    expect(documents[0]).toMatchObject({ queries: QUERIES, documents: 2 * QUERIES, verdict: { kind: 'gain' } });
  });

  it('chooses alpha on development queries if there are some', async () => {
    expect(await run(...files(), '--dev-qrels', at('dev.tsv'), '--retriever', 'dense', '--json'), printed.err).toBe(0);
    expect(JSON.parse(printed.out).alphas.dense.chosenBy).toBe('dev');
    expect(server.calls).toHaveLength(2 * QUERIES);
  });

  it("takes a folder in BEIR's layout, and a sample of its queries", async () => {
    mkdirSync(at('set/qrels'), { recursive: true });
    for (const [from, to] of [
      ['docs.jsonl', 'corpus.jsonl'],
      ['asked.jsonl', 'queries.jsonl'],
      ['judged.tsv', 'qrels/test.tsv'],
    ])
      writeFileSync(at(`set/${to}`), readFileSync(at(from!)));
    expect(await run('--dataset', at('set'), '--limit', '5', '--retriever', 'bm25', '--json'), printed.err).toBe(0);
    expect(JSON.parse(printed.out)).toMatchObject({ queries: 5, verdict: { kind: 'few' } });
    expect(server.calls).toHaveLength(5);
  });

  it.each([
    ['no data', [], /no data given/],
    ['two of three files', ['--corpus', 'docs.jsonl', '--queries', 'asked.jsonl'], /no data given/],
    ['data named twice', ['--dataset', '.', '--corpus', 'docs.jsonl'], /--dataset and --corpus cannot be combined/],
    [
      'a weight beyond 1',
      ['--dataset', '.', '--alphas', '0,2'],
      /--alphas: expected comma-separated weights from 0 to 1/,
    ],
    ['a measure that is none', ['--dataset', '.', '--measure', 'speed'], /--measure/],
    ['a limit of one query', ['--dataset', '.', '--limit', '1'], /--limit/],
  ])('refuses %s as wrong use', async (_what, words, message) => {
    expect(await run(...words.map((word) => (word.endsWith('.jsonl') ? at(word) : word)))).toBe(2);
    expect(printed.err).toMatch(message);
    expect(existsSync(at('out'))).toBe(false);
  });

  it('refuses a file that is not there', async () => {
    expect(await run('--corpus', at('docs.jsonl'), '--queries', at('asked.jsonl'), '--qrels', at('nothing.tsv'))).toBe(
      1,
    );
    expect(printed.err).toMatch(/nothing\.tsv.*no such file|no such file.*nothing\.tsv/);
  });

  it('never overwrites your files next to the report', async () => {
    mkdirSync(at('out'));
    writeFileSync(at('out/report.json'), '{"mine": true}');
    expect(await run(...files(), '--retriever', 'bm25')).toBe(2);
    expect(printed.err).toMatch(/report\.json.*not the JSON of a report/);
    expect(server.calls).toHaveLength(0);
  });
});
