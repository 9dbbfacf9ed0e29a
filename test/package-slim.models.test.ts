import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPANDED, serveLetters } from './support/served-letters.ts';

/** Largest slim install, in MB of its files; a disk with blocks of 4 KiB takes 1.4 times as much. */
const MOST_MEGABYTES = 40;

/** The package without its optional dependencies, which hold the runtimes of local models and the data of WordNet. */
describe('a slim install', () => {
  const project = mkdtempSync(join(tmpdir(), 'llm-qe-slim-'));
  const program = join(project, 'node_modules', 'llm-qe', 'dist', 'cli', 'main.js');
  const environment = { ...process.env, LLM_QE_HOME: join(project, 'home') };

  beforeAll(() => {
    const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
      cwd: resolve('.'),
      encoding: 'utf8',
    });
    const tarball = join(project, /[\w.-]+\.tgz/.exec(packed)![0]);
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
    const words = ['install', '--omit=optional', '--no-audit', '--no-fund', '--prefer-offline', tarball];
    execFileSync('npm', words, { cwd: project, stdio: 'pipe' });
  });
  afterAll(() => rmSync(project, { recursive: true, force: true }));

  it(`is smaller than ${MOST_MEGABYTES} MB`, () => {
    const megabytes = sizeOf(join(project, 'node_modules')) / 1e6;
    process.stderr.write(`slim install: ${megabytes.toFixed(1)} MB\n`);
    expect(megabytes).toBeLessThan(MOST_MEGABYTES);
  });

  it('serves with an upstream and an LLM on servers', async () => {
    const upstream = await serveLetters();
    const words = ['serve', '--port', '0', '--upstream', upstream.url, '--upstream-model', 'letters'];
    const child = spawn(process.execPath, [program, ...words, '--generator', upstream.chat.baseUrl], {
      ...{ cwd: project, env: environment, stdio: ['ignore', 'ignore', 'pipe'] },
    });
    const ended = new Promise((done) => child.once('exit', done));
    try {
      const url = await lineAfter(child.stderr!, 'listening on ', ended);
      const response = await fetch(`${url}/query/v1/embeddings`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ input: 'aa', expansion_budget_ms: 60_000 }),
      });
      const { data } = (await response.json()) as { data: { embedding: number[] }[] };
      expect(response.headers.get('x-llm-qe-expansion')).toBe('generated');
      // The upstream gives queries the third number of documents, since it is not told which they are.
      expect(data[0]!.embedding).toEqual([EXPANDED[0], EXPANDED[1], 2]);
    } finally {
      child.kill('SIGTERM');
      await ended;
      await upstream.close();
    }
  });

  it('says what a local model needs, and how to get it', () => {
    writeFileSync(join(project, 'docs.jsonl'), '{"_id":"d1","text":"one"}\n');
    const words = [program, 'demo', '--fast'];
    const { status, stderr } = spawnSync(process.execPath, words, { cwd: project, env: environment, encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/which a slim install leaves out/);
    expect(stderr).toMatch(/npm install llm-qe --include=optional/);
  });

  it('refuses a local model before anything is downloaded for it', async () => {
    const upstream = await serveLetters();
    const home = join(project, 'empty-home');
    const behind = ['--upstream', upstream.url, '--upstream-model', 'letters'];
    for (const [words, missing] of [
      [[], 'onnxruntime-node'],
      [behind, 'node-llama-cpp'],
    ] as const) {
      const child = spawn(process.execPath, [program, 'serve', '--port', '0', ...words], {
        ...{ cwd: project, env: { ...environment, LLM_QE_HOME: home }, stdio: ['ignore', 'ignore', 'pipe'] },
      });
      const stderr = await text(child.stderr!);
      expect(stderr).toContain(`needs the package ${missing}, which a slim install leaves out`);
      expect(stderr).not.toMatch(/downloading/);
      expect(existsSync(join(home, 'models'))).toBe(false);
    }
    await upstream.close();
  });

  it('has the entry point of the AI SDK, without the AI SDK', () => {
    const script = "import { queryEmbeddingModel } from 'llm-qe/ai-sdk'; console.log(typeof queryEmbeddingModel);";
    const words = ['--input-type=module', '--eval', script];
    expect(execFileSync(process.execPath, words, { cwd: project, encoding: 'utf8' })).toBe('function\n');
  });
});

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}

/** The rest of the first line that begins with these words. @throws Error if the program ends before */
function lineAfter(stream: NodeJS.ReadableStream, words: string, ended: Promise<unknown>): Promise<string> {
  const lines: string[] = [];
  return new Promise((done, fail) => {
    createInterface(stream).on('line', (line) => {
      lines.push(line);
      if (line.startsWith(words)) done(line.slice(words.length));
    });
    void ended.then((code) => fail(new Error(`ended with ${code}: ${lines.join('\n')}`)));
  });
}
