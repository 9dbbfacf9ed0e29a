import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Random } from '../../src/system/index.ts';
import { startFakeHub } from '../../test/support/fake-hub.ts';
import { CASES, type TortureCase } from './cases.ts';
import { startModelServer } from './servers.ts';
import { difference, type Snapshot, snapshot } from './snapshot.ts';

/**
 * `npm run torture [-- --points 8|all --seed 1 --only NAME --json FILE]`: each command is killed, and meets a full disk, at points
 * drawn among its file operations, or at all of them. Then it runs again and must end like an uninterrupted run, apart from times, without an
 * unfinished file, a lock or a child process.
 */
const { values: options } = parseArgs({
  options: {
    points: { type: 'string', default: '8' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    json: { type: 'string' },
  },
});

const MAIN = resolve('build/src/cli/main.js');
const FAULTS = resolve('build/bench/torture/faults.js');
const PHASES = ['before', 'half', 'after'] as const;
const LIMIT_MILLISECONDS = 600_000;

type Servers = Parameters<TortureCase['words']>[0];

interface Outcome {
  code: number | null;
  errors: string;
  /** Number of processes that kept running. */
  children: number;
  /** Number of file operations, and how many of them in worker threads. */
  operations: number;
  inWorkers: number;
}

interface Row {
  command: string;
  operations: number;
  inWorkers: number;
  kills: number;
  fullDisks: number;
  /** The faults, each with mode, point and phase. */
  faults: string[];
}

/** Runs one command, always in the same folder, because some outputs contain paths. */
class Bench {
  readonly #one: TortureCase;
  readonly #servers: Servers;
  readonly #root: string;

  constructor(one: TortureCase, servers: Servers) {
    this.#one = one;
    this.#servers = servers;
    this.#root = mkdtempSync(join(tmpdir(), 'llm-qe-torture-'));
  }

  async torture(points: number, random: Random): Promise<Row> {
    this.#reset();
    const whole = await this.#run({ TORTURE_MODE: 'count' });
    const faults: string[] = [];
    if (whole.code !== 0) faults.push(`uninterrupted: exit ${whole.code}: ${whole.errors.slice(0, 300)}`);
    const expected = this.#snapshot();
    if (expected.leftovers.length > 0) faults.push(`uninterrupted: left ${expected.leftovers.join(', ')}`);
    const { operations, inWorkers } = whole;
    const row: Row = { command: this.#one.name, operations, inWorkers, kills: 0, fullDisks: 0, faults };
    const chosen = whole.code === 0 ? drawPoints(whole.operations, points, random) : [];
    for (const point of chosen) {
      for (const mode of ['kill', 'full'] as const) {
        const phase = PHASES[random.below(PHASES.length)]!;
        row[mode === 'kill' ? 'kills' : 'fullDisks']++;
        const fault = await this.#strike(mode, point, phase, expected);
        if (fault !== undefined) faults.push(`${mode} ${phase} ${point} of ${whole.operations}: ${fault}`);
      }
    }
    rmSync(this.#root, { recursive: true });
    return row;
  }

  /** Returns the fault at one point; undefined if there is none. */
  async #strike(mode: 'kill' | 'full', point: number, phase: string, expected: Snapshot): Promise<string | undefined> {
    this.#reset();
    const struck = await this.#run({ TORTURE_MODE: mode, TORTURE_AT: String(point), TORTURE_PHASE: phase });
    if (struck.children > 0) return `${struck.children} child processes keep running`;
    if (mode === 'full' && struck.code !== 0 && !/disk is full/.test(struck.errors)) {
      return `exit ${struck.code}: ${struck.errors.slice(-400)}`;
    }
    if (/\n\s+at .*:\d+:\d+/.test(struck.errors)) return `a stack trace: ${struck.errors.slice(-400)}`;
    const again = await this.#run({});
    if (again.code !== 0) return `the next run: exit ${again.code}: ${again.errors.slice(-400)}`;
    const found = this.#snapshot();
    if (found.leftovers.length > 0) return `left after the next run: ${found.leftovers.join(', ')}`;
    return difference(expected, found);
  }

  #reset(): void {
    rmSync(this.#root, { recursive: true, force: true });
    mkdirSync(join(this.#root, 'home'), { recursive: true });
    mkdirSync(join(this.#root, 'work'));
    this.#one.prepare(join(this.#root, 'work'));
  }

  #snapshot(): Snapshot {
    return snapshot(this.#root);
  }

  async #run(faults: Record<string, string>): Promise<Outcome> {
    const token = `torture-${process.pid}-${Math.random()}`;
    const counter = join(tmpdir(), `${token}.count`);
    const child = spawn(process.execPath, ['--import', FAULTS, MAIN, ...this.#one.words(this.#servers)], {
      cwd: join(this.#root, 'work'),
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: LIMIT_MILLISECONDS,
      env: {
        ...{ ...process.env, ...faults, TORTURE_COUNT: counter, TORTURE_TOKEN: token },
        ...{ LLM_QE_HOME: join(this.#root, 'home'), HF_ENDPOINT: this.#servers.hub, HF_HOME: join(this.#root, 'hf') },
      },
    });
    const errors = child.stderr.toArray();
    const [code] = (await once(child, 'close')) as [number | null];
    const [operations = 0, inWorkers = 0] = readOrNothing(counter).split(' ').map(Number);
    rmSync(counter, { force: true });
    const children = await countChildren(token);
    return { code, errors: Buffer.concat(await errors).toString(), operations, inWorkers, children };
  }
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '0';
  }
}

/** The first and the last operation, and some in between. */
function drawPoints(operations: number, count: number, random: Random): number[] {
  if (operations <= count) return Array.from({ length: operations }, (_, index) => index + 1);
  const points = new Set([1, operations]);
  while (points.size < count) points.add(1 + random.below(operations));
  return [...points].sort((a, b) => a - b);
}

/** Counts processes that a command started and that still run a second after its end. */
async function countChildren(token: string): Promise<number> {
  for (let turn = 0; turn < 10 && living(token) > 0; turn++) await sleep(100);
  return living(token);
}

function living(token: string): number {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && environmentOf(pid).includes(token)).length;
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

const models = await startModelServer();
const llama = resolve('src/nn/goldens/llama');
const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(llama, name))]));
const hub = await startFakeHub({ files });
const servers = { models: models.url, hub: hub.url };
const wanted = CASES.filter(({ name }) => options.only === undefined || name.includes(options.only));
const rows: Row[] = [];
const began = performance.now();
for (const one of wanted) {
  const row = await new Bench(one, servers).torture(
    options.points === 'all' ? Number.POSITIVE_INFINITY : Number(options.points),
    new Random(Number(options.seed)),
  );
  rows.push(row);
  const { command, operations, inWorkers, kills, fullDisks, faults } = row;
  console.log(
    `${command}: ${operations} file operations (${inWorkers} in worker threads), ${kills} kills, ${fullDisks} full disks, ${faults.length} faults`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
}
const minutes = (performance.now() - began) / 60_000;
const total = (key: 'kills' | 'fullDisks') => rows.reduce((sum, row) => sum + row[key], 0);
const failed = rows.reduce((sum, { faults }) => sum + faults.length, 0);
console.log(
  `${total('kills')} kills, ${total('fullDisks')} full disks, ${failed} faults, ${minutes.toFixed(1)} minutes, seed ${options.seed}`,
);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 1)}\n`);
models.close();
await hub.close();
process.exitCode = failed === 0 ? 0 : 1;
