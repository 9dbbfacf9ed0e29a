import { compareDocumentIds, type HitList } from '../measures/index.ts';

/** Sorts hits by score descending, then by id descending, as trec_eval does. */
export function inTrecOrder({ numbers, scores }: HitList, documentId: (number: number) => string): HitList {
  const order = Array.from(scores.keys()).sort(
    (a, b) => scores[b]! - scores[a]! || compareDocumentIds(documentId(numbers[b]!), documentId(numbers[a]!)),
  );
  return {
    numbers: Uint32Array.from(order, (at) => numbers[at]!),
    scores: Float32Array.from(order, (at) => scores[at]! + 0), // + 0 makes -0 equal to 0
  };
}
