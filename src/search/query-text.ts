import { UsageError } from '../system/index.ts';

/**
 * A query and its expansions as one text for lexical search: the query `times` times, then the expansions, so that the
 * query's own words outweigh the many of the expansions (Query2doc, Wang et al. 2023, section 2, with 5). A query without
 * expansions is left alone.
 * @throws UsageError unless `times` is a whole number of 0 or above
 */
export function repeatQuery(query: string, expansions: readonly string[], times = 5): string {
  if (!Number.isSafeInteger(times) || times < 0) {
    throw new UsageError(`the query cannot be repeated ${times} times`, { fix: 'Give a whole number; 5 is usual.' });
  }
  const texts = expansions.filter((text) => text.trim() !== '');
  return texts.length === 0 ? query : [...Array<string>(times).fill(query), ...texts].join(' ');
}
