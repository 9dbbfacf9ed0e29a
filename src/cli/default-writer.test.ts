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
