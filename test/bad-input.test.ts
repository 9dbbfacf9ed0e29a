import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../src/cli/run.ts';
import { type Case, dataCases, SCORE, wrongUseCases } from './support/bad-data-cases.ts';
import { modelCases, networkCases } from './support/bad-model-cases.ts';
import { ChatServer } from './support/chat-server.ts';
import { type LocalServer, serveBytes, startServer } from './support/local-server.ts';

/**
 * Bad input through the front door: each case is a command and what lies on the disk. It must fail with a typed error
 * (two lines: what and where, then what to do), never with a stack trace, and leave every file as it was.
 */
const SET = {
  'set/corpus.jsonl': '{"_id":"d0","title":"","text":"a saw"}\n{"_id":"d1","title":"","text":"a boat"}\n',
  'set/queries.jsonl': '{"_id":"q1","text":"saw"}\n{"_id":"q2","text":"boat"}\n',
  'set/qrels/test.tsv': 'query-id\tcorpus-id\tscore\nq1\td0\t1\nq2\td1\t1\n',
  'run.trec': 'q1 Q0 d0 1 2.0 t\nq2 Q0 d1 1 2.0 t\n',
};

let folder: string;
let printed: { out: string; err: string };
let servers: (ChatServer | LocalServer)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-bad-'));
  printed = { out: '', err: '' };
  servers = [];
  const listen = (stream: NodeJS.WriteStream, name: 'out' | 'err') =>
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed[name] += text;
      return true;
    });
  listen(process.stdout, 'out');
  listen(process.stderr, 'err');
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  vi.stubEnv('HF_HUB_CACHE', join(folder, 'hub'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const server of servers) await ('stop' in server ? server.stop() : server.close());
  rmSync(folder, { recursive: true });
});

function put(files: Record<string, string | Buffer>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** What every file of the user holds; the cache and journals, which keep finished work, are the program's own. */
async function snapshot(): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const users = files.filter((file) => !file.startsWith(join(folder, 'home')) && !file.endsWith('.journal'));
  const hashes = users.sort().map(async (file) => [
    file,
    createHash('sha1')
      .update(await readFile(file))
      .digest('hex'),
  ]);
  return Object.fromEntries(await Promise.all(hashes));
}

async function wordsOf({ words, chat, zip }: Case): Promise<string[]> {
  const places: Record<string, string> = {};
  if (chat !== undefined) {
    const server = await ChatServer.start(chat);
    servers.push(server);
    places.chat = server.baseUrl;
  }
  if (zip !== undefined) {
    const server = await startServer((request, response) => serveBytes(request, response, zip));
    servers.push(server);
    places.zip = server.url;
    places.md5 = createHash('md5').update(zip).digest('hex');
  }
  if (words.includes('{closed}')) {
    const server = await startServer(() => {});
    places.closed = server.url;
    await server.close();
  }
  const place = (name: string) => (name === '' ? '' : (places[name] ?? join(folder, name)));
  return words.split(' ').map((word) => word.replace(/\{(.*)\}/, (_whole, name: string) => place(name)));
}

describe.each([
  ['data', dataCases],
  ['wrong use', wrongUseCases],
  ['models', modelCases],
  ['network', networkCases],
])('bad input: %s', (_name, cases) => {
  it.each(cases)('$what', async (bad) => {
    put({ ...SET, 'kept.trec': 'what stood here before\n', ...bad.files });
    const before = await snapshot();
    const code = await runCommandLine(await wordsOf(bad));
    expect({ code, err: printed.err }).toEqual({ code: bad.code ?? 1, err: expect.stringMatching(bad.says) });
    const [, fix] = /^error: .*\n(?:\(Did you mean .*\n)? {2}(\S.*)\n$/m.exec(printed.err) ?? [];
    expect(fix, printed.err).toMatch(bad.fix);
    expect(printed.err).not.toMatch(/^\s+at |fault of llm-qe/m);
    if (bad.words.includes('--json')) expect(printed.out).toBe('');
    expect(await snapshot()).toEqual(before);
  });
});

it('counts at least forty cases', () => {
  expect([dataCases, wrongUseCases, modelCases, networkCases].flat().length).toBeGreaterThanOrEqual(40);
});

describe('names that every object has', () => {
  it('are ids like any other', async () => {
    put({
      qrels: '__proto__ 0 d0 1\nconstructor 0 __proto__ 1\n',
      run: '__proto__ Q0 d0 1 3 t\nconstructor Q0 __proto__ 1 2 t\n',
    });
    expect(
      await runCommandLine([
        'score',
        '--qrels',
        join(folder, 'qrels'),
        '--run',
        join(folder, 'run'),
        '--json',
        '--per-query',
        '--measure',
        'P_1',
      ]),
    ).toBe(0);
    expect(printed.out).toContain('"perQuery":{"__proto__":{"P_1":1},"constructor":{"P_1":1}}');
  });

  it('and rows nested beyond any stack pass through a split untouched', async () => {
    const deep = `{"__proto__":{"id":1},"big":9007199254740993,"a":${'['.repeat(2e5)}${']'.repeat(2e5)}`;
    put({ 'rows.jsonl': `${deep}}\n{}\n` });
    expect(await runCommandLine(['data', 'split', join(folder, 'rows.jsonl'), '--out', folder, '--dev', '1'])).toBe(0);
    const parts = ['train', 'dev'].map((part) => readFileSync(join(folder, `${part}.jsonl`), 'utf8'));
    expect(parts.sort()).toEqual(['{"id":"rows-2"}\n', `${deep},"id":"rows-1"}\n`].sort());
  });
});

/** Real processes of the build, where the fault is in what surrounds them. */
describe('the machine gives out', () => {
  const PROGRAM = resolve('dist', 'cli', 'main.js');

  function shell(script: string): Promise<{ code: number; err: string }> {
    return new Promise((done) => {
      const child = execFile('/bin/sh', ['-c', script, process.execPath, PROGRAM], (error, _out, err) => {
        done({ code: error === null ? 0 : Number(error.code), err });
      });
      child.stdin?.end();
    });
  }

  it('a disk that takes no more leaves the old files and no halves', async () => {
    const rows = Array.from({ length: 4000 }, (_, row) => JSON.stringify({ id: `r${row}`, text: 'x'.repeat(100) }));
    put({ 'rows.jsonl': `${rows.join('\n')}\n`, 'out/dpo.jsonl': 'old\n', 'out/retriever.jsonl': 'old\n' });
    const before = await snapshot();
    // The limit on a file's size, in blocks of 512 bytes, stands for a full disk: it needs no rights.
    const { code, err } = await shell(
      `ulimit -f 64; "$0" "$1" data split ${folder}/rows.jsonl --out ${folder}/out --size 10`,
    );
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/retriever\.jsonl: the file grows larger than/),
    });
    expect(err).not.toMatch(/^\s+at /m);
    expect(await snapshot()).toEqual(before);
  });

  it.runIf(existsSync('/dev/full'))('a full disk under stdout is an error, not a crash', async () => {
    put(SET);
    const { code, err } = await shell(
      `"$0" "$1" ${SCORE.replace('{set', `${folder}/set`).replace('}', '')} ${folder}/run.trec > /dev/full`,
    );
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/^error: stdout: the disk is full\n {2}Free some space/m),
    });
    expect(err).not.toMatch(/^\s+at /m);
  });

  it('a reader that leaves ends the program in peace', async () => {
    const { code, err } = await shell(
      '{ "$0" "$1" --help; echo "code $?" >&2; } | head -n 1 >&2; { "$0" "$1" models list; echo "code $?" >&2; } | true',
    );
    expect(code).toBe(0);
    expect(err.match(/^code 0$/gm)).toHaveLength(2);
    expect(err).not.toMatch(/^\s+at /m);
  });
});
