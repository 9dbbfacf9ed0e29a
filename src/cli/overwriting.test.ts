import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { captureOutput } from '../../test/support/captured-output.ts';
import { CATALOGUE } from './catalogue.ts';
import { runCommandLine } from './run.ts';

const printed = captureOutput();
let folder: string;
const at = (name: string) => join(folder, name);

beforeEach(() => {
  Object.assign(printed, { out: '', err: '' });
  folder = mkdtempSync(join(tmpdir(), 'overwriting-'));
  mkdirSync(at('data/qrels'), { recursive: true });
  mkdirSync(at('adapter'));
  mkdirSync(at('encoder/1_Pooling'), { recursive: true });
  for (const name of FILES) writeFileSync(at(name), `what ${name} holds\n`);
  symlinkSync('data', at('other'));
  symlinkSync('data/corpus.jsonl', at('link.jsonl'));
  symlinkSync('link.jsonl', at('link-to-link.jsonl'));
  linkSync(at('data/corpus.jsonl'), at('second-name.jsonl'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const FILES = [
  ...['data/corpus.jsonl', 'data/queries.jsonl', 'data/qrels/test.tsv', 'data/expansions.jsonl', 'prompt.txt'],
  ...['data/candidates.jsonl', 'data/candidates.manifest.json', 'data/rewards.jsonl', 'data/answers.jsonl'],
  ...['triples.jsonl', 'adapter/adapter_config.json', 'adapter/adapter_model.safetensors', 'model.gguf', 'pairs.jsonl'],
  ...['base.safetensors', 'report.json', 'encoder/model.safetensors', 'encoder/1_Pooling/config.json'],
  ...['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf'],
];
const EVALUATE = ['evaluate', '--dataset', 'data', '--retriever', 'bm25'];
const EXPAND = ['expand', '--dataset', 'data', '--generator', 'http://127.0.0.1:1/v1', '--model', 'm'];
const PAIRS = ['pairs', '--dataset', 'data', '--task', 'q2d'];
const SOURCE = ['--dataset', 'data', '--generator', 'http://127.0.0.1:1/v1', '--model', 'm'];

describe('an output onto an input or another output', () => {
  it.each(
    [
      [...EVALUATE, '--expansions', 'data/expansions.jsonl', '--run-out', 'data/expansions.jsonl'],
      [...EVALUATE, '--expansions', 'data/expansions.jsonl', '--report', 'data/expansions.jsonl'],
      [...EVALUATE, '--expansions', 'report.json', '--report', 'report.html'],
      [...EVALUATE, '--queries', 'data/queries.jsonl', '--report', 'data/queries.jsonl'],
      [...EVALUATE, '--run-out', 'new.html', '--report', 'new.html'],
      [...EVALUATE, '--run-out', 'new.json', '--report', './data/../new.html'],
      [...EVALUATE, '--run-out', 'data/corpus.jsonl'],
      [...EVALUATE, '--run-out', 'data/../data/corpus.jsonl'],
      [...EVALUATE, '--run-out', 'other/corpus.jsonl'],
      [...EVALUATE, '--run-out', 'link.jsonl'],
      [...EVALUATE, '--run-out', 'link-to-link.jsonl'],
      [...EVALUATE, '--run-out', 'second-name.jsonl'],
      [...EVALUATE, '--run-out', 'data/qrels/test.tsv'],
      [...EVALUATE, '--run-out', 'other/qrels/new.tsv'],
      [...EVALUATE, '--run-out', 'data'],
      [...EXPAND, '--prompt', 'prompt.txt', '--out', 'prompt.txt'],
      [...EXPAND, '--out', 'data/queries.jsonl'],
      [...EXPAND, '--queries', 'data/queries_q2d.jsonl', '--out', 'data/expansions.jsonl'],
      [...EXPAND, '--out', 'data/queries_q2d.jsonl'],
      ['candidates', ...SOURCE, '--prompt', 'prompt.txt', '--out', 'prompt.txt'],
      ['candidates', ...SOURCE, '--out', 'data/corpus.jsonl'],
      ['candidates', '--triples', 'triples.jsonl', ...SOURCE.slice(2), '--out', 'triples.jsonl'],
      ['answers', '--triples', 'triples.jsonl', ...SOURCE.slice(2), '--out', './triples.jsonl'],
      ['reward', '--dataset', 'data', '--candidates', 'data/candidates.jsonl', '--out', 'data/candidates.jsonl'],
      ['reward', '--dataset', 'data', '--out', 'data/candidates.manifest.json'],
      ['reward', '--dataset', 'data', '--answers', 'data/answers.jsonl', '--out', 'other/answers.jsonl'],
      [...PAIRS, '--report', 'data/rewards.jsonl'],
      [...PAIRS, '--audit', 'data/candidates.jsonl'],
      [...PAIRS, '--out', 'x.jsonl', '--dev-out', 'x.jsonl'],
      [...PAIRS, '--report', 'data/audit.json'],
      [...PAIRS, '--prompt', 'prompt.txt', '--out', 'prompt.txt'],
      [...EXPAND.slice(0, 3), '--generator', 'model.gguf', '--out', 'model.gguf'],
      [...EXPAND.slice(0, 3), '--generator', 'x-00001-of-00002.gguf', '--out', 'x-00002-of-00002.gguf'],
      [...EXPAND, '--adapter', 'adapter', '--out', 'adapter/adapter_config.json'],
      ['candidates', '--dataset', 'data', '--generator', 'model.gguf', '--out', 'model.gguf'],
      ['answers', '--dataset', 'data', '--generator', 'model.gguf', '--out', 'model.gguf'],
      [...EVALUATE, '--encoder', 'encoder', '--run-out', 'encoder/model.safetensors'],
      [...EVALUATE, '--encoder', 'encoder', '--report', 'encoder/1_Pooling/config.json'],
      ['reward', '--dataset', 'data', '--encoder', 'encoder', '--out', 'encoder/model.safetensors'],
      ['models', 'merge', '--base', 'model.gguf', '--adapter', 'adapter', '--out', 'adapter'],
      ['models', 'export', '--base', 'model.gguf', '--to', 'gguf', '--out', 'model.gguf'],
      ['models', 'export', '--base', 'model.gguf', '--adapter', 'adapter', '--to', 'peft', '--out', 'adapter'],
      [
        'models',
        'export',
        '--base',
        'model.gguf',
        '--adapter',
        'adapter',
        '--to',
        'gguf-adapter',
        '--out',
        'adapter/adapter_model.safetensors',
      ],
      ['train', 'generator', '--pairs', 'metrics.jsonl', '--out', '.'],
      ['train', 'retriever', '--data', 'pairs.jsonl', '--encoder', 'encoder', '--out', './encoder'],
    ].map((words) => [words.join(' '), words] as const),
  )('%s', async (_, words) => {
    if (words.includes('data/queries_q2d.jsonl')) writeFileSync(at('data/queries_q2d.jsonl'), '');
    if (words.includes('metrics.jsonl')) writeFileSync(at('metrics.jsonl'), '');
    const before = process.cwd();
    process.chdir(folder);
    try {
      expect(await runCommandLine(words)).toBe(2);
    } finally {
      process.chdir(before);
    }
    expect(printed.err).toMatch(/would overwrite|would write into|would replace|is a folder/);
    for (const name of FILES) expect(readFileSync(at(name), 'utf8')).toBe(`what ${name} holds\n`);
  });
});

describe('an output that cannot be written is refused before any work', () => {
  const OUT = 'prompt.txt/out';
  it.each(
    [
      [...EVALUATE, '--run-out', OUT],
      [...EVALUATE, '--report', OUT],
      [...EVALUATE, '--report', 'prompt.txt/a/b/report.html'],
      [...EVALUATE, '--run-out', `${'x'.repeat(300)}.trec`],
      [...EXPAND, '--out', OUT],
      ['candidates', ...SOURCE, '--out', OUT],
      ['answers', ...SOURCE, '--out', OUT],
      ['reward', '--dataset', 'data', '--out', OUT],
      [...PAIRS, '--report', OUT],
      [...PAIRS, '--audit', OUT],
      ['models', 'merge', '--base', 'model.gguf', '--adapter', 'adapter', '--out', OUT],
      ['models', 'export', '--base', 'model.gguf', '--to', 'gguf', '--out', OUT],
      ['train', 'generator', '--pairs', 'pairs.jsonl', '--out', OUT],
      ['train', 'retriever', '--data', 'pairs.jsonl', '--out', OUT],
      ['try', '--dataset', 'data', '--generator', 'm', '--out', OUT],
      ['align', 'smoke', '--out', OUT],
      ['demo', '--fast', '--out', OUT],
      ['data', 'wordnet', '--out', OUT],
      ['data', 'beir', 'scifact', '--out', OUT],
      ['data', 'merge', 'data', '--out', OUT],
      ['data', 'split', 'pairs.jsonl', '--out', OUT],
    ].map((words) => [words.join(' '), words] as const),
  )('%s', async (_, words) => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      expect(await runCommandLine(words)).toBeGreaterThan(0);
    } finally {
      process.chdir(before);
    }
    expect(printed.err).toMatch(/prompt\.txt is a file, not a folder|the name is longer than/);
    for (const name of FILES) expect(readFileSync(at(name), 'utf8')).toBe(`what ${name} holds\n`);
  });
});

it('every command that writes files declares which files it reads and writes', async () => {
  const silent: string[] = [];
  for (const [name, load] of Object.entries(CATALOGUE)) {
    const { command } = await load();
    const writes = Object.keys(command.options.shape).some((key) => /^(out|runOut|report|audit)$/.test(key));
    if (writes && command.files === undefined) silent.push(name);
  }
  // These write into a folder of their own, or check in the library, where their inputs are known.
  expect(silent).toEqual([
    'demo',
    'align',
    'benchmark',
    'parity',
    'data wordnet',
    'data beir',
    'data merge',
    'data split',
  ]);
});

it('an output with another name in the folder of an input is allowed', async () => {
  rmSync(at('data/corpus.jsonl'));
  writeFileSync(at('data/corpus.jsonl'), '{"_id":"d","text":"light of a house"}\n');
  writeFileSync(at('data/queries.jsonl'), '{"_id":"q","text":"light"}\n');
  writeFileSync(at('data/qrels/test.tsv'), 'query-id\tcorpus-id\tscore\nq\td\t1\n');
  symlinkSync('real-run.trec', at('run.trec'));
  process.env.LLM_QE_HOME = at('home');
  const words = ['evaluate', '--dataset', at('data'), '--retriever', 'bm25', '--run-out', at('run.trec')];
  expect(await runCommandLine(words)).toBe(0);
  expect(readdirSync(folder)).toContain('real-run.trec');
  expect(statSync(at('run.trec')).size).toBeGreaterThan(0);
  expect(await runCommandLine([...words.slice(0, -1), '/dev/full'])).toBe(1);
  expect(printed.err).toContain('/dev/full: the disk is full');
  expect(statSync('/dev/full').isCharacterDevice()).toBe(true);
  delete process.env.LLM_QE_HOME;
});
