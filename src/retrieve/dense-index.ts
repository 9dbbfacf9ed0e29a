import type { VectorFile } from '../embed/index.ts';
import { COMPACT_CACHE, CompactVectors, ExactIndex, RecallChecked, type SearchIndex } from '../search/index.ts';
import type { Progress } from '../system/index.ts';
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
  if (settings.vectors === 'f32') return exact;
  const { dimensions } = vectors;
  return new RecallChecked(await openCompact(vectors, settings, options), exact, {
    ...{ dimensions, sample: recallSample, what: `Vectors stored as ${settings.vectors}` },
    facts: { vectors: settings.vectors },
  });
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
