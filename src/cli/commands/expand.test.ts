import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChatServer } from '../../../test/support/chat-server.ts';

/** The built program, as a user starts it; `npm test` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const QUERIES = 40;

let folder: string;
let server: ChatServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expand-command-'));
  server = await ChatServer.start(async () => {
    await sleep(25);
    return undefined;
  });
  const ids = Array.from({ length: QUERIES }, (_, index) => `q${index}`);
  await mkdir(join(folder, 'qrels'));
  await writeFile(join(folder, 'corpus.jsonl'), '{"_id":"d","title":"","text":"x"}\n');
  const lines = [...ids, 'unjudged'].map((id) => JSON.stringify({ _id: id, text: `what is ${id}?` }));
  await writeFile(join(folder, 'queries.jsonl'), `${lines.join('\n')}\n`);
  const judged = ids.map((id) => `${id}\td\t1`).join('\n');
  await writeFile(join(folder, 'qrels', 'test.tsv'), `query-id\tcorpus-id\tscore\n${judged}\n`);
});

afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

function start(out: string, ...more: string[]): ChildProcess {
  const words = ['expand', '--dataset', folder, '--generator', server.baseUrl, '--out', out, '--concurrency', '2'];
  return spawn(process.execPath, [MAIN, ...words, '--deterministic', '--json', ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function finish(child: ChildProcess): Promise<{ code: number | null; out: string; log: string }> {
  let [out, log] = ['', ''];
  child.stdout!.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr!.on('data', (chunk) => {
    log += chunk;
  });
  const [code] = await once(child, 'close');
  return { code: code as number | null, out, log };
}

async function untilCalls(count: number): Promise<void> {
  while (server.calls.length < count) await sleep(5);
}

describe('llm-qe expand', () => {
  it('goes on after kill -9: nothing is repeated, and the files equal an uninterrupted run', async () => {
    const out = join(folder, 'killed', 'expansions.jsonl');
    const killed = start(out);
    await untilCalls(15);
    killed.kill('SIGKILL');
    await once(killed, 'close');
    const kept = await readFile(`${out}.journal`, 'utf8');
    const finished = kept.split('\n').length - 1;
    expect(finished).toBeGreaterThan(5);
    await expect(readFile(out)).rejects.toThrow(/ENOENT/);

    const callsBefore = server.calls.length;
    const again = await finish(start(out));
    expect(again).toMatchObject({ code: 0 });
    expect(JSON.parse(again.out)).toMatchObject({ expansions: QUERIES, reused: finished, queries: QUERIES });
    expect(server.calls.length - callsBefore).toBe(QUERIES - finished);
    expect((await readFile(`${out}.journal`, 'utf8')).startsWith(kept)).toBe(true);

    const whole = join(folder, 'whole', 'expansions.jsonl');
    await finish(start(whole));
    expect(await readFile(out, 'utf8')).toBe(await readFile(whole, 'utf8'));
    const [queries, wholeQueries] = ['killed', 'whole'].map((name) => join(folder, name, 'queries_q2d.jsonl'));
    expect(await readFile(queries!, 'utf8')).toBe(await readFile(wholeQueries!, 'utf8'));
  });

  it('stops on Ctrl-C within a second and says how to go on', async () => {
    const child = start(join(folder, 'expansions.jsonl'));
    const ended = finish(child);
    await untilCalls(5);
    const startedAt = performance.now();
    child.kill('SIGINT');
    const { code, log, out } = await ended;
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(code).toBe(1);
    expect(log).toMatch(/goes on where it stopped/);
    expect(out).toBe('');
  });

  it('refuses q2a, whose answers would leak the gold document', async () => {
    const { code, log } = await finish(start(join(folder, 'e.jsonl'), '--task', 'q2a'));
    expect(code).toBe(2);
    expect(log).toMatch(/gold document/);
  });
});
