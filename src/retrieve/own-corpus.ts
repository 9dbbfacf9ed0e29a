import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { BeirDataset, cachedSha256, countDocuments, readCorpus } from '../data/index.ts';
import { IndexSnapshot, isIndexFolder } from '../segments/index.ts';
import { systemFault } from '../system/index.ts';
import type { Corpus } from './corpus.ts';

/**
 * Opens a corpus without judgements: a folder in BEIR's layout, an index folder as it is now, or one JSONL file with one document per line
 * (`{"_id", "title"?, "text"}`), gzip allowed.
 *
 * @throws DataError if the path does not exist, or the folder holds no corpus
 */
export async function openCorpus(path: string): Promise<Corpus> {
  const file = resolve(path);
  const found = await stat(file).catch((error: unknown) => {
    throw systemFault(error, file);
  });
  if (found.isDirectory()) return (await isIndexFolder(file)) ? openIndex(file) : BeirDataset.open(file);
  return {
    count: (signal) => countDocuments(file, signal),
    documents: (signal) => readCorpus(file, signal),
    corpusHash: (signal) => cachedSha256(file, signal),
  };
}

async function openIndex(folder: string): Promise<Corpus> {
  const snapshot = await IndexSnapshot.open(folder);
  return corpusOfIndex(snapshot);
}

/** One generation of an index folder as a corpus, which closes it. */
export function corpusOfIndex(snapshot: IndexSnapshot): Corpus {
  return {
    documents: (signal) => snapshot.documents(signal),
    count: () => snapshot.count(),
    corpusHash: () => snapshot.corpusHash(),
    lookUp: (ids) => snapshot.lookUp(ids),
    close: () => snapshot.close(),
    held: snapshot,
  };
}
