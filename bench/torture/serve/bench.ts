import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ServedProcess, startServe } from '../../../test/support/served-process.ts';
import { startModelServer } from '../servers.ts';

const MAIN = resolve('build/src/cli/main.js');

/** What a check found: figures to print, and what is wrong. */
export interface Finding {
  figures: Record<string, number | string>;
  faults: string[];
}

/** A folder, and a server of models beside the server that is tortured. */
export class ServeBench {
  readonly home = mkdtempSync(join(tmpdir(), 'llm-qe-serve-'));
  readonly #models: Awaited<ReturnType<typeof startModelServer>>;

  private constructor(models: Awaited<ReturnType<typeof startModelServer>>) {
    this.#models = models;
  }

  static async open(): Promise<ServeBench> {
    return new ServeBench(await startModelServer());
  }

  /** Calls for texts that the model server has had. */
  get written(): number {
    return this.#models.chats;
  }

  start(more: readonly string[] = []): Promise<ServedProcess> {
    const { url } = this.#models;
    const models = ['--upstream', url, '--upstream-model', 'm', '--generator', url];
    return startServe([...models, '--budget-ms', '5000', '--log-format', 'none', ...more], {
      home: this.home,
      main: MAIN,
    });
  }

  close(): void {
    this.#models.close();
    rmSync(this.home, { recursive: true, force: true });
  }
}

export function post(url: string, path: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body), ...(signal && { signal }) });
}

/** Memory of a process in MB. */
export function memoryOf({ child }: ServedProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024);
}

/** The value of a metric, its labels in the order of their declaration; 0 if there is none. */
export async function metricOf({ url }: ServedProcess, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

/** Runs work on several lanes at once. */
export async function inLanes(count: number, lanes: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (next < count) await work(next++);
    }),
  );
}
