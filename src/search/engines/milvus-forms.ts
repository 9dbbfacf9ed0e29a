import type { SparseRows } from '../bm25/sparse-rows.ts';
import type { EngineContent } from './engine.ts';
import { denseForm, type RowForm, SPARSE_FORM } from './engine-form.ts';

/** A vector as the client of Milvus takes it: numbers, or a number for each term. */
export type MilvusVector = number[] | Record<number, number>;

/** How rows are stored in a collection. */
export interface MilvusForm<V> extends RowForm<V> {
  /** The type of the vector field, as Milvus names it. */
  dataType: 'FloatVector' | 'SparseFloatVector';
  /** The index that finds exactly the best. */
  exactIndex: 'FLAT' | 'SPARSE_INVERTED_INDEX';
  vectors(rows: V): MilvusVector[];
}

export function milvusDense(content: EngineContent): MilvusForm<Float32Array> {
  const form = denseForm(content);
  return {
    ...form,
    dataType: 'FloatVector',
    exactIndex: 'FLAT',
    vectors: (rows) =>
      Array.from({ length: form.count(rows) }, (_none, at) => Array.from(form.slice(rows, at, at + 1))),
  };
}

export const MILVUS_SPARSE: MilvusForm<SparseRows> = {
  ...SPARSE_FORM,
  dataType: 'SparseFloatVector',
  exactIndex: 'SPARSE_INVERTED_INDEX',
  vectors: ({ starts, terms, weights }) =>
    Array.from({ length: starts.length - 1 }, (_none, row) => {
      const vector: Record<number, number> = {};
      for (let at = starts[row]!; at < starts[row + 1]!; at++) vector[terms[at]!] = weights[at]!;
      return vector;
    }),
};
