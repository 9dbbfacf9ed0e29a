import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { DataError } from '../../system/index.ts';
import { hashModule } from './module-hash.ts';

const folder = mkdtempSync(join(tmpdir(), 'llm-qe-module-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, source: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, source);
  return file;
}

describe('the hash of a module', () => {
  it.each([
    ['import', "import { weight } from './lib/weight.mjs';"],
    ['import of a whole file', 'import "./lib/weight.mjs";'],
    ['export from', "export * from './lib/weight.mjs';"],
    ['import()', "const { weight } = await import('./lib/weight.mjs');"],
    ['require', "const { weight } = require('./lib/weight.mjs');"],
    ['import over two lines', "import {\n  weight,\n} from\n  './lib/weight.mjs';"],
    ['a file address', `import ${JSON.stringify(pathToFileURL(join(folder, 'lib', 'weight.mjs')).href)};`],
  ])('follows %s, and what is imported there', async (_how, source) => {
    const file = write('mine.mjs', `${source}\nexport default () => [];\n`);
    write('lib/weight.mjs', "export { weight } from '../deep.mjs';\n");
    write('deep.mjs', 'export const weight = 1;\n');
    const before = await hashModule(file);
    expect(await hashModule(file)).toBe(before);
    write('deep.mjs', 'export const weight = 2;\n');
    expect(await hashModule(file)).not.toBe(before);
  });

  it('ends if modules import each other, and ignores packages and missing files', async () => {
    const file = write('a.mjs', "import './b.mjs';\nimport 'node:fs';\nimport 'zod';\n// from './gone.mjs'\n");
    write('b.mjs', "import './a.mjs';\n");
    await expect(hashModule(file)).resolves.toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not depend on the folder, and changes if two files swap places', async () => {
    const file = write('moved/one.mjs', "import './two.json';\n");
    write('moved/two.json', '{}');
    cpSync(join(folder, 'moved'), join(folder, 'elsewhere'), { recursive: true });
    expect(await hashModule(join(folder, 'elsewhere', 'one.mjs'))).toBe(await hashModule(file));
  });

  it('runs no code', async () => {
    const file = write('loud.mjs', "globalThis.moduleRan = true;\nthrow new Error('ran');\n");
    await hashModule(file);
    expect(globalThis).not.toHaveProperty('moduleRan');
    await expect(hashModule(join(folder, 'none.mjs'))).rejects.toBeInstanceOf(DataError);
  });
});
