import type { Document } from '../../data/index.ts';
import type { Progress } from '../../system/index.ts';
import { type AnalyzerName, openAnalyzer } from './analyzers.ts';
import { type Bm25Fields, fieldCount, fieldTexts } from './field-texts.ts';
import { buildInvertedLists } from './inverted-lists.ts';
import { writeInvertedLists } from './inverted-lists-file.ts';
import { ANSERINI_BM25 } from './lucene-bm25.ts';
import { type ListSegment, mergeInvertedLists } from './merge-lists.ts';

export interface SegmentListsOptions {
  analyzer: AnalyzerName;
  fields: Bm25Fields;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Number of documents: only for the progress. */
  count?: number | undefined;
}

/**
 * Writes the lists of some documents, for `Bm25Index.ofSegments`.
 * @param key identifies the documents
 * @throws DataError for a duplicate id; ResourceError; AbortedError
 */
export async function writeSegmentLists(
  file: string,
  key: string,
  documents: AsyncIterable<Document>,
  { analyzer: name, fields, ...options }: SegmentListsOptions,
): Promise<void> {
  const analyzer = await openAnalyzer(name);
  const how = { ...ANSERINI_BM25, ...options, analyzer, fields: fieldCount(fields) };
  await writeInvertedLists(file, key, await buildInvertedLists(fieldTexts(documents, fields), how), options.signal);
}

/** Writes the lists of the documents of several segments that are left. */
export async function writeMergedLists(
  file: string,
  key: string,
  segments: readonly ListSegment[],
  { fields, signal }: Pick<SegmentListsOptions, 'fields' | 'signal'>,
): Promise<void> {
  const how = { ...ANSERINI_BM25, fields: fieldCount(fields), signal };
  await writeInvertedLists(file, key, await mergeInvertedLists(segments, how), signal);
}
