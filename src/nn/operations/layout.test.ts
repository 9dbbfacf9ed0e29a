import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileModel } from '../compiled-model.ts';
import { Graph } from '../graph.ts';
import { Runtime } from '../runtime.ts';
import { scatterAdd } from './index.ts';

test('no row is lost if several threads add rows of the same index', async () => {
  const [rows, places, columns, rounds] = [12288, 128, 384, 4];
  const cache = await mkdtemp(join(tmpdir(), 'llm-qe-layout-'));
  const graph = new Graph();
  const updates = graph.input('updates', 'float32', ['rows', columns]);
  graph.output('sums', scatterAdd(updates, graph.input('indices', 'int32', ['rows']), [places, columns]));
  const { file } = await compileModel(graph, new Map(), { cache, fingerprint: 'none' });
  const runtime = await Runtime.open(file, { threads: 2 });
  try {
    for (let round = 0; round < rounds; round++) {
      const { sums } = await runtime.run({
        updates: { dtype: 'float32', shape: [rows, columns], data: new Float32Array(rows * columns).fill(1) },
        indices: { dtype: 'int32', shape: [rows], data: Int32Array.from({ length: rows }, (_, row) => row % places) },
      });
      expect(new Set(sums!.data as Float32Array)).toEqual(new Set([rows / places]));
    }
  } finally {
    await runtime.close();
    await rm(cache, { recursive: true });
  }
});
