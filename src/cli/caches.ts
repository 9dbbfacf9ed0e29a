import { FILE_HASH_CACHE, WORDNET_CACHE } from '../data/index.ts';
import { PROBE_CACHE, VECTOR_CACHE } from '../embed/index.ts';
import { ADAPTER_CACHE, EXPANSION_CACHE, QUICK_WEIGHTS_CACHE } from '../generate/index.ts';
import { MODEL_CACHE, MODEL_HASH_CACHE, SNAPSHOT_CACHE, TOKENIZER_TRIAL_CACHE } from '../models/index.ts';
import { GRAPH_CACHE } from '../nn/index.ts';
import { GGUF_CACHE } from '../pipeline/index.ts';
import { BM25_CACHE, COMPACT_CACHE, HNSW_CACHE } from '../search/index.ts';
import { SERVED_CACHE, SERVED_TEXTS } from '../serve/index.ts';
import type { CacheKind } from '../system/index.ts';
import { REFERENCE_CACHE } from '../train/index.ts';

/** Every kind of entry under the cache home. Each is defined next to the code that makes its entries. */
export const CACHES: readonly CacheKind[] = [
  MODEL_CACHE,
  GGUF_CACHE,
  QUICK_WEIGHTS_CACHE,
  ADAPTER_CACHE,
  GRAPH_CACHE,
  VECTOR_CACHE,
  PROBE_CACHE,
  COMPACT_CACHE,
  HNSW_CACHE,
  BM25_CACHE,
  WORDNET_CACHE,
  EXPANSION_CACHE,
  SERVED_CACHE,
  SERVED_TEXTS,
  REFERENCE_CACHE,
  FILE_HASH_CACHE,
  MODEL_HASH_CACHE,
  SNAPSHOT_CACHE,
  TOKENIZER_TRIAL_CACHE,
];
