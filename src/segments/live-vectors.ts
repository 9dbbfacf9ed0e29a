import type { VectorManifest } from '../embed/index.ts';
import { JoinedVectors, type VectorPart } from '../search/index.ts';

/** Vectors of one segment, with a key of their content. */
export interface KeyedPart extends VectorPart {
  /** Of all its vectors, those of deleted documents too. */
  key: string;
}

/** The vectors of the documents of an index that count. */
export class LiveVectors extends JoinedVectors {
  /** What can be made of a segment (smaller vectors, a graph) stays valid while others come and go. */
  readonly parts: readonly KeyedPart[];
  readonly manifest: Pick<VectorManifest, 'key' | 'encoder' | 'rows' | 'cut'>;
  readonly #pick: (part: number, row: number) => Promise<Float32Array>;
  #ids: readonly string[] | undefined;

  constructor(
    parts: readonly KeyedPart[],
    manifest: LiveVectors['manifest'],
    dimensions: number,
    pick: (part: number, row: number) => Promise<Float32Array>,
  ) {
    super(parts, dimensions);
    [this.parts, this.manifest, this.#pick] = [parts, manifest, pick];
  }

  /** Ids of documents or passages, by row. */
  get ids(): readonly string[] {
    this.#ids ??= Array.from({ length: this.rows }, (_none, row) => this.id(row));
    return this.#ids;
  }

  /** Reads single rows, in any order // [rows, dimensions] */
  async pick(rows: readonly number[]): Promise<Float32Array> {
    const vectors = new Float32Array(rows.length * this.dimensions);
    for (const [at, row] of rows.entries()) {
      const { part, row: inside } = this.locate(row);
      vectors.set(await this.#pick(part, inside), at * this.dimensions);
    }
    return vectors;
  }

  /** The snapshot holds the files. */
  async close(): Promise<void> {}
}
