import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { threadCount } from './harness.ts';

/** What a load of one kind came to. */
export interface Load {
  sent: number;
  /** Answers with status 200 per second of the load. */
  rate: number;
  /** Times of all requests in milliseconds, ascending. */
  milliseconds: Float64Array;
  /** Number of answers by status; 0 stands for no answer. */
  statuses: Record<string, number>;
}

export interface Shot {
  path: string;
  body: unknown;
}

/** A request for embeddings, in OpenAI's form. */
export function embeddings(model: string, input: string | string[]): Shot {
  return { path: '/v1/embeddings', body: { model, input, encoding_format: 'base64' } };
}

/** The load tool, from PATH or VEGETA; undefined if it is not installed. */
export function loadTool(): string | undefined {
  const tool = process.env.VEGETA ?? 'vegeta';
  return spawnSync(tool, ['-version']).status === 0 ? tool : undefined;
}

/**
 * Sends the shots in turn at a fixed rate, whatever the answers take (an open loop, so a slow server meets a queue and cannot slow
 * its clients down); with `rate` 0, as fast as `workers` connections go.
 * @throws Error if the tool fails
 */
export async function attack(
  tool: string,
  base: string,
  shots: readonly Shot[],
  options: { folder: string; rate: number; seconds: number; workers?: number },
): Promise<Load> {
  const targets = join(options.folder, 'targets.jsonl');
  const header = { 'content-type': ['application/json'] };
  const lines = shots.map(({ path, body }) =>
    JSON.stringify({
      method: 'POST',
      url: base + path,
      header,
      body: Buffer.from(JSON.stringify(body)).toString('base64'),
    }),
  );
  await writeFile(targets, `${lines.join('\n')}\n`);
  const results = join(options.folder, 'results.bin');
  const workers = String(options.workers ?? 64);
  const limits =
    options.rate === 0 ? ['-rate=0', `-max-workers=${workers}`, `-workers=${workers}`] : [`-rate=${options.rate}`];
  const words = [
    'attack',
    '-format=json',
    `-targets=${targets}`,
    `-output=${results}`,
    `-duration=${options.seconds}s`,
    '-timeout=30s',
  ];
  const child = spawn(tool, [...words, ...limits], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${tool} failed with ${code}`);
  const { stdout } = spawnSync(tool, ['encode', '-to=csv', results], { encoding: 'utf8', maxBuffer: 1 << 30 });
  // Columns: time of sending, status, duration in nanoseconds, and others.
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(',', 3));
  const statuses: Record<string, number> = {};
  for (const [, status] of rows) statuses[status!] = (statuses[status!] ?? 0) + 1;
  const milliseconds = Float64Array.from(rows, ([, , duration]) => Number(duration) / 1e6).sort();
  const sending = (Number(rows.at(-1)![0]) - Number(rows[0]![0])) / 1e9;
  const seconds = Math.max(sending, options.seconds);
  return { sent: rows.length, rate: (statuses[200] ?? 0) / seconds, milliseconds, statuses };
}

/** The time that a share of the requests did not exceed. */
export function percentile({ milliseconds }: Load, share: number): number {
  return milliseconds[Math.min(milliseconds.length - 1, Math.floor(share * milliseconds.length))]!;
}

/** A server of ours or of a peer, as a process of its own. */
export interface Server {
  base: string;
  /** Processor time so far in seconds, of the process and its threads. */
  cpuSeconds(): Promise<number>;
  /** Memory that the process has now, in MiB. */
  residentMiB(): Promise<number>;
  close(): Promise<void>;
}

/** Starts `llm-qe serve`. The seed makes the expansions new, so that those of an earlier run are not in the cache. */
export function startServe(port: number, more: readonly string[]): Promise<Server> {
  const words = ['serve', '--port', `${port}`, '--log-format', 'none', '--threads', `${threadCount()}`];
  const program = [resolve('dist', 'cli', 'main.js'), ...words, '--seed', `${randomInt(1 << 30)}`, ...more];
  return startServer(process.execPath, program, port);
}

/** Starts a server and waits until GET /health answers 200. @throws Error if it ends before */
export async function startServer(
  command: string,
  words: readonly string[],
  port: number,
  environment = {},
): Promise<Server> {
  const child = spawn(command, words, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk).slice(-5000);
  });
  const base = `http://127.0.0.1:${port}`;
  const agent = new Agent();
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  while (!hasEnded()) {
    const health = await request(`${base}/health`, { dispatcher: agent }).catch(() => undefined);
    await health?.body.dump();
    if (health?.statusCode === 200) break;
    await sleep(100);
  }
  await agent.close();
  if (hasEnded()) throw new Error(`${command} ended with ${child.exitCode ?? child.signalCode}:\n${log}`);
  const stat = async (name: string) => readFile(`/proc/${child.pid}/${name}`, 'utf8');
  return {
    base,
    cpuSeconds: async () => {
      const fields = (await stat('stat')).split(') ')[1]!.split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    residentMiB: async () => Number(/VmRSS:\s+(\d+)/.exec(await stat('status'))![1]) / 1024,
    close: async () => {
      if (hasEnded()) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    },
  };
}
