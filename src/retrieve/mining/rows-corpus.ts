import type { RetrieverRow } from '../../data/index.ts';
import { IdSet } from '../../files/index.ts';
import { contentKey } from '../../system/index.ts';
import type { Corpus } from '../corpus.ts';
import { textKeyOf } from './text-key.ts';

/**
 * The documents of training rows as a corpus: each positive and negative once. A document without an id is named by its text.
 * @param hash of the rows
 */
export function corpusOfRows(rows: () => AsyncIterable<RetrieverRow>, hash: string): Corpus {
  async function* documents() {
    const [ids, texts] = [new IdSet(), new IdSet()];
    for await (const { positives, negatives } of rows()) {
      for (const { id, text } of [...positives, ...negatives]) {
        const key = textKeyOf(text);
        const name = id ?? `text-${key}`;
        if (!texts.add(key) || !ids.add(name)) continue;
        yield { id: name, title: '', text };
      }
    }
  }
  return {
    documents,
    async count() {
      let count = 0;
      for await (const _document of documents()) count++;
      return count;
    },
    corpusHash: async () => contentKey(['corpus of rows', hash]),
  };
}
