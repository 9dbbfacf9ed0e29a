import type { VectorFormat, VectorNumbers } from './vector-format.ts';
import type { VectorChunk, VectorSource } from './vector-source.ts';

/** Some rows of a source. */
export interface VectorPart<N extends VectorNumbers = Float32Array> {
  source: VectorSource<N>;
  /** The rows that count, ascending; undefined for all. */
  live?: Uint32Array | undefined;
}

/** The vectors of several sources as one, without rows that were deleted from them. */
export class JoinedVectors<N extends VectorNumbers = Float32Array> implements VectorSource<N> {
  readonly rows: number;
  readonly dimensions: number;
  readonly #parts: readonly VectorPart<N>[];
  /** First row of each part, and the number of all rows // [parts + 1] */
  readonly #starts: number[] = [0];

  /** @param dimensions needed if there are no parts */
  constructor(parts: readonly VectorPart<N>[], dimensions: number) {
    [this.#parts, this.dimensions] = [parts, dimensions];
    for (const part of parts) this.#starts.push(this.#starts.at(-1)! + rowsOf(part));
    this.rows = this.#starts.at(-1)!;
  }

  get format(): VectorFormat {
    return this.#parts[0]?.source.format ?? 'f32';
  }

  get isUnit(): boolean {
    return this.#parts[0]?.source.isUnit ?? false;
  }

  id(row: number): string {
    const { part, row: inside } = this.locate(row);
    return this.#parts[part]!.source.id(inside);
  }

  /** Returns where a row stands: its part, and its row in the source of that. */
  locate(row: number): { part: number; row: number } {
    let [low, high] = [0, this.#parts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= row) low = middle;
      else high = middle - 1;
    }
    const inside = row - this.#starts[low]!;
    return { part: low, row: this.#parts[low]!.live?.[inside] ?? inside };
  }

  async *chunks(rowsPerChunk: number, signal?: AbortSignal): AsyncGenerator<VectorChunk<N>> {
    for (const [at, { source, live }] of this.#parts.entries()) {
      let start = this.#starts[at]!;
      let next = 0;
      for await (const chunk of source.chunks(rowsPerChunk, signal)) {
        const count = chunk.vectors.length / this.dimensions;
        if (live === undefined) {
          yield { ...chunk, start };
          start += count;
          continue;
        }
        const first = next;
        while (next < live.length && live[next]! < chunk.start + count) next++;
        if (next === first) continue;
        yield { ...pickRows(chunk, live.subarray(first, next), this.dimensions), start };
        start += next - first;
      }
    }
  }
}

function rowsOf({ source, live }: VectorPart<VectorNumbers>): number {
  return live?.length ?? source.rows;
}

/** Keeps some rows of a chunk, in place: the receiver owns it. */
function pickRows<N extends VectorNumbers>(chunk: VectorChunk<N>, rows: Uint32Array, dimensions: number) {
  const { start, vectors, scales } = chunk;
  for (const [to, row] of rows.entries()) {
    const from = row - start;
    vectors.copyWithin(to * dimensions, from * dimensions, (from + 1) * dimensions);
    if (scales !== undefined) scales[to] = scales[from]!;
  }
  const kept = vectors.slice(0, rows.length * dimensions) as N;
  return { vectors: kept, ...(scales !== undefined && { scales: scales.slice(0, rows.length) }) };
}
