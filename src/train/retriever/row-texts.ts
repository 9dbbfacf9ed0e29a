import type { RetrieverRow } from '../../data/index.ts';

/** Rows that can be read at least once: a list, a stream, or a function that opens one. */
export type RetrieverRows = OpenRows | (() => OpenRows);
export type OpenRows = Iterable<RetrieverRow> | AsyncIterable<RetrieverRow>;

export function openRows(rows: RetrieverRows): OpenRows {
  return typeof rows === 'function' ? rows() : rows;
}

/**
 * Texts of a row's query: the query, query and expansions as one text, the expansions. Their numbers go by this order.
 * @param wantsJoined otherwise the second one is empty
 */
export function queryTexts(
  { query, expansions }: Pick<RetrieverRow, 'query' | 'expansions'>,
  wantsJoined: boolean,
): string[] {
  return [query, wantsJoined ? [query, ...expansions].join(' ') : '', ...expansions];
}

/** Texts of a row's documents. Their numbers go by this order. */
export function documentTexts({ positives, negatives }: Pick<RetrieverRow, 'positives' | 'negatives'>): string[] {
  return [...positives, ...negatives].map(({ text }) => text);
}
