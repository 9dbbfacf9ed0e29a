import { rankHits, type ScoredDocument } from '../measures/index.ts';
import type { ThreadHits } from './score-protocol.ts';

/**
 * Joins the threads' hits of each query into one ranking in trec_eval's order.
 * @param documentId id of a hit's number
 * @param k hits kept a query
 */
export function mergeHits(
  threads: readonly ThreadHits[],
  documentId: (number: number) => string,
  k: number,
): ScoredDocument[][] {
  const ends = threads.map(() => 0);
  return Array.from(threads[0]!.counts, (_count, query) => {
    const hits: ScoredDocument[] = [];
    for (const [thread, { counts, scores, numbers }] of threads.entries()) {
      const end = ends[thread]! + counts[query]!;
      for (let at = ends[thread]!; at < end; at++) hits.push({ id: documentId(numbers[at]!), score: scores[at]! });
      ends[thread] = end;
    }
    return rankHits(hits).slice(0, k);
  });
}
