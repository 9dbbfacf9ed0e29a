import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError, UsageError } from '../system/index.ts';
import { cutOpening, PROMPTS, PromptTemplate, readPrompt, TASKS } from './prompts.ts';

describe('PROMPTS', () => {
  it('holds the published q2d prompt exactly', () => {
    expect(PROMPTS.q2d.messages({ id: '1', query: 'why?' })).toEqual([
      { role: 'user', content: 'Please write a passage to answer the question.\nQuestion: why?\nPassage:' },
    ]);
  });

  it('needs a document only in q2a', () => {
    expect(TASKS.filter((task) => PROMPTS[task].needsDocument)).toEqual(['q2a']);
    expect(() => PROMPTS.q2a.messages({ id: 'q7', query: 'x' })).toThrow(DataError);
    const [message] = PROMPTS.q2a.messages({ id: 'q7', query: 'Q', document: 'D' });
    expect(message!.content.endsWith('\nQuery: Q\nRelated Document: D\nAnswer:')).toBe(true);
  });
});

describe('PromptTemplate', () => {
  it('inserts query and document literally', () => {
    const prompt = new PromptTemplate('x', '{query}|{document}');
    const [message] = prompt.messages({ id: '1', query: "$& $1 $' {document} {query}", document: '{query}' });
    expect(message!.content).toBe("$& $1 $' {document} {query}|{query}");
  });

  it('refuses an unknown placeholder and a missing {query}', () => {
    expect(() => new PromptTemplate('x', '{query} {contxt}')).toThrow(/\{contxt\}/);
    expect(() => new PromptTemplate('x', 'no place')).toThrow(UsageError);
  });

  it('leaves other braces unchanged', () => {
    const [message] = new PromptTemplate('x', '{"a": {}} {query}').messages({ id: '1', query: 'q' });
    expect(message!.content).toBe('{"a": {}} q');
  });
});

describe('readPrompt', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'prompt-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('names the prompt after the file and drops the final line break', async () => {
    const file = join(folder, 'my prompt.txt');
    await writeFile(file, 'Explain:\n{query}\n');
    const prompt = await readPrompt(file);
    expect(prompt).toMatchObject({ name: 'my-prompt', text: 'Explain:\n{query}' });
  });

  it('names a missing or broken file in the error', async () => {
    await expect(readPrompt(join(folder, 'none.txt'))).rejects.toThrow(/none\.txt/);
    const file = join(folder, 'bad.txt');
    await writeFile(file, '{quary}');
    await expect(readPrompt(file)).rejects.toThrow(/bad\.txt.*\{quary\}/);
  });
});

describe('cutOpening', () => {
  it.each([
    'Here is a passage to answer the question:',
    "Here's a passage that answers the question:",
    'Here is a passage answering the question:',
    'Here is a passage that attempts to answer the question:',
    'Here is a passage to answer your question:',
    "Here's a possible passage:",
    'Here is a potential passage:',
    'Here is a passage:',
    'Here is the passage:',
    'Here’s a possible passage that answers your question:',
    'Sure, I can help! Here is a passage to answer the question:',
  ])('cuts %j', (opening) => {
    expect(cutOpening(`${opening}\n\nA lagoon is shallow water.`)).toBe('A lagoon is shallow water.');
  });

  it.each([
    'Here is a passage of the river: it is narrow.',
    'Here is the answer: 42',
    'A passage: one page.',
    'Where is a passage:',
  ])('leaves %j', (text) => {
    expect(cutOpening(text)).toBe(text);
  });

  it('cuts at the first opening only', () => {
    const text = 'Here is a passage: one. Here is a passage: two.';
    expect(cutOpening(text)).toBe('one. Here is a passage: two.');
  });

  it('trims, and may leave an empty text', () => {
    expect(cutOpening('\n  a text \n')).toBe('a text');
    expect(cutOpening("Here's a passage:  \n")).toBe('');
  });
});
