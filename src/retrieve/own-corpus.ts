import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { BeirDataset, cachedSha256, countDocuments, readCorpus } from '../data/index.ts';
import { systemFault } from '../system/index.ts';
import type { Corpus } from './corpus-search.ts';

/**
 * Opens a corpus without judgements: a folder in BEIR's layout, or one JSONL file with one document per line
 * (`{"_id", "title"?, "text"}`), gzip allowed.
 *
 * @throws DataError if the path does not exist, or the folder holds no corpus
 */
export async function openCorpus(path: string): Promise<Corpus> {
  const file = resolve(path);
  const found = await stat(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  if (found.isDirectory()) return BeirDataset.open(file);
  return {
    count: (signal) => countDocuments(file, signal),
    documents: (signal) => readCorpus(file, signal),
    corpusHash: (signal) => cachedSha256(file, signal),
  };
}
