import { pickRows, type SparseRows } from '../bm25/sparse-rows.ts';
import type { EngineContent } from './engine.ts';

/** How rows of one kind are counted and divided. */
export interface RowForm<V> {
  count(rows: V): number;
  slice(rows: V, from: number, to: number): V;
}

/** Row-major matrices // [rows, dimensions] */
export function denseForm({ dimensions }: Pick<EngineContent, 'dimensions'>): RowForm<Float32Array> {
  return {
    count: (rows) => rows.length / dimensions,
    slice: (rows, from, to) => rows.subarray(from * dimensions, to * dimensions),
  };
}

export const SPARSE_FORM: RowForm<SparseRows> = {
  count: ({ starts }) => starts.length - 1,
  slice: pickRows,
};
