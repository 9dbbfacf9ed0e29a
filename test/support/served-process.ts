import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A server in a process of its own. */
export interface ServedProcess {
  url: string;
  child: ChildProcess;
  /** What it has written so far. */
  readonly out: string;
  readonly log: string;
  /** Sends a signal and waits for the end. @returns the exit code; null if the signal killed it */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

export interface StartOptions {
  /** The cache folder. */
  home: string;
  /** Default: `dist/cli/main.js`. */
  main?: string;
  /** Options of Node. */
  node?: readonly string[];
}

/** Starts `llm-qe serve` on a free port, and waits until it listens. @throws Error with its words if it ends before */
export async function startServe(words: readonly string[], options: StartOptions): Promise<ServedProcess> {
  const { home, main = 'dist/cli/main.js', node = [] } = options;
  const child = spawn(process.execPath, [...node, main, 'serve', '--port', '0', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LLM_QE_HOME: home },
  });
  const written = { out: '', log: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    written.out += text;
  });
  const closed = once(child, 'close');
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      written.log += text;
      const found = /listening on (\S+)\n/.exec(written.log);
      if (found) resolve(found[1]!);
    });
    void closed.then(() => reject(new Error(`the server ended: ${written.log}`)));
  });
  return {
    ...{ url, child },
    get out() {
      return written.out;
    },
    get log() {
      return written.log;
    },
    async end(signal) {
      child.kill(signal);
      await closed;
      return child.exitCode;
    },
  };
}
