import { cp, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compileGraphs } from './compiled-model.ts';
import { Graph } from './graph.ts';
import { multiply, reduceSum } from './operations/index.ts';

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-compiled-'));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

function graphOf(result: 'product' | 'sum'): Graph {
  const graph = new Graph();
  const product = multiply(graph.input('x', 'float32', [2]), graph.weight('scale', 'float32', [2]));
  graph.output('y', result === 'sum' ? reduceSum(product, [0]) : product);
  return graph;
}

/** Compiles both graphs. @returns the files of graphs and weights, and how often a weight was read */
async function compile() {
  let reads = 0;
  const load = async () => {
    reads++;
    return Float32Array.of(2, 3);
  };
  const graphs = { product: graphOf('product'), sum: graphOf('sum') };
  const { files } = await compileGraphs(graphs, new Map([['scale', load]]), { cache, fingerprint: 'tiny' });
  const { product, sum } = files as { product: string; sum: string };
  return { product, sum, weights: join(dirname(sum), 'weights.bin'), reads };
}

/** Returns the creation time of a file: every write renames a new file into place. */
const madeAt = async (file: string) => {
  const { ino, birthtimeNs, mtimeNs } = await stat(file, { bigint: true });
  return [ino, birthtimeNs, mtimeNs];
};

test('writes only the missing graphs of a set again', async () => {
  const { product, sum, weights, reads } = await compile();
  expect(reads).toBe(1);
  const content = await readFile(sum);
  const [oldProduct, oldWeights] = [await madeAt(product), await madeAt(weights)];
  await rm(sum);
  expect(await compile()).toEqual({ product, sum, weights, reads: 0 });
  expect(await readFile(sum)).toEqual(content);
  expect([await madeAt(product), await madeAt(weights)]).toEqual([oldProduct, oldWeights]);
});

test('writes truncated weights again, but not the graphs', async () => {
  const { product, sum, weights } = await compile();
  const content = await readFile(weights);
  const old = [await madeAt(product), await madeAt(sum)];
  await truncate(weights, 5);
  expect((await compile()).reads).toBe(1);
  expect(await readFile(weights)).toEqual(content);
  expect([await madeAt(product), await madeAt(sum)]).toEqual(old);
});

test('writes damaged weights and graphs again, even if their size is right', async () => {
  const { sum, weights } = await compile();
  const [graph, content] = [await readFile(sum), await readFile(weights)];
  const file = await open(weights, 'r+');
  await file.write(Buffer.alloc(4), 0, 4, 0);
  await file.close();
  await writeFile(sum, Buffer.alloc(graph.length));
  expect((await compile()).reads).toBe(1);
  expect([await readFile(sum), await readFile(weights)]).toEqual([graph, content]);
});

test('a copied cache, and one with other times, is used as it is', async () => {
  await compile();
  const first = cache;
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-compiled-'));
  await cp(first, cache, { recursive: true });
  expect((await compile()).reads).toBe(0);
  await rm(first, { recursive: true });
});

test('weights without a seal, of an earlier version or a killed process, are written again', async () => {
  const { weights } = await compile();
  await rm(`${weights}.seal.json`);
  expect((await compile()).reads).toBe(1);
  expect((await compile()).reads).toBe(0);
});
