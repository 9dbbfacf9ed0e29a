import { join } from 'node:path';
import { BeirDataset, buildWordnetDataset } from '../src/data/index.ts';
import type { Qrels } from '../src/measures/index.ts';

/** WordNet as a retrieval data set: real short texts that come with the package. */
export interface WordnetTexts {
  documents: { id: string; text: string }[];
  queries: { id: string; text: string }[];
  qrels: Qrels;
}

/** Builds the data set in a folder and reads it: glosses, the test split's questions, judgements. */
export async function readWordnet(folder: string, corpus: number, test: number): Promise<WordnetTexts> {
  const out = join(folder, 'wordnet');
  await buildWordnetDataset({ out, corpus, train: 0, dev: 0, test });
  const dataset = await BeirDataset.open(out);
  const documents: WordnetTexts['documents'] = [];
  for await (const { id, text } of dataset.documents()) documents.push({ id, text });
  const qrels = await dataset.qrels('test');
  const queries = [...(await dataset.queries()).values()].filter(({ id }) => qrels.has(id));
  return { documents, queries, qrels };
}

/** Text `at` of a longer kind: several neighbouring glosses as one. */
export function joinGlosses(documents: readonly { text: string }[], at: number, count: number): string {
  const picked = Array.from({ length: count }, (_none, offset) => documents[(at + offset) % documents.length]!.text);
  return picked.join('. ');
}
