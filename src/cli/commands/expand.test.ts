import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChatServer } from '../../../test/support/chat-server.ts';
import { llmQe } from '../../../test/support/command-line.ts';
import { generatorOptions } from '../open-generator.ts';

/** The built program, as a user starts it; `npm test` builds first. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const QUERIES = 40;

let folder: string;
let server: ChatServer;
/** How long the server computes a text. */
let milliseconds: number;
/** What the server thinks aloud before each text. */
let thought: string | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'expand-command-'));
  thought = undefined;
  milliseconds = 25;
  server = await ChatServer.start(async () => {
    if (thought === undefined) return void (await sleep(milliseconds, undefined, { ref: false }));
    const message = { content: `${thought}${thought.endsWith('</think>') ? 'a tower' : ''}` };
    return { status: 200, body: { choices: [{ message, finish_reason: 'length' }] } };
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
  vi.unstubAllEnvs();
  await server.stop();
  await rm(folder, { recursive: true });
});

function wordsFor(out: string): string[] {
  const words = ['expand', '--dataset', folder, '--generator', server.baseUrl, '--out', out, '--concurrency', '2'];
  return [...words, '--deterministic', '--json'];
}

const expand = (out: string, ...more: string[]) => llmQe(...wordsFor(out), ...more);

/** Starts a process of its own. */
function start(out: string): ChildProcess {
  return spawn(process.execPath, [MAIN, ...wordsFor(out)], { stdio: ['ignore', 'pipe', 'pipe'] });
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
  it('resumes after kill -9: nothing is repeated, and the files equal those of an uninterrupted run', async () => {
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
    const again = await expand(out);
    expect(again).toMatchObject({ code: 0 });
    expect(JSON.parse(again.out)).toMatchObject({ expansions: QUERIES, reused: finished, queries: QUERIES });
    expect(server.calls.length - callsBefore).toBe(QUERIES - finished);
    expect((await readFile(`${out}.journal`, 'utf8')).startsWith(kept)).toBe(true);

    const whole = join(folder, 'whole', 'expansions.jsonl');
    await expand(whole);
    expect(await readFile(out, 'utf8')).toBe(await readFile(whole, 'utf8'));
    const [queries, wholeQueries] = ['killed', 'whole'].map((name) => join(folder, name, 'queries_q2d.jsonl'));
    expect(await readFile(queries!, 'utf8')).toBe(await readFile(wholeQueries!, 'utf8'));
  });

  it('stops on Ctrl-C without waiting for the server, and says how to go on', async () => {
    const child = start(join(folder, 'expansions.jsonl'));
    const ended = finish(child);
    await untilCalls(5);
    milliseconds = 60_000;
    await untilCalls(server.calls.length + 2);
    const startedAt = performance.now();
    child.kill('SIGINT');
    const { code, log, out } = await ended;
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(code).toBe(1);
    expect(log).toMatch(/resumes where it stopped/);
    expect(out).toBe('');
  });

  it('stores no thoughts, sends variables of the chat template, and replaces nothing that they changed', async () => {
    thought = '<think>The user wants';
    const out = join(folder, 'expansions.jsonl');
    const first = await expand(out);
    expect(JSON.parse(first.out)).toMatchObject({ unfinishedThought: QUERIES, empty: QUERIES });
    expect(first.log).toMatch(/40 expansions are empty because the model wrote only thoughts: raise --max-tokens/);
    thought = '<think>The user wants</think>';
    const kwargs = ['--chat-template-kwargs', '{"enable_thinking": false}'];
    const refused = await expand(out, ...kwargs);
    expect(refused.code).toBe(2);
    expect(refused.log).toMatch(/chat template.*\n.*--out.*--force/);
    expect((await expand(out, ...kwargs, '--force')).code).toBe(0);
    expect(server.calls.at(-1)!.chat_template_kwargs).toEqual({ enable_thinking: false });
    const [line] = (await readFile(out, 'utf8')).split('\n');
    expect(JSON.parse(line!)).toMatchObject({ text: 'a tower', raw: '<think>The user wants</think>a tower' });
  });

  it('reads variables of the chat template as a JSON object', () => {
    const { chatTemplateKwargs } = generatorOptions;
    expect(chatTemplateKwargs.parse('{"enable_thinking": false, "date_string": "x"}')).toEqual({
      ...{ enable_thinking: false, date_string: 'x' },
    });
    for (const json of ['{', '[1]', '"x"', '{"a b": 1}']) {
      expect(() => chatTemplateKwargs.parse(json)).toThrow(/expected a JSON object/);
    }
    expect(chatTemplateKwargs.parse('{"__proto__": {"x": 1}}')).toEqual({});
    for (const name of ['range', 'messages', 'add_generation_prompt', 'bos_token', 'namespace', 'True']) {
      const parse = () => chatTemplateKwargs.parse(JSON.stringify({ [name]: 1, enable_thinking: false }));
      expect(parse).toThrow(`${name} is a reserved name in chat templates and cannot be set`);
    }
  });

  it('keeps the expansions of a search', async () => {
    const search = () => {
      const words = ['search', '--corpus', folder, '--query', 'x', '--expand', '--retriever', 'bm25', '--json'];
      return llmQe(...words, '--generator', server.baseUrl);
    };
    vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
    const [first, second] = [await search(), await search()];
    expect(first.code).toBe(0);
    expect(second.out).toBe(first.out);
    expect(server.calls).toHaveLength(1);
    expect(server.calls[0]!.max_tokens).toBe(128);
  });

  it('refuses q2a, whose answers would leak the gold document', async () => {
    const { code, log } = await expand(join(folder, 'e.jsonl'), '--task', 'q2a');
    expect(code).toBe(2);
    expect(log).toMatch(/gold document/);
  });
});
