import type { Breather } from '../breather.ts';
import type { InvertedLists } from './inverted-lists.ts';
import { saturationOf } from './postings.ts';

/** The terms of a document, and how often each occurs. */
export type DocumentTerms = ReadonlyMap<string, number>;

/** Postings to read without a pause: a few milliseconds. */
const STRETCH = 1 << 20;

/**
 * Collects the terms of some documents from the inverted lists, in one pass over all of them: the lists hold what forward
 * lists would, and no second copy of the corpus is needed. With several fields, the counts of all are added up.
 * @returns document number → terms, in no particular order
 * @throws AbortedError
 */
export async function collectDocumentTerms(
  { ids, terms, starts, postings, frequencies }: InvertedLists,
  numbers: Iterable<number>,
  breather: Breather,
): Promise<Map<number, DocumentTerms>> {
  const found = new Map<number, Map<string, number>>();
  const wanted = new Uint8Array(ids.length);
  for (const number of numbers) {
    wanted[number] = 1;
    found.set(number, new Map());
  }
  let pause = STRETCH;
  for (const [term, spelling] of terms.entries()) {
    const end = starts[term + 1]!;
    for (let at = starts[term]!; at < end; at++) {
      const number = postings.entries[at]! >>> postings.bits;
      if (wanted[number] === 0) continue;
      const counts = found.get(number)!;
      counts.set(spelling, (counts.get(spelling) ?? 0) + frequencies[saturationOf(postings, at)]!);
    }
    if (end < pause) continue;
    pause = end + STRETCH;
    if (breather.due) await breather.rest();
  }
  return found;
}
