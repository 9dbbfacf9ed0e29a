import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

/** `llm-qe align smoke` on the default models, as a program uses it: every stage, then the JSON document. */
const folder = mkdtempSync(join(tmpdir(), 'llm-qe-smoke-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function alignSmoke(...words: string[]): Promise<{ stdout: string; stderr: string }> {
  return new Promise((done, fail) => {
    const program = resolve('dist', 'cli', 'main.js');
    const all = [program, 'align', 'smoke', '--out', folder, '--json', ...words];
    execFile(process.execPath, all, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error === null) done({ stdout, stderr });
      else fail(new Error(stderr));
    });
  });
}

const ARMS = ['raw', 'zeroShot', 'sft', 'aligned', 'retriever', 'retriever+aligned', 'student'];
const MEASURES = ['nDCG@10', 'Recall@100', 'MRR@10', 'MAP@100'];

describe('the smoke recipe', { timeout: 1_800_000 }, () => {
  it('runs all stages and ends with arms, tests, controls and judges as JSON', async () => {
    const { stdout } = await alignSmoke();
    const { arms, tests, controls, judges, alpha, seconds, report, manifest } = JSON.parse(stdout);
    expect(Object.keys(arms)).toEqual(ARMS);
    for (const arm of Object.values<Record<string, number>>(arms)) {
      for (const measure of MEASURES) expect(arm[measure]).toBeGreaterThan(0);
    }
    expect(Object.keys(tests)).toEqual([
      ...['aligned-zeroShot', 'aligned-raw', 'aligned-sft', 'sft-zeroShot'],
      ...['retriever+aligned-aligned', 'retriever+aligned-retriever', 'retriever-raw'],
      ...['student-retriever', 'student-raw'],
    ]);
    for (const { delta, randomization, holm, helped, hurt, unchanged } of Object.values<Record<string, number>>(
      tests,
    )) {
      expect(Math.abs(delta!)).toBeLessThan(1);
      expect(holm!).toBeGreaterThanOrEqual(randomization!);
      expect(helped! + hurt! + unchanged!).toBe(16);
    }
    expect(tests['aligned-raw'].delta).toBeCloseTo(arms.aligned['nDCG@10'] - arms.raw['nDCG@10'], 9);
    expect(Object.keys(alpha)).toEqual(['zeroShot', 'sft', 'aligned', 'retriever+aligned']);
    expect(Object.keys(controls.arms)).toHaveLength(6);
    expect(Object.keys(judges)).toEqual(['bm25']);
    expect(Object.keys(seconds)).toHaveLength(13);
    expect(readFileSync(report, 'utf8')).toContain('What alignment did');
    expect(JSON.parse(readFileSync(manifest, 'utf8')).recipe.name).toBe('smoke');
  });

  it('learns: the adapter prefers chosen answers more than the base', () => {
    const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    const dpo = manifest.stages.find(({ stage }: { stage: string }) => stage === 'dpo');
    const lines = readFileSync(join(folder, dpo.folder, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const losses = lines.map((line) => JSON.parse(line)).filter(({ split }) => split === 'train');
    expect(losses[0].values.loss).toBeCloseTo(Math.log(2), 4);
    expect(losses.at(-1).values.loss).toBeLessThan(Math.log(2));
  });

  it('repeats nothing', async () => {
    const before = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    const { stdout, stderr } = await alignSmoke();
    expect(stderr.match(/already done/g)).toHaveLength(13);
    const after = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    expect(after).toEqual(before);
    expect(Object.keys(JSON.parse(stdout).arms)).toEqual(ARMS);
  });
});
