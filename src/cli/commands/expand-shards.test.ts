import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChatServer, refusal } from '../../../test/support/chat-server.ts';
import { llmQe } from '../../../test/support/command-line.ts';

const QUERIES = 12;

let folder: string;
let server: ChatServer;
/** The server refuses every call after this many. */
let mostCalls: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expand-shards-'));
  mostCalls = Number.POSITIVE_INFINITY;
  server = await ChatServer.start(({ messages, seed }, number) => {
    if (number >= mostCalls) return refusal(400, 'no more');
    // Some texts are empty at first, so that they are requested again with another seed.
    if (!/q[37]\?/.test(messages.at(-1)!.content) || seed % 2 === 0) return undefined;
    return { status: 200, body: { choices: [{ message: { content: '' }, finish_reason: 'stop' }] } };
  });
  await mkdir(join(folder, 'qrels'));
  await writeFile(join(folder, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
  const ids = Array.from({ length: QUERIES }, (_, index) => `q${index}`);
  const lines = ids.map((id) => JSON.stringify({ _id: id, text: `what is ${id}?` }));
  await writeFile(join(folder, 'queries.jsonl'), `${lines.join('\n')}\n`);
  await writeFile(join(folder, 'qrels/test.tsv'), ids.map((id) => `${id}\td\t1\n`).join(''));
});

afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

function expand(out: string, ...words: string[]) {
  const options = ['--samples', '2', '--deterministic', '--generator', server.baseUrl, '--concurrency', '1'];
  return llmQe('expand', '--dataset', folder, '--out', join(folder, out, 'expansions.jsonl'), ...options, ...words);
}

async function contents(out: string): Promise<Record<string, string>> {
  const names = (await readdir(join(folder, out))).filter((name) => /\.jsonl?$/.test(name));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, out, name), 'utf8')));
  return Object.fromEntries(names.map((name, at) => [name, texts[at]!]));
}

async function allShards(out: string, ...words: string[]): Promise<void> {
  for (const shard of ['2/3', '3/3', '1/3']) expect((await expand(out, '--shard', shard, ...words)).code).toBe(0);
}

const shardFile = (name: string) => join(folder, 'shared/expansions.shards', name);

describe('llm-qe expand --shard', () => {
  it('gives the files that one machine writes', async () => {
    await expand('alone');
    const alone = server.calls.length;
    await allShards('shared');
    expect(server.calls).toHaveLength(2 * alone);
    expect(Object.keys(await contents('shared'))).toEqual([]);
    expect((await expand('shared', '--join')).code).toBe(0);
    expect(server.calls).toHaveLength(2 * alone);
    expect(await contents('shared')).toEqual(await contents('alone'));
    expect(Object.keys(await contents('alone'))).toEqual([
      'expansions.jsonl',
      'expansions.manifest.json',
      'queries_q2d.jsonl',
    ]);
  });

  it('asks for a shard that is missing, cut, changed or unfinished by its name, and makes only what is missing', async () => {
    await allShards('shared');
    const asked = server.calls.length;
    const file = shardFile('2-of-3.jsonl');
    const written = await readFile(file, 'utf8');

    await truncate(file, written.length - 10);
    const cut = await expand('shared', '--join');
    expect(cut.code).toBe(1);
    expect(cut.log).toMatch(/2-of-3\.jsonl: shard 2\/3 was cut: \d+ of \d+ bytes are left/);
    expect(cut.log).toContain('--shard 2/3');
    await expand('shared', '--shard', '2/3');
    expect(server.calls).toHaveLength(asked + 1);

    await writeFile(file, (await readFile(file, 'utf8')).replace('passage', 'Passage'));
    expect((await expand('shared', '--join')).log).toMatch(/shard 2\/3 was changed after it was finished/);
    expect((await expand('shared', '--shard', '2/3')).log).toMatch(
      /shard 2\/3 was changed after it was finished: .* begins again/,
    );
    expect((await expand('shared', '--join')).code).toBe(0);

    await rm(file);
    expect((await expand('shared', '--join')).log).toMatch(/shard 2\/3 has lost this file/);
    await rm(shardFile('2-of-3.json'));
    expect((await expand('shared', '--join')).log).toMatch(/shard 2\/3 is missing or not finished/);
  });

  it('begins a damaged shard again, and keeps what was in it', async () => {
    await allShards('shared');
    const file = shardFile('1-of-3.jsonl');
    await writeFile(file, `{"broken"\n${await readFile(file, 'utf8')}`);
    await rm(shardFile('1-of-3.json'));
    const again = await expand('shared', '--shard', '1/3');
    expect(again.code).toBe(0);
    expect(again.log).toMatch(/1-of-3\.jsonl:1: .* is now 1-of-3\.jsonl\.damaged, and the shard begins again/);
    expect((await expand('shared', '--join')).code).toBe(0);
    expect(await readdir(join(folder, 'shared/expansions.shards'))).toContain('1-of-3.jsonl.damaged');
  });

  it('goes on after an interruption without asking twice', async () => {
    await expand('alone');
    const alone = server.calls.length;
    mostCalls = alone + 3;
    expect((await expand('shared', '--shard', '1/3')).code).toBe(1);
    mostCalls = Number.POSITIVE_INFINITY;
    await allShards('shared');
    // One call was refused, and everything else was asked for once.
    expect(server.calls).toHaveLength(2 * alone + 1);
    await expand('shared', '--join');
    expect(await contents('shared')).toEqual(await contents('alone'));
  });

  it('refuses shards of other queries, settings and divisions', async () => {
    await allShards('shared', '--seed', '5');
    const other = await expand('shared', '--join');
    expect(other.code).toBe(1);
    expect(other.log).toMatch(/shard \d\/3 holds no text of query q\d+ with these settings/);
    expect((await expand('shared', '--join', '--seed', '5', '--limit', '6')).log).toMatch(
      /shard 1\/3 was made for other queries/,
    );
    await expand('shared', '--shard', '1/4', '--seed', '5');
    expect((await expand('shared', '--join', '--seed', '5')).log).toMatch(/holds shards of 3 and of 4/);
    expect((await expand('none', '--join')).log).toMatch(/there are no shards/);
    expect((await expand('shared', '--join', '--shard', '1/3')).code).toBe(2);
    expect((await expand('shared', '--shard', '4/3')).log).toMatch(/--shard: expected the number of this shard/);
  });

  it('finishes a shard without queries', async () => {
    await expand('alone', '--limit', '2');
    for (let index = 1; index <= 6; index++) {
      expect((await expand('shared', '--limit', '2', '--shard', `${index}/6`)).code).toBe(0);
    }
    expect((await expand('shared', '--limit', '2', '--join')).code).toBe(0);
    expect(await contents('shared')).toEqual(await contents('alone'));
  });
});
