import { type Document, documentText } from '../../data/index.ts';
import type { IndexedText } from './inverted-lists.ts';

/**
 * What is searched: title and text as one field, or both, in which a document's score is the sum of its title's and its
 * text's, each with its own lengths and idf (Anserini's BEIR indexes "flat" and "multifield").
 */
export const BM25_FIELDS = ['flat', 'multifield'] as const;
export type Bm25Fields = (typeof BM25_FIELDS)[number];

const FIELD_TEXTS: Record<Bm25Fields, (document: Document) => string[]> = {
  flat: (document) => [documentText(document)],
  multifield: ({ title, text }) => [title, text],
};

export function fieldCount(fields: Bm25Fields): number {
  return FIELD_TEXTS[fields]({ id: '', title: '', text: '' }).length;
}

export async function* fieldTexts(
  documents: Iterable<Document> | AsyncIterable<Document>,
  fields: Bm25Fields,
): AsyncGenerator<IndexedText> {
  for await (const document of documents) yield { id: document.id, texts: FIELD_TEXTS[fields](document) };
}
