import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChatServer } from '../../../test/support/chat-server.ts';
import { llmQe } from '../../../test/support/command-line.ts';

let folder: string;
let server: ChatServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'candidates-command-'));
  server = await ChatServer.start();
  const triples = ['a', 'b', 'c'].map((id) =>
    JSON.stringify({ id, query: `what is ${id}?`, positive: `document of ${id}`, negative: 'n' }),
  );
  await writeFile(join(folder, 'triples.jsonl'), `${triples.join('\n')}\n`);
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function run(name: string, ...more: string[]) {
  const words = [name, '--triples', join(folder, 'triples.jsonl'), '--generator', server.baseUrl, '--json', ...more];
  const { code, out, log } = await llmQe(...words);
  return { code, log, document: out === '' ? undefined : JSON.parse(out) };
}

async function linesOf(name: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(folder, name), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('llm-qe candidates and answers', () => {
  it('write next to the triples, resume, and refuse other settings', async () => {
    const settings = ['--samples', '2', '--temperatures', '0.7, 1'];
    const first = await run('candidates', ...settings);
    expect(first).toMatchObject({ code: 0, document: { queries: 3, candidates: 12, reused: 0 } });
    expect(first.document.tokensPerSecond).toBeGreaterThan(0);
    const candidates = await linesOf('candidates.jsonl');
    expect(candidates.map(({ queryId, temperature }) => `${queryId}${temperature}`).slice(0, 5)).toEqual([
      ...['a0.7', 'a0.7', 'a1', 'a1', 'b0.7'],
    ]);
    expect((await run('candidates', ...settings)).document).toMatchObject({ reused: 3, seconds: 0 });
    const other = await run('candidates', ...settings, '--seed', '1');
    expect(other.code).toBe(2);
    expect(other.log).toMatch(/seed: 42, now 1/);
    const answers = await run('answers', '--limit', '2');
    expect(answers).toMatchObject({ code: 0, document: { queries: 2, answers: 2, skipped: 0 } });
    expect(await linesOf('answers.jsonl')).toHaveLength(2);
    expect(server.calls.at(-1)!.messages[0]!.content).toMatch(/Related Document: document of [abc]\nAnswer:$/);
  });

  it('refuse impossible settings', async () => {
    for (const words of [
      ['--temperatures', '1,x'],
      ['--temperatures', ','],
      ['--dataset', folder],
      ['--task', 'q2a'],
    ]) {
      expect((await run('candidates', ...words)).code).toBe(2);
    }
    expect(await run('answers', '--task', 'q2d')).toMatchObject({
      code: 2,
      log: expect.stringMatching(/does not read/),
    });
    expect(server.calls).toHaveLength(0);
  });
});
