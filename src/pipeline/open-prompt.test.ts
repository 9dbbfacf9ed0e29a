import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROMPTS } from '../generate/index.ts';
import { openPrompt } from './run/alignment-inputs.ts';

test('a recipe names a published prompt or a file, or holds the prompt itself', async () => {
  expect(await openPrompt('q2d')).toBe(PROMPTS.q2d);
  const folder = await mkdtemp(join(tmpdir(), 'llm-qe-prompt-'));
  await writeFile(join(folder, 'mine.txt'), 'Define {query}');
  expect((await openPrompt(join(folder, 'mine.txt'))).text).toBe('Define {query}');
  await rm(folder, { recursive: true });
  const held = await openPrompt('Question: {query}\nDefinition:\n');
  expect(held.messages({ id: 'q1', query: 'What is a hacksaw?' })[0]!.content).toBe(
    'Question: What is a hacksaw?\nDefinition:',
  );
  await expect(openPrompt('nowhere.txt')).rejects.toThrow(/nowhere\.txt/);
});
