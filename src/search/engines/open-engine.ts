import { UsageError } from '../../system/index.ts';
import type { VectorFormat } from '../dense/vector-format.ts';
import type { VectorSource } from '../dense/vector-source.ts';
import { DenseRows } from './dense-rows.ts';
import type { EngineContent, HnswSettings } from './engine.ts';
import { parseEngineAddress } from './engine-address.ts';
import { EngineIndex, type EngineOptions } from './engine-index.ts';
import { MilvusEngine } from './milvus-engine.ts';
import { milvusDense } from './milvus-forms.ts';
import { PostgresEngine } from './postgres-engine.ts';
import { postgresDense } from './postgres-vectors.ts';

export interface OpenEngineOptions extends EngineOptions {
  similarity: 'dot' | 'cosine';
  /** The content key of the vectors. */
  key: string;
  format: VectorFormat;
  hnsw: HnswSettings;
}

/**
 * Connects to the engine of an address, loads what it lacks, and opens it for search.
 * @throws UsageError for an address or a format that it does not know; ResourceError if its client is not installed
 */
export async function openEngine(
  address: string,
  source: VectorSource,
  { key, format, similarity, hnsw, ...options }: OpenEngineOptions,
): Promise<EngineIndex<Float32Array, Float32Array>> {
  const parsed = parseEngineAddress(address);
  if (format === 'int8') {
    throw new UsageError(`--vectors int8 does not work with ${parsed.shown}`, {
      fix: 'Pass --vectors f16 or f32, or search with --index exact.',
    });
  }
  const { dimensions, rows } = source;
  const content: EngineContent = { key, dimensions, similarity, format, rows };
  const engine =
    parsed.kind === 'milvus'
      ? await MilvusEngine.connect(parsed, content, milvusDense(content), hnsw)
      : await PostgresEngine.connect(parsed, content, postgresDense(content), hnsw);
  return EngineIndex.open(engine, new DenseRows(source, similarity), options);
}
