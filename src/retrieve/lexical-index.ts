import { BM25_CACHE, Bm25Index, EngineBm25, isEngineAddress } from '../search/index.ts';
import { type Progress, refuseServerOffline } from '../system/index.ts';
import type { Corpus } from './corpus.ts';
import type { RetrievalSettings } from './settings.ts';

interface OpenOptions {
  signal: AbortSignal | undefined;
  progress: Progress;
}

/** Opens BM25 here: the lists that the corpus brings along, those in the cache, or new ones. */
export async function openLocalBm25(
  corpus: Corpus,
  { k1, b, analyzer, fields, threads }: RetrievalSettings,
  { signal, progress }: OpenOptions,
): Promise<Bm25Index> {
  const options = { k1, b, analyzer, fields, threads, signal, progress };
  if (corpus.held !== undefined) return corpus.held.lexical(options);
  const corpusHash = await corpus.corpusHash(signal);
  return Bm25Index.open(() => corpus.documents(signal), { folder: BM25_CACHE.folder(), corpusHash, ...options });
}

/** Opens BM25 in the engine of the settings, and loads what it lacks. */
export async function openRemoteBm25(
  corpus: Corpus,
  { bm25Index, k1, b, analyzer, fields, offline }: RetrievalSettings,
  { signal, progress }: OpenOptions,
): Promise<EngineBm25> {
  refuseServerOffline(bm25Index, offline);
  const [corpusHash, count] = [await corpus.corpusHash(signal), await corpus.count(signal)];
  const options = { k1, b, analyzer, fields, corpusHash, count, folder: BM25_CACHE.folder(), signal, progress };
  return EngineBm25.open(bm25Index, () => corpus.documents(signal), options);
}

/** Whether the settings name an engine for BM25. */
export function isRemoteBm25({ bm25Index }: Pick<RetrievalSettings, 'bm25Index'>): boolean {
  return isEngineAddress(bm25Index);
}
