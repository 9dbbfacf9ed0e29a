import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CapturedOutput, captureOutput } from '../../../test/support/captured-output.ts';
import { runCommandLine } from '../run.ts';
// Loaded beforehand, so that no test waits for it.
import './align.ts';
import './demo.ts';

let folder: string;
let printed: CapturedOutput;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-align-command-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.stubEnv('HF_HOME', join(folder, 'hub'));
  printed = captureOutput();
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** Runs a command line; gives its exit code. */
function run(...words: string[]): Promise<number> {
  printed.out = '';
  printed.err = '';
  return runCommandLine(words);
}

describe('llm-qe align --plan', () => {
  const plan = (...words: string[]) => run('align', 'paper', '--plan', '--set', `data.folder=${folder}`, ...words);

  it('prints inputs, estimates and what is unknown, and exits with 1 if an input is missing', async () => {
    expect(await plan()).toBe(1);
    expect(printed.out).toMatch(/^missing {3}data set \(beir\): /m);
    expect(printed.out).toMatch(/^to download {2}generator llama-3-8b-instruct: /m);
    expect(printed.out).toContain('16.1 GB');
    expect(printed.out).toMatch(/not included, because unknown: retriever-data, expand-zeroShot/);
    expect(printed.out).toContain('600 (stated by the recipe) by the embedded runtime');
    expect(printed.err).toContain('missing: data set (beir)');
  });

  it('exits with 2 if a setting is bad', async () => {
    expect(await plan('--set', 'evaluation.measure=nDGC@10')).toBe(2);
    expect(printed.out).toMatch(/^bad {7}evaluation\.measure: there is no measure "nDGC@10"\. Use one of/m);
    expect(printed.err).toContain('bad: evaluation.measure');
  });

  it('lets another LLM write the answers', async () => {
    await plan('--answer-generator', 'smollm2-135m-instruct');
    expect(printed.out).toMatch(/^to download {2}generator smollm2-135m-instruct: /m);
    await plan('--answer-generator', 'http://127.0.0.1:9', '--answer-generator', 'http://127.0.0.1:10', '--json');
    const { stages } = JSON.parse(printed.out);
    const { tokens, seconds } = stages.find(({ stage }: { stage: string }) => stage === 'answers');
    expect(tokens / seconds).toBeCloseTo(2500, 6);
    expect(await plan('--answer-generator', 'http://127.0.0.1:9', '--answer-generator', 'a.gguf')).toBe(2);
    expect(printed.err).toContain('several answer generators must all be servers');
  });
});

describe('llm-qe demo', () => {
  it.each([
    [['--align', '--alpha', '0.3'], /--alpha does not work with --align.*\n.*evaluation\.alphas=\[0\.3\]/],
    [['--align', '--adapter', 'runs/dpo/adapter'], /--adapter does not work with --align/],
    [['--align', '--max-tokens', '48'], /--max-tokens does not work with --align/],
    [['--answer-generator', 'smollm2-135m-instruct'], /--answer-generator works only with --align/],
  ])('refuses options without effect: %j', async (words, message) => {
    expect(await run('demo', ...words, '--out', join(folder, 'run'))).toBe(2);
    expect(printed.err).toMatch(message);
  });
});
