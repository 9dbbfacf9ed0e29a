import { brokenVector } from '../dense/check-queries.ts';
import { unitRows } from '../dense/unit-rows.ts';
import type { VectorSource } from '../dense/vector-source.ts';
import { denseQueries, type QueryRows } from '../search-by-calls.ts';
import type { SearchOptions } from '../search-index.ts';
import type { EngineRows } from './engine.ts';
import type { EngineSource } from './engine-index.ts';

/** Dense vectors for an engine; of length 1 for `cosine`. */
export class DenseRows implements EngineSource<Float32Array, Float32Array> {
  readonly #source: VectorSource;
  readonly #similarity: 'dot' | 'cosine';

  constructor(source: VectorSource, similarity: 'dot' | 'cosine') {
    [this.#source, this.#similarity] = [source, similarity];
  }

  get rows(): number {
    return this.#source.rows;
  }

  id(row: number): string {
    return this.#source.id(row);
  }

  /** @throws DataError for a number that is not finite */
  async *missing(
    present: Uint8Array,
    bytes: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EngineRows<Float32Array>> {
    const { dimensions } = this.#source;
    const perCall = Math.max(1, Math.floor(bytes / (4 * dimensions)));
    for await (const { start, vectors } of this.#source.chunks(perCall, signal)) {
      const count = vectors.length / dimensions;
      const rows = Array.from({ length: count }, (_none, at) => start + at).filter((row) => present[row] === 0);
      if (rows.length === 0) continue;
      const wanted = new Float32Array(rows.length * dimensions);
      for (const [at, row] of rows.entries()) {
        wanted.set(vectors.subarray((row - start) * dimensions, (row - start + 1) * dimensions), at * dimensions);
      }
      const broken = wanted.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0) {
        const row = rows[Math.floor(broken / dimensions)]!;
        throw brokenVector(`document ${row}`, this.id(row));
      }
      const vectorsToGive = this.#similarity === 'cosine' ? unitRows(wanted, dimensions) : wanted;
      yield { rows, ids: rows.map((row) => this.id(row)), vectors: vectorsToGive };
    }
  }

  queries(queries: Float32Array, options: SearchOptions): QueryRows<Float32Array> {
    const { dimensions } = this.#source;
    return denseQueries(queries, { dimensions, similarity: this.#similarity }, options);
  }
}
