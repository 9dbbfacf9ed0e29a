import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { llmQe } from '../../../test/support/command-line.ts';

let folder: string;
let index: string;
const servers: Server[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-index-'));
  index = join(folder, 'my-index');
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) server.close().closeAllConnections();
  await rm(folder, { recursive: true });
});

async function write(name: string, ...documents: object[]): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, documents.map((document) => `${JSON.stringify(document)}\n`).join(''));
  return file;
}

async function succeed(...words: string[]) {
  const { code, out, log } = await llmQe(...words, '--json');
  expect([code, code === 0 ? '' : log]).toEqual([0, '']);
  return JSON.parse(out);
}

const find = async (query: string) => {
  const { documents } = await succeed('search', '--corpus', index, '--retriever', 'bm25', '--query', query);
  return documents.map(({ id }: { id: string }) => id);
};

/** Starts an embedding server, which says how many texts it was asked for. */
async function startEmbeddings(onTexts: (texts: number) => void): Promise<string> {
  const server = createServer(async (request, response) => {
    const { input } = JSON.parse(Buffer.concat(await request.toArray()).toString()) as { input: string[] };
    onTexts(input.length);
    const data = input.map((text, at) => ({ index: at, embedding: [text.length, 1, text.charCodeAt(0)] }));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ data }));
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

describe('llm-qe index', () => {
  it('builds, adds, replaces, removes, compacts and tells what there is', async () => {
    const docs = await write('docs.jsonl', { _id: 'a', text: 'old houses', url: 'u' }, { _id: 'b', text: 'ships' });
    const built = await succeed('index', 'build', index, docs, '--retriever', 'bm25');
    expect(built).toEqual({
      ...{ index, added: 2, replaced: 0, unchanged: 0, removed: 0, missing: 0, encoded: 0 },
      ...{ documents: 2, segments: 1, generation: 1 },
    });
    const more = await write('more.jsonl', { _id: 'b', text: 'bridges' }, { _id: 'c', text: 'houses of stone' });
    expect(await succeed('index', 'add', index, more)).toMatchObject({ added: 1, replaced: 1, segments: 2 });
    expect(await find('houses ships')).toEqual(['c', 'a']);
    const gone = join(folder, 'gone.txt');
    await writeFile(gone, 'a\r\n\nnone\n');
    expect(await succeed('index', 'remove', index, '--ids-file', gone)).toMatchObject({ removed: 1, missing: 1 });
    expect(await succeed('index', 'remove', index, 'b')).toMatchObject({ removed: 1, documents: 1 });
    expect(await find('houses bridges')).toEqual(['c']);
    expect(await succeed('index', 'info', index)).toMatchObject({ documents: 1, deleted: 1, segments: 1 });
    expect(await succeed('index', 'compact', index)).toMatchObject({ documents: 1, segments: 1 });
    expect(await succeed('index', 'info', index)).toMatchObject({ documents: 1, deleted: 0 });
    expect((await llmQe('index', 'info', index)).out).toContain('1 document in 1 segment');
  });

  it.each([
    ['a damaged line', ['index', 'add', 'INDEX', 'bad.jsonl'], 1, /bad\.jsonl:2: not valid JSON/],
    ['an id twice in two files', ['index', 'add', 'INDEX', 'one.jsonl', 'one.jsonl'], 1, /one\.jsonl:1, id "a"/],
    [
      'a line that is no id',
      ['index', 'remove', 'INDEX', '--ids-file', 'bad.jsonl'],
      1,
      /bad\.jsonl:1: the identifier/,
    ],
    ['no ids', ['index', 'remove', 'INDEX'], 2, /no documents were named/],
    ['no index', ['index', 'add', 'one.jsonl', 'one.jsonl'], 1, /is not an index|not a folder/],
    ['passages that overlap wholly', ['index', 'build', 'NEW', 'one.jsonl', '--passages', '9/9'], 2, /--passages/],
    ['a dense search', ['search', '--corpus', 'INDEX', '--query', 'x', '--encoder', 'TINY'], 2, /holds no vectors/],
  ])('names %s', async (_name, words, code, reason) => {
    await succeed('index', 'build', index, await write('one.jsonl', { _id: 'a', text: 'b' }), '--retriever', 'bm25');
    await writeFile(join(folder, 'bad.jsonl'), '{"_id": "x", "text": "y"}\n{"_id": \n');
    const names: Record<string, string> = { INDEX: index, NEW: join(folder, 'new') };
    names.TINY = resolve('src/embed/goldens/tiny-encoder');
    const whole = words.map((word) => names[word] ?? (word.endsWith('.jsonl') ? join(folder, word) : word));
    const ended = await llmQe(...whole);
    expect(ended.log).toMatch(reason);
    expect(ended.code).toBe(code);
    expect(await find('b')).toEqual(['a']);
  });

  it('loses no encoded text when it is killed, and the same command goes on', async () => {
    const documents = Array.from({ length: 700 }, (_none, at) => ({ _id: `d${at}`, text: `sea ${'x'.repeat(at)}` }));
    let texts = 0;
    let onTexts = () => {};
    const server = await startEmbeddings((count) => {
      texts += count;
      onTexts();
    });
    const encoder = ['--encoder', server, '--encoder-model', 'm', '--batch-size', '64'];
    await succeed('index', 'build', index, await write('first.jsonl', ...documents.slice(0, 4)), ...encoder);
    const all = await write('all.jsonl', ...documents);
    const words = ['index', 'add', index, all, '--batch-size', '64'];
    const child = spawn(process.execPath, [resolve('dist/cli/main.js'), ...words], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    texts = 0;
    // The third batch of 256 begins when the first one is on the disk.
    onTexts = () => {
      if (texts > 513) child.kill('SIGKILL');
    };
    expect(await ended).toEqual([null, 'SIGKILL']);
    onTexts = () => {};
    expect(await succeed('index', 'info', index)).toMatchObject({ documents: 4, generation: 1 });
    expect(await find('sea')).toEqual(['d0', 'd3', 'd2', 'd1']);
    const { encoded, added } = await succeed(...words);
    expect(added).toBe(696);
    expect(encoded).toBeLessThanOrEqual(696 - 256);
    expect(await succeed(...words)).toMatchObject({ unchanged: 700, encoded: 0, generation: 2 });
  });

  it('reads standard input', async () => {
    const words = ['index', 'build', index, '-', '--retriever', 'bm25', '--json'];
    const child = spawn(process.execPath, [resolve('dist/cli/main.js'), ...words], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdin.end('{"_id": "a", "text": "houses"}\n');
    const printed = Buffer.concat(await child.stdout.toArray()).toString();
    expect(JSON.parse(printed)).toMatchObject({ added: 1, documents: 1 });
    expect(await find('house')).toEqual(['a']);
  });
});
