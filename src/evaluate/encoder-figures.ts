import { join } from 'node:path';
import type { BeirDataset } from '../data/index.ts';
import type { ModelStore } from '../models/index.ts';
import { CorpusSearch, type RetrievalSettings } from '../retrieve/index.ts';
import type { Progress } from '../system/index.ts';
import { runArm } from './arms.ts';
import { describeMissing } from './missing-documents.ts';
import { type Topics, withoutExpansions } from './topics.ts';

/** What chooses the best checkpoint of an encoder. */
const MEASURE = 'nDCG@10';
const EXPANDED = `expanded ${MEASURE}`;
/** Deep enough for nDCG@10 and for a document that is left out. */
const DEPTH = 100;

export interface EncoderFiguresOptions {
  /** Whether the encoder is trained to search with raw queries only. Otherwise expanded queries choose, if there are any. */
  searchesRaw: boolean;
  /** Settings of a search with the encoder in a folder. */
  retrieval: (encoder: string) => RetrievalSettings;
  /** Whether training changes the vectors of documents. Default true. */
  documentsChange?: boolean | undefined;
  keepSelf?: boolean | undefined;
  store?: ModelStore | undefined;
  /** Receives a warning, once, if relevant documents are not in the corpus. */
  warn?: ((line: string) => void) | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Measures an encoder in a folder by searching a data set: nDCG@10 of raw queries, and of expanded ones if the topics hold
 * expansions. The first figure is the one that chooses a checkpoint.
 * @returns the measurement; `scratch`, if it is given, holds what is computed from that encoder alone
 */
export function encoderFigures(
  dataset: BeirDataset,
  topics: Topics,
  {
    searchesRaw,
    retrieval,
    documentsChange = true,
    keepSelf = false,
    store,
    warn,
    signal,
    progress,
  }: EncoderFiguresOptions,
): (encoder: string, signal?: AbortSignal, scratch?: string) => Promise<Record<string, number>> {
  const isExpanded = topics.queries.some(({ expansions }) => expansions.length > 0);
  let isChecked = false;
  return async (encoder, _signal, scratch) => {
    const graphs = scratch && join(scratch, 'graphs');
    const vectors = scratch && documentsChange ? join(scratch, 'vectors') : undefined;
    const settings = { ...retrieval(encoder), depth: DEPTH };
    const search = new CorpusSearch(dataset, settings, { signal, progress, store, graphs, vectors });
    try {
      const retriever = await search.retriever('dense');
      const missing = isChecked ? undefined : await describeMissing(search, topics);
      isChecked = true;
      if (missing !== undefined) warn?.(missing);
      const measure = async (some: Topics) => {
        const plan = { name: 'dev', description: 'dense', retriever, topics: some };
        return (await runArm(plan, { depth: DEPTH, dropSelf: !keepSelf, signal })).scores.mean[MEASURE]!;
      };
      const raw = await measure(withoutExpansions(topics));
      if (!isExpanded) return { [MEASURE]: raw };
      const expanded = await measure(topics);
      return searchesRaw ? { [MEASURE]: raw, [EXPANDED]: expanded } : { [EXPANDED]: expanded, [MEASURE]: raw };
    } finally {
      await search.close();
    }
  };
}

/** Whether training leads to an encoder of raw queries: those that are trained on the query alone, or drawn to expanded ones. */
export function searchesRawQueries({ method, querySide }: { method: string; querySide: string }): boolean {
  return querySide === 'query' || method === 'distil' || method === 'ridge';
}
