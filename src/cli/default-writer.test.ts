import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../test/support/captured-output.ts';
import { runCommandLine } from './run.ts';

let folder: string;
let printed: CapturedOutput;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-writer-'));
  printed = captureOutput();
  vi.stubEnv('LLM_QE_HOME', join(folder, 'empty-store'));
  vi.stubEnv('HF_HOME', join(folder, 'empty-hub'));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A data set of one query in a folder of this name. */
function datasetNamed(name: string): string {
  const dataset = join(folder, name);
  mkdirSync(join(dataset, 'qrels'), { recursive: true });
  writeFileSync(join(dataset, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
  writeFileSync(join(dataset, 'queries.jsonl'), '{"_id":"q","text":"what is x?"}\n');
  writeFileSync(join(dataset, 'qrels', 'test.tsv'), 'query-id\tcorpus-id\tscore\nq\td\t1\n');
  return dataset;
}

/** Without models and without a connection, `expand` gets as far as its warning. */
const expand = (name: string, ...more: string[]) =>
  runCommandLine(['expand', '--dataset', datasetNamed(name), '--offline', ...more]);
const WARNING = /warning: the expansions are by the default LLM, .*--generator llama-3-8b-instruct-gguf/;

describe('expand with the default LLM', () => {
  it('warns on a corpus that is not the demo data', async () => {
    expect(await expand('docs')).toBe(1);
    expect(printed.err).toMatch(WARNING);
  });

  it.each([
    ['the data of the demo', 'wordnet', []],
    ['a WordNet data set of another name', 'my-WordNet', []],
    ['another LLM', 'docs', ['--generator', 'llama-3-8b-instruct-gguf']],
    ['an adapter', 'docs', ['--adapter', 'runs/dpo/adapter']],
  ] as const)('does not warn with %s', async (_what, name, more) => {
    expect(await expand(name, ...more)).toBe(1);
    expect(printed.err).not.toContain('default LLM');
  });
});

describe('benchmark with the default LLM', () => {
  /** Two systems over sets in folders of these names; without models, each fails at its first text. */
  const benchmark = (...sets: string[]) => {
    for (const name of sets) datasetNamed(name);
    const file = join(folder, 'suite.yaml');
    writeFileSync(file, `sets:\n${sets.map((name) => `  ${name}: { dir: ${name} }\n`).join('')}`);
    const systems = ['raw=bm25', 'q2d=bm25,task=q2d', 'mugi=bm25,strategy=mugi'].flatMap((one) => ['--system', one]);
    return runCommandLine(['benchmark', file, ...systems, '--offline', '--out', join(folder, 'out')]);
  };

  it('warns once, not for each set and system', async () => {
    expect(await benchmark('docs', 'other')).toBe(1);
    for (const set of ['docs', 'other']) expect(printed.err).toContain(`${set}, mugi: `);
    expect(printed.err.split('by the default LLM')).toHaveLength(2);
  });

  it('does not warn with the data of the demo', async () => {
    expect(await benchmark('wordnet')).toBe(1);
    expect(printed.err).toContain('wordnet, mugi: ');
    expect(printed.err).not.toContain('default LLM');
  });
});
