import { z } from 'zod';
import { duplicateId, IdSet, idSchema, readJsonl } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import type { Document, Query } from './records.ts';

/** A line of BEIR's `corpus.jsonl`. The title may be missing. Other fields are passed on unchanged and never searched. */
export const documentSchema = z
  .looseObject({ _id: idSchema, title: z.string().nullish(), text: z.string() })
  .transform(({ _id, title, text, ...others }): Document => {
    const document = { id: _id, title: title ?? '', text };
    const metadata = metadataOf(others);
    return Object.keys(metadata).length === 0 ? document : { ...document, metadata };
  });

/** Merges the fields of BEIR's object `metadata` with the other fields of the line. */
function metadataOf({ metadata: nested, ...others }: Record<string, unknown>): Record<string, unknown> {
  if (nested === undefined) return others;
  const isObject = typeof nested === 'object' && nested !== null && !Array.isArray(nested);
  return isObject ? { ...nested, ...others } : { metadata: nested, ...others };
}

/** A line of BEIR's `queries.jsonl`: `text` is the query, or the query followed by its expansions. */
export const querySchema = z
  .object({
    _id: idSchema,
    text: z.union([z.string(), z.tuple([z.string()], z.string())], {
      error: 'expected a string, or a list of strings that begins with the query',
    }),
  })
  .transform(({ _id, text }): Query => {
    if (typeof text === 'string') return { id: _id, text };
    const [query, ...expansions] = text;
    return expansions.length === 0 ? { id: _id, text: query } : { id: _id, text: query, expansions };
  });

/**
 * Reads a corpus (BEIR's JSONL, possibly gzipped) as a stream.
 *
 * @throws DataError if a line is broken, if an id occurs twice, or if there are no documents
 */
export async function* readCorpus(file: string, signal?: AbortSignal): AsyncGenerator<Document> {
  const seen = new IdSet();
  for await (const { value, line } of readJsonl(file, documentSchema, signal)) {
    if (!seen.add(value.id)) throw duplicateId(file, line, value.id, 'document');
    yield value;
  }
  if (seen.size === 0) {
    throw new DataError('the corpus holds no document', {
      file,
      fix: 'Use a file with one document per line: {"_id": "...", "title": "...", "text": "..."}.',
    });
  }
}

/**
 * Returns the number of documents in a corpus file. Every line is checked as in {@link readCorpus}, so a broken line near the end
 * is found before hours of embedding.
 *
 * @throws DataError
 */
export async function countDocuments(file: string, signal?: AbortSignal): Promise<number> {
  let count = 0;
  for await (const _document of readCorpus(file, signal)) count++;
  return count;
}

/**
 * Reads queries (BEIR's JSONL, possibly gzipped), in the file's order.
 *
 * @throws DataError if a line is broken, if an id occurs twice, or if there are no queries
 */
export async function readQueries(file: string, signal?: AbortSignal): Promise<Map<string, Query>> {
  const queries = new Map<string, Query>();
  for await (const { value, line } of readJsonl(file, querySchema, signal)) {
    if (queries.has(value.id)) throw duplicateId(file, line, value.id, 'query');
    queries.set(value.id, value);
  }
  if (queries.size > 0) return queries;
  throw new DataError('the file holds no query', {
    file,
    fix: 'Use a file with one query per line: {"_id": "...", "text": "..."}.',
  });
}
