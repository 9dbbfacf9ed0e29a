import { UsageError } from '../../system/index.ts';

/**
 * Returns a query and its expansions as one text for lexical search: the query `times` times, then the expansions, so that
 * the words of the query outweigh the many words of the expansions (Query2doc, Wang et al. 2023, section 2, with 5). A
 * query without expansions is not changed.
 * @throws UsageError unless `times` is an integer of at least 0
 */
export function repeatQuery(query: string, expansions: readonly string[], times = 5): string {
  if (!Number.isSafeInteger(times) || times < 0) {
    throw new UsageError(`the query cannot be repeated ${times} times`, {
      fix: 'Pass an integer of at least 0; the default is 5.',
    });
  }
  const texts = expansions.filter((text) => text.trim() !== '');
  return texts.length === 0 ? query : [...Array<string>(times).fill(query), ...texts].join(' ');
}
