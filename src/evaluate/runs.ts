import type { Run, ScoredDocument } from '../measures/index.ts';

/** Joins query ids with their hits, row by row. */
export function toRun(ids: readonly string[], hits: readonly ScoredDocument[][]): Run {
  return new Map(ids.map((id, row) => [id, hits[row] ?? []]));
}
