import { queryTextOf, type RetrieverRow } from '../../data/index.ts';
import { IdSet } from '../../files/index.ts';
import type { Qrels } from '../../measures/index.ts';
import { textKeyOf } from './text-key.ts';

/**
 * Everything that is relevant to each query, by any row of the query and by judgements: 13 to 27 bytes per document. Rows of one query
 * are those of the same text; judgements belong to the rows with the id of their query.
 */
export class RelevantDocuments {
  readonly #pairs = new IdSet();
  readonly #queries = new IdSet();
  /** Of queries with more than one. */
  readonly #counts = new Map<string, number>();
  /** The greatest number of relevant documents of one query. */
  most = 1;

  addRow(row: RetrieverRow): void {
    const query = textKeyOf(queryTextOf(row));
    for (const passage of row.positives) {
      if (this.#pairs.add(`${query} text ${textKeyOf(passage.text)}`)) this.#count(query);
      if (passage.id !== undefined) this.#pairs.add(`${query} id ${passage.id}`);
    }
  }

  addJudgements(qrels: Qrels): void {
    for (const [query, documents] of qrels) {
      for (const [document, grade] of documents) {
        if (grade > 0 && this.#pairs.add(`judged ${query} ${document}`)) this.#count(`judged ${query}`);
      }
    }
  }

  /** Returns why a document is relevant to the query of a row; undefined if it is not, as far as is known. */
  faultOf(
    row: RetrieverRow,
    { id, keys }: { id: string; keys: readonly string[] },
  ): 'relevant' | 'equalText' | undefined {
    const query = textKeyOf(queryTextOf(row));
    const isJudged = this.#pairs.has(`judged ${row.id} ${id}`) || this.#pairs.has(`${query} id ${id}`);
    if (isJudged) return 'relevant';
    return keys.some((key) => this.#pairs.has(`${query} text ${key}`)) ? 'equalText' : undefined;
  }

  #count(query: string): void {
    if (this.#queries.add(query)) return;
    const count = (this.#counts.get(query) ?? 1) + 1;
    this.#counts.set(query, count);
    this.most = Math.max(this.most, count);
  }
}
