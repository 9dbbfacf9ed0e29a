import { readdirSync, readFileSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';

const ENCODER = join(import.meta.dirname, '../../embed/goldens/tiny-encoder');

const numbers = Array.from({ length: 8 }, (_, index) => index);
const lines = (records: readonly unknown[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'train-retriever-command-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
  await mkdir(join(folder, 'beir', 'qrels'), { recursive: true });
  const text = (index: number) => `stone bridge ${index}`;
  await writeFile(
    join(folder, 'beir', 'corpus.jsonl'),
    lines(numbers.map((at) => ({ _id: `d${at}`, text: text(at) }))),
  );
  await writeFile(
    join(folder, 'beir', 'queries.jsonl'),
    lines(numbers.map((at) => ({ _id: `q${at}`, text: `query ${at}` }))),
  );
  const judgements = numbers.map((at) => `q${at}\td${at}\t1\n`);
  await writeFile(join(folder, 'beir', 'qrels', 'dev.tsv'), `query-id\tcorpus-id\tscore\n${judgements.join('')}`);
  const published = numbers.map((at) => ({
    query: `query ${at}`,
    pseudo_doc: `river ${at}`,
    pos: [text(at)],
    neg: ['x'],
  }));
  await writeFile(join(folder, 'rows.jsonl'), lines(published));
});
afterAll(() => {
  vi.unstubAllEnvs();
  return rm(folder, { recursive: true });
});

test('trains on published rows, and the folder is an encoder that evaluate searches with', async () => {
  const out = join(folder, 'run');
  const train = ['train', 'retriever', '--data', join(folder, 'rows.jsonl'), '--encoder', ENCODER, '--out', out];
  const few = ['--batch-size', '4', '--max-steps', '2', '--dev', join(folder, 'beir'), '--threads', '1', '--json'];
  const {
    code,
    out: printed,
    log,
  } = await llmQe(...train, ...few, '--method', 'distil', '--train', 'query', '--lora-r', '2');
  expect(log).not.toMatch(/error/i);
  expect(code).toBe(0);
  const document = JSON.parse(printed);
  const figure = { 'nDCG@10': expect.any(Number) };
  const loss = { first: expect.any(Number), last: expect.any(Number) };
  expect(document).toMatchObject({ steps: 2, model: out, loss, dev: { before: figure, best: figure } });
  expect([document.seconds > 0, document.peakBytes > 1e6]).toEqual([true, true]);
  const vectors = () => readdirSync(join(folder, 'home', 'vectors', 'v3')).filter((name) => !name.includes('.'));
  expect(vectors()).toHaveLength(1); // those of the encoder as it came
  const found = await llmQe(
    'evaluate',
    '--dataset',
    join(folder, 'beir'),
    '--split',
    'dev',
    '--encoder',
    out,
    '--json',
  );
  expect(found.code).toBe(0);
  expect(found.out).toContain(String(document.dev.best['nDCG@10']).slice(0, 8));
  expect(vectors()).toHaveLength(1);
});

test('evaluations during training leave nothing in the cache', async () => {
  const train = ['train', 'retriever', '--data', join(folder, 'rows.jsonl'), '--encoder', ENCODER];
  const few = ['--batch-size', '4', '--max-steps', '2', '--eval-steps', '1', '--threads', '1'];
  const { code } = await llmQe(...train, ...few, '--out', join(folder, 'tidy'), '--dev', join(folder, 'beir'));
  expect(code).toBe(0);
  const made = readdirSync(join(folder, 'home'), { recursive: true, encoding: 'utf8' });
  expect(made.filter((name) => /^vectors\/v\d+\/[^./]+$/.test(name))).toHaveLength(1);
  const notes = made.filter((name) => name.endsWith('.about')).map((name) => readFileSync(join(folder, 'home', name)));
  expect(notes.filter((note) => note.includes('.evaluated'))).toEqual([]);
});

test('an export does not overwrite its own rows', async () => {
  const out = join(folder, 'over');
  await mkdir(out);
  const own = join(out, 'train.jsonl');
  await copyFile(join(folder, 'rows.jsonl'), own);
  const words = ['--data', own, '--encoder', ENCODER, '--out', out, '--engine', 'tevatron', '--query-side', 'query'];
  const { code, log } = await llmQe('train', 'retriever', ...words);
  expect({ code, log }).toEqual({ code: 2, log: expect.stringMatching(/train.jsonl of --out would overwrite --data/) });
  expect(readFileSync(own)).toEqual(readFileSync(join(folder, 'rows.jsonl')));
});

test('judgements that changed since make another run', async () => {
  const dev = join(folder, 'changing');
  await cp(join(folder, 'beir'), dev, { recursive: true });
  const words = ['--data', join(folder, 'rows.jsonl'), '--encoder', ENCODER, '--out', join(folder, 'judged')];
  const train = () =>
    llmQe('train', 'retriever', ...words, '--max-steps', '1', '--batch-size', '4', '--dev', dev, '--threads', '1');
  expect((await train()).code).toBe(0);
  await writeFile(join(dev, 'qrels', 'dev.tsv'), 'query-id\tcorpus-id\tscore\nq1\td2\t1\n');
  expect(await train()).toMatchObject({ code: 2, log: expect.stringMatching(/evaluation.qrels: /) });
});

test('judged documents that the corpus lacks are told', async () => {
  const dev = join(folder, 'lacking');
  await cp(join(folder, 'beir'), dev, { recursive: true });
  await writeFile(join(dev, 'qrels', 'dev.tsv'), 'query-id\tcorpus-id\tscore\nq1\tgone\t1\nq2\td2\t1\n');
  const what = ['--data', join(folder, 'rows.jsonl'), '--encoder', ENCODER, '--out', join(folder, 'lacking-run')];
  const { code, log } = await llmQe('train', 'retriever', ...what, '--method', 'ridge', '--dev', dev, '--threads', '1');
  expect(log.match(/1 relevant document of split dev is not in the corpus \(such as "gone"\)/g)).toHaveLength(1);
  expect(code).toBe(0);
});

test('a row that occurs twice, and options of another engine, are refused', async () => {
  const file = join(folder, 'twice.jsonl');
  await writeFile(file, lines([1, 2].map((at) => ({ id: 'q', query: `query ${at}`, positive: 'stone' }))));
  const words = ['train', 'retriever', '--data', file, '--encoder', ENCODER, '--out', join(folder, 'twice')];
  const twice = await llmQe(...words, '--query-side', 'query');
  expect(twice).toMatchObject({ code: 1, log: expect.stringMatching(/twice.jsonl:2, id "q": this row occurs/) });
  const idle = await llmQe(...words, '--processes', '2');
  expect(idle).toMatchObject({ code: 2, log: expect.stringMatching(/--processes works only/) });
});

test('names the option that is wrong', async () => {
  const { code, log } = await llmQe(
    'train',
    'retriever',
    '--data',
    join(folder, 'rows.jsonl'),
    '--out',
    folder,
    '--query-side',
    'both',
  );
  expect(code).toBe(2);
  expect(log).toMatch(/query-side/);
});
