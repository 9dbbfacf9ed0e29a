import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { formatWithOptions } from 'node:util';
import { expect, test, vi } from 'vitest';

// docs/extending.md holds a program, what it prints, and quotations of the source.

const page = await readFile('docs/extending.md', 'utf8');
const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
const quotations = blocks.filter((block) => block.startsWith('// src/'));
const program = blocks.filter((block) => !quotations.includes(block)).join('');

test('quotations are in the source', async () => {
  expect(quotations.length).toBeGreaterThan(0);
  for (const quotation of quotations) {
    const [head, ...rest] = quotation.split('\n');
    expect(await readFile(head!.slice('// '.length), 'utf8')).toContain(rest.join('\n'));
  }
});

test('the program prints what its comments say', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llm-qe-extending-page-'));
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  const printed: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((...values) => {
    printed.push(formatWithOptions({ colors: false }, ...values));
  });
  try {
    const file = join(folder, 'page.mjs');
    const source = pathToFileURL(resolve('dist')).href;
    const zod = pathToFileURL(resolve('node_modules/zod/index.js')).href;
    const imports = program.replaceAll(/'\.\.\/src\/(.*)\.ts'/g, `'${source}/$1.js'`).replaceAll("'zod'", `'${zod}'`);
    await writeFile(file, imports);
    await import(pathToFileURL(file).href);
  } finally {
    log.mockRestore();
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  }
  const expected = [...program.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map((match) => match[1]!);
  expect(expected.length).toBeGreaterThan(5);
  expect(printed).toEqual(expected);
});
