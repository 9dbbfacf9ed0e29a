import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Whether Debian's redis-server, or any other, is installed. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/** A Redis server of a test, in memory only. */
export class RedisServer {
  readonly port: number;
  readonly #words: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, words: readonly string[]) {
    [this.port, this.#words] = [port, words];
  }

  /** @param words further words of its command line, such as `--requirepass` and a password */
  static async start(...words: string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), words);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it again after {@link stop}, empty. */
  async start(): Promise<void> {
    const options = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const started = spawn('redis-server', [...options, ...this.#words], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#process = started;
    let log = '';
    await new Promise<void>((resolve, reject) => {
      started.once('error', reject).once('exit', () => reject(new Error(log)));
      started.stdout!.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (/Ready to accept connections/.test(log)) resolve();
      });
    });
  }

  async stop(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    running.kill('SIGKILL');
    await once(running, 'exit');
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
