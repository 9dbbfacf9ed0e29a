import {
  COMPACT_CACHE,
  CompactVectors,
  ExactIndex,
  HNSW_CACHE,
  HnswIndex,
  isEngineAddress,
  JoinedIndex,
  type JoinedPart,
  JoinedVectors,
  openEngine,
  RecallChecked,
  type SearchIndex,
  type VectorSource,
} from '../search/index.ts';
import { type Progress, refuseServerOffline, UsageError } from '../system/index.ts';
import type { CorpusVectors } from './corpus-vectors.ts';
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
  vectors: CorpusVectors,
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

async function openGraph(vectors: CorpusVectors, settings: RetrievalSettings, options: OpenOptions) {
  const { similarity, threads, vectors: format, hnswM: m, hnswEfConstruction: efConstruction, hnswEf: ef } = settings;
  if (format === 'int8') {
    throw new UsageError('--vectors int8 does not work with --index hnsw', { fix: 'Pass --vectors f16 or f32.' });
  }
  const { folder = HNSW_CACHE.folder(), signal, progress } = options;
  const hnsw = { m, efConstruction, ef };
  const how = { folder, similarity, format, hnsw, threads, signal, progress };
  if (vectors.parts === undefined) return HnswIndex.open(vectors, { key: vectors.manifest.key, ...how });
  const graphs: JoinedPart[] = [];
  try {
    for (const { source, key, live } of vectors.parts) {
      graphs.push({ index: await HnswIndex.open(source, { key, ...how }), deleted: deletedIds(source, live) });
    }
  } catch (error) {
    for (const { index } of graphs) await index.close?.();
    throw error;
  }
  return new JoinedIndex(graphs, vectors.dimensions);
}

async function openRemote(vectors: CorpusVectors, settings: RetrievalSettings, { signal, progress }: OpenOptions) {
  const { index, similarity, vectors: format, hnswM: m, hnswEfConstruction: efConstruction, hnswEf: ef } = settings;
  refuseServerOffline(index, settings.offline);
  const hnsw = { m, efConstruction, ef };
  return openEngine(index, vectors, { key: vectors.manifest.key, format, similarity, hnsw, signal, progress });
}

async function openCompact(
  vectors: CorpusVectors,
  settings: RetrievalSettings,
  { folder = COMPACT_CACHE.folder(), signal, progress }: OpenOptions,
): Promise<SearchIndex<Float32Array>> {
  const { similarity, threads, vectors: format } = settings;
  if (format === 'f32') return ExactIndex.open(vectors, { similarity, threads });
  const { key, encoder } = vectors.manifest;
  const how = { folder, format, unit: similarity === 'cosine', signal, progress };
  const parts = await Promise.all(
    (vectors.parts ?? [{ source: vectors, key, live: undefined }]).map(async (part) => {
      const compact = await CompactVectors.open(part.source, { ...how, key: part.key });
      await COMPACT_CACHE.note(compact.file, `${compact.rows} documents, encoded by ${encoder.id}`);
      return { source: compact, live: part.live };
    }),
  );
  const [first] = parts;
  const whole = vectors.parts === undefined ? first!.source : new JoinedVectors(parts, vectors.dimensions);
  return ExactIndex.open(whole, { similarity, threads });
}

/** Ids of the rows that do not count. */
function deletedIds(source: VectorSource, live: Uint32Array | undefined): Set<string> {
  const deleted = new Set<string>();
  if (live === undefined) return deleted;
  const kept = new Set(live);
  for (let row = 0; row < source.rows; row++) if (!kept.has(row)) deleted.add(source.id(row));
  return deleted;
}
