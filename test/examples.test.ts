import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'examples-'));
  const lines = (records: object[]) => records.map((record) => `${JSON.stringify(record)}\n`).join('');
  mkdirSync(join(folder, 'data', 'qrels'), { recursive: true });
  const words = ['river', 'stone', 'lamp', 'saw', 'ship', 'sea'];
  const documents = words.map((word) => ({ _id: `d-${word}`, title: '', text: `a text of the ${word}` }));
  writeFileSync(join(folder, 'data', 'corpus.jsonl'), lines(documents));
  const queries = words.map((word) => ({ _id: `q-${word}`, text: word }));
  writeFileSync(join(folder, 'data', 'queries.jsonl'), lines(queries));
  const qrels = words.map((word) => `q-${word}\td-${word}\t1\n`).join('');
  writeFileSync(join(folder, 'data', 'qrels', 'dev.tsv'), `query-id\tcorpus-id\tscore\n${qrels}`);
  const expansions = words.map((word) => ({
    ...{ query: `q-${word}`, sample: 0, text: `a text of the ${word}`, finish: 'stop' },
    ...{ promptTokens: 1, completionTokens: 1, milliseconds: 0, key: 'k' },
  }));
  writeFileSync(join(folder, 'dev.jsonl'), lines(expansions));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What each example is given, and the last line that it prints. */
const EXAMPLES: Record<string, { args: () => string[]; last: RegExp }> = {
  'choose-alpha': {
    args: () => [join(folder, 'data'), join(folder, 'dev.jsonl'), resolve('src/embed/goldens/tiny-encoder')],
    last: /^best: 0(\.\d)?$/,
  },
  'score-own-run': { args: () => [], last: /^mine - theirs: 0\.1845, p = / },
};

describe('each example runs', () => {
  it('and each is listed here', () => {
    const files = readdirSync('examples').filter((name) => name.endsWith('.ts'));
    expect(files.map((name) => name.replace(/\.ts$/, ''))).toEqual(Object.keys(EXAMPLES));
  });

  it.each(Object.keys(EXAMPLES))('%s', async (name) => {
    const { args, last } = EXAMPLES[name]!;
    const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
    vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
    const { argv } = process;
    process.argv = [...argv.slice(0, 2), ...args()];
    try {
      await import(`../examples/${name}.ts`);
      expect(printed.mock.lastCall?.[0]).toMatch(last);
    } finally {
      process.argv = argv;
      vi.unstubAllEnvs();
      vi.restoreAllMocks();
    }
  });

  it('under `npm run example`, which hands the arguments on as they stand', () => {
    const script: string = JSON.parse(readFileSync('package.json', 'utf8')).scripts.example;
    const run = script.slice(script.lastIndexOf('node -e'));
    mkdirSync(join(folder, 'build', 'examples'), { recursive: true });
    writeFileSync(join(folder, 'build', 'examples', 'show.js'), 'console.log(JSON.stringify(process.argv.slice(2)))');
    const printed = execFileSync('sh', ['-c', `${run} show "one two" three`], { cwd: folder, encoding: 'utf8' });
    expect(JSON.parse(printed)).toEqual(['one two', 'three']);
  });
});
