import type { VectorFile } from '../embed/index.ts';
import {
  COMPACT_CACHE,
  CompactVectors,
  ExactIndex,
  HNSW_CACHE,
  HnswIndex,
  isEngineAddress,
  openEngine,
  RecallChecked,
  type SearchIndex,
} from '../search/index.ts';
import { type Progress, refuseServerOffline, UsageError } from '../system/index.ts';
import type { RetrievalSettings } from './settings.ts';

interface OpenOptions {
  /** Folder of what is made from the vectors. Default: the caches. */
  folder?: string | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Opens the index of the settings over the vectors of a corpus. One that may miss documents measures its recall against exact
 * search in f32, on a sample of the queries of its first search.
 */
export async function openDenseIndex(
  vectors: VectorFile,
  settings: RetrievalSettings,
  options: OpenOptions,
): Promise<SearchIndex<Float32Array>> {
  const { similarity, threads, recallSample } = settings;
  const exact = await ExactIndex.open(vectors, { similarity, threads });
  const { dimensions } = vectors;
  const checked = { dimensions, sample: recallSample };
  if (isEngineAddress(settings.index)) {
    const engine = await openRemote(vectors, settings, options);
    return new RecallChecked(engine, exact, { ...checked, what: `Searched in ${settings.index}`, facts: engine.facts });
  }
  if (settings.index === 'hnsw') {
    const graph = await openGraph(vectors, settings, options);
    return new RecallChecked(graph, exact, { ...checked, what: 'Searched in an HNSW graph', facts: graph.facts });
  }
  if (settings.vectors === 'f32') return exact;
  return new RecallChecked(await openCompact(vectors, settings, options), exact, {
    ...{ ...checked, what: `Vectors stored as ${settings.vectors}`, facts: { vectors: settings.vectors } },
  });
}

function openGraph(vectors: VectorFile, settings: RetrievalSettings, options: OpenOptions): Promise<HnswIndex> {
  const { similarity, threads, vectors: format, hnswM: m, hnswEfConstruction: efConstruction, hnswEf: ef } = settings;
  if (format === 'int8') {
    throw new UsageError('--vectors int8 does not work with --index hnsw', { fix: 'Pass --vectors f16 or f32.' });
  }
  const { folder = HNSW_CACHE.folder(), signal, progress } = options;
  const { key } = vectors.manifest;
  const hnsw = { m, efConstruction, ef };
  return HnswIndex.open(vectors, { folder, key, similarity, format, hnsw, threads, signal, progress });
}

async function openRemote(vectors: VectorFile, settings: RetrievalSettings, { signal, progress }: OpenOptions) {
  const { index, similarity, vectors: format, hnswM: m, hnswEfConstruction: efConstruction, hnswEf: ef } = settings;
  refuseServerOffline(index, settings.offline);
  const hnsw = { m, efConstruction, ef };
  return openEngine(index, vectors, { key: vectors.manifest.key, format, similarity, hnsw, signal, progress });
}

async function openCompact(
  vectors: VectorFile,
  settings: RetrievalSettings,
  { folder = COMPACT_CACHE.folder(), signal, progress }: OpenOptions,
): Promise<SearchIndex<Float32Array>> {
  const { similarity, threads, vectors: format } = settings;
  if (format === 'f32') return ExactIndex.open(vectors, { similarity, threads });
  const { key, encoder, rows } = vectors.manifest;
  const unit = similarity === 'cosine';
  const compact = await CompactVectors.open(vectors, { folder, key, format, unit, signal, progress });
  await COMPACT_CACHE.note(compact.file, `${rows} documents, encoded by ${encoder.id}`);
  return ExactIndex.open(compact, { similarity, threads });
}
