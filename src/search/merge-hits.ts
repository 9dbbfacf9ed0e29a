import { compareDocumentIds, type HitList } from '../measures/index.ts';
import type { Breather } from './breather.ts';
import type { ThreadHits } from './dense/score-protocol.ts';

/**
 * Merges the threads' hits of each query into one ranking in trec_eval's order.
 * @param threads hits of each thread, best first
 * @param documentId returns the id of a document number
 * @param k number of hits to keep per query
 */
export async function mergeHits(
  threads: readonly ThreadHits[],
  documentId: (number: number) => string,
  k: number,
  breather: Breather,
): Promise<HitList[]> {
  const merged: HitList[] = [];
  const heads = new Uint32Array(threads.length);
  const ends = new Uint32Array(threads.length);
  for (let query = 0; query < threads[0]!.counts.length; query++) {
    for (const [thread, { counts }] of threads.entries()) {
      heads[thread] = ends[thread]!;
      ends[thread]! += counts[query]!;
    }
    const { numbers, scores } = mergeOne(threads, heads, ends, k);
    breakTies(numbers, scores, documentId);
    merged.push({ numbers: numbers.slice(0, k), scores: scores.slice(0, k) });
    if (breather.due) await breather.rest();
  }
  return merged;
}

/** Returns the `k` best by score, and all that are equal to the last of them. */
function mergeOne(threads: readonly ThreadHits[], heads: Uint32Array, ends: Uint32Array, k: number) {
  const most = heads.reduce((sum, head, thread) => sum + ends[thread]! - head, 0);
  const numbers = new Uint32Array(most);
  const scores = new Float32Array(most);
  let count = 0;
  for (;;) {
    let best = -1;
    let score = Number.NEGATIVE_INFINITY;
    for (let thread = 0; thread < threads.length; thread++) {
      if (heads[thread] === ends[thread] || threads[thread]!.scores[heads[thread]!]! < score) continue;
      best = thread;
      score = threads[thread]!.scores[heads[thread]!]!;
    }
    if (best < 0 || (count >= k && score < scores[count - 1]!)) break;
    numbers[count] = threads[best]!.numbers[heads[best]!++]!;
    scores[count++] = score;
  }
  return { numbers: numbers.subarray(0, count), scores: scores.subarray(0, count) };
}

/** Sorts each group of equal scores by descending id, in place. */
function breakTies(numbers: Uint32Array, scores: Float32Array, documentId: (number: number) => string): void {
  let start = 0;
  for (let end = 1; end <= scores.length; end++) {
    if (end < scores.length && scores[end] === scores[start]) continue;
    if (end - start > 1) {
      numbers.subarray(start, end).sort((a, b) => compareDocumentIds(documentId(b), documentId(a)));
    }
    start = end;
  }
}
