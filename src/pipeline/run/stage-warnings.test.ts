import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { StageWarnings } from './stage-warnings.ts';

it('warnings outlive an interruption, each once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'llm-qe-warnings-'));
  try {
    const first = await StageWarnings.open(folder);
    first.add('the margin falls');
    first.add('two\n  lines');
    const second = await StageWarnings.open(folder);
    second.add('the margin falls');
    second.add('the loss rises');
    expect(second.lines).toEqual(['the margin falls', 'two lines', 'the loss rises']);
    expect((await StageWarnings.open(folder)).lines).toEqual(second.lines);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
