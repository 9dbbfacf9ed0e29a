import { execFile } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AbortedError, ModelError, UsageError, workerFile } from '../system/index.ts';
import { compileModel } from './compiled-model.ts';
import { Graph } from './graph.ts';
import { gather, matmul } from './operations/index.ts';
import { Runtime } from './runtime.ts';
import type { Values } from './runtime-messages.ts';

let cache: string;
let loads = 0;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-runtime-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

/** x // [rows] of row numbers → table[x] · matrix // [rows, 2] */
function compile(fingerprint: string, factor = 1) {
  const graph = new Graph();
  const x = graph.input('x', 'int32', ['rows']);
  const rows = graph.scope('lookup', () => gather(graph.weight('table', 'float32', [3, 2]), x));
  graph.output(
    'y',
    graph.scope('product', () => matmul(rows, graph.weight('matrix', 'float32', [2, 2]))),
  );
  const table = async () => {
    loads++;
    return Float32Array.of(1, 2, 3, 4, 5, 6).map((number) => number * factor);
  };
  const loaders = new Map([
    ['table', table],
    ['matrix', async () => Float32Array.of(1, 0, 0, 10)],
  ]);
  return compileModel(graph, loaders, { cache, fingerprint });
}
const feed = (...rows: number[]) => ({
  x: { dtype: 'int32' as const, shape: [rows.length], data: Int32Array.from(rows) },
});

test('weights are written once, mapped by every worker, and never used for another checkpoint', async () => {
  const before = loads;
  const [first] = [await compile('a'), await compile('a')];
  expect(loads - before).toBe(1);
  const other = await compile('b', 2);
  expect(other.file).not.toBe(first.file);
  for (const prepack of [true, false]) {
    const runtime = await Runtime.open(first.file, { workers: 2, prepack });
    const runs = await Promise.all([feed(2), feed(0, 1), feed(1)].map((values) => runtime.run(values)));
    expect(runs.map(({ y }) => [...(y!.data as Float32Array)])).toEqual([
      [5, 60],
      [1, 20, 3, 40],
      [3, 40],
    ]);
    await runtime.close();
  }
});

test('a failed run names the operation, and the worker continues', async () => {
  const runtime = await Runtime.open((await compile('a')).file);
  await expect(runtime.run(feed(7))).rejects.toThrow(ModelError);
  await expect(runtime.run(feed(7))).rejects.toThrow(/operation lookup\/Gather \(Gather\) failed: .*out of/);
  const { y } = await runtime.run(feed(0));
  expect([...(y!.data as Float32Array)]).toEqual([1, 20]);
  await runtime.close();
  await expect(runtime.run(feed(0))).rejects.toThrow(/was closed/);
});

test('an aborted run is rejected at once, the others are not', async () => {
  const runtime = await Runtime.open((await compile('a')).file);
  const control = new AbortController();
  const stopped = [feed(0), feed(1), feed(2)].map((values) => runtime.run(values, control.signal));
  const kept = runtime.run(feed(2));
  control.abort();
  for (const run of stopped) await expect(run).rejects.toThrow(AbortedError);
  expect([...((await kept).y!.data as Float32Array)]).toEqual([5, 60]);
  await runtime.close();
});

test('a compiled model that was damaged is written again or refused', async () => {
  const { file } = await compile('c');
  await truncate(join(dirname(file), 'weights.bin'), 100);
  const before = loads;
  await compile('c');
  expect(loads - before).toBe(1);
  await writeFile(file, 'not a model');
  await expect(Runtime.open(file)).rejects.toThrow(ModelError);
});

test('a process with an open runtime can end', async () => {
  const { file } = await compile('a');
  const module = pathToFileURL(workerFile(import.meta.url, './runtime.ts')).href;
  const feeds = "{ x: { dtype: 'int32', shape: [1], data: Int32Array.of(1) } }";
  const program = `const { Runtime } = await import(${JSON.stringify(module)});
    const runtime = await Runtime.open(${JSON.stringify(file)}, { workers: 2 });
    console.log(String((await runtime.run(${feeds})).y.data));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    timeout: 100_000,
  });
  expect(stdout.trim()).toBe('3,40');
});

test('a device that this runtime lacks is refused, and the available ones are named', async () => {
  const { file } = await compile('device');
  const device = process.platform === 'win32' ? 'coreml' : 'dml';
  await expect(Runtime.open(file, { device })).rejects.toThrow(UsageError);
  await expect(Runtime.open(file, { device })).rejects.toThrow(
    new RegExp(`cannot compute on ${device}; available: cpu`),
  );
});

test('each of several models is loaded at its first run; lent buffers come back, even after a failure', async () => {
  const { file } = await compile('several');
  const runtime = await Runtime.open({ good: file, gone: `${file}.none` });
  const feeds: Values = feed(2);
  const { data } = feeds.x!;
  const { y } = await runtime.lend('good', feeds);
  expect([...(y!.data as Float32Array)]).toEqual([5, 60]);
  expect(data.length).toBe(0);
  expect([...feeds.x!.data]).toEqual([2]);
  await expect(runtime.lend('gone', feeds)).rejects.toThrow(ModelError);
  expect([...feeds.x!.data]).toEqual([2]);
  await expect(runtime.lend('good', feed(7))).rejects.toThrow(/lookup\/Gather/);
  await runtime.close();
});

test('results are written into memory of the caller, which holds it again even after a failure', async () => {
  const graph = new Graph();
  const x = graph.input('x', 'int32', ['rows']);
  graph.output('y', gather(graph.weight('table', 'float32', [3, 2]), x));
  graph.output('z', gather(graph.weight('table', 'float32', [3, 2]), x));
  graph.fillsResults = true;
  const loaders = new Map([['table', async () => Float32Array.of(1, 2, 3, 4, 5, 6)]]);
  const { file } = await compileModel(graph, loaders, { cache, fingerprint: 'filled' });
  const runtime = await Runtime.open({ only: file });
  const memory = (): Values => {
    const empty = () => ({ dtype: 'float32' as const, shape: [2, 2], data: new Float32Array(4) });
    return { y: empty(), z: empty() };
  };
  const [feeds, given] = [feed(2, 0), memory()];
  const { y, z } = await runtime.lend('only', feeds, given);
  expect([...(y!.data as Float32Array), ...(z!.data as Float32Array)]).toEqual([5, 6, 1, 2, 5, 6, 1, 2]);
  expect([...feeds.x.data]).toEqual([2, 0]);
  expect(given.y!.data.length).toBe(0); // moved away, not copied
  const wrong = feed(7, 0);
  await expect(runtime.lend('only', wrong, memory())).rejects.toThrow(ModelError);
  expect([...wrong.x.data]).toEqual([7, 0]);
  // Without memory, results are returned as those of any model.
  expect([...((await runtime.lend('only', feed(1))).y!.data as Float32Array)]).toEqual([3, 4]);
  await runtime.close();
});
