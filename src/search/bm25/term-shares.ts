import { compareDocumentIds } from '../../measures/index.ts';
import { shareOf, type TermQueries } from './bm25-scorer.ts';
import type { InvertedLists } from './inverted-lists.ts';
import { saturationOf } from './postings.ts';

/** What a term adds to the score of a document. */
export interface TermShare {
  /** As the analyzer spells it. */
  term: string;
  share: number;
}

/** Finds the shares of the terms of one query in some documents. A term in several fields has the sum of its shares. */
export function termShares(
  lists: InvertedLists,
  { terms, weights }: Pick<TermQueries, 'terms' | 'weights'>,
  ids: readonly string[],
): Map<string, TermShare[]> {
  const found = new Map<string, TermShare[]>();
  for (const id of ids) {
    const number = numberOf(lists.ids, id);
    if (number === undefined) continue;
    const shares = new Map<string, number>();
    for (const [at, term] of terms.entries()) {
      const posting = postingOf(lists, term, number);
      if (posting === undefined) continue;
      const denominator = lists.denominators[saturationOf(lists.postings, posting)]!;
      const spelling = lists.terms[term]!;
      shares.set(spelling, (shares.get(spelling) ?? 0) + shareOf(weights[at]!, denominator));
    }
    found.set(
      id,
      Array.from(shares, ([term, share]) => ({ term, share })),
    );
  }
  return found;
}

/** Documents are numbered in descending order of their ids. */
function numberOf(ids: readonly string[], id: string): number | undefined {
  const at = firstFrom(0, ids.length, (number) => compareDocumentIds(ids[number]!, id) <= 0);
  return ids[at] === id ? at : undefined;
}

/** The postings of a term ascend by document. */
function postingOf({ starts, postings }: InvertedLists, term: number, document: number): number | undefined {
  const { entries, bits } = postings;
  const end = starts[term + 1]!;
  const at = firstFrom(starts[term]!, end, (posting) => entries[posting]! >>> bits >= document);
  return at < end && entries[at]! >>> bits === document ? at : undefined;
}

/** Returns the first number from `low` on for which a condition holds that holds for all after it; `high` if for none. */
function firstFrom(low: number, high: number, holds: (at: number) => boolean): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (holds(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}
