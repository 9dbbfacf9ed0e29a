import { compareDocumentIds } from '../measures/index.ts';
import { Breather } from './breather.ts';

/** Number of rows to sort without a pause: a few milliseconds. */
const BLOCK = 8192;

/**
 * Returns the rows of a corpus in the order in which trec_eval breaks ties: by document id, descending.
 * @returns row numbers // [documents]
 * @throws AbortedError
 */
export async function orderByIdDescending(ids: readonly string[], signal?: AbortSignal): Promise<Uint32Array> {
  const breather = new Breather(signal);
  let from = Uint32Array.from(ids, (_id, row) => row);
  for (let start = 0; start < from.length; start += BLOCK) {
    from.subarray(start, start + BLOCK).sort((a, b) => compareDocumentIds(ids[b]!, ids[a]!));
    if (breather.due) await breather.rest();
  }
  let to = new Uint32Array(from.length);
  for (let width = BLOCK; width < from.length; width *= 2) {
    for (let start = 0; start < from.length; start += 2 * width) {
      await mergeNeighbours(ids, from.subarray(start, start + 2 * width), width, to.subarray(start), breather);
    }
    [from, to] = [to, from];
  }
  return from;
}

/** Merges two sorted stretches into one; the first is `width` long. */
async function mergeNeighbours(
  ids: readonly string[],
  from: Uint32Array,
  width: number,
  to: Uint32Array,
  breather: Breather,
): Promise<void> {
  let left = 0;
  let right = Math.min(width, from.length);
  for (let at = 0; at < from.length; at++) {
    const takeLeft =
      right >= from.length || (left < width && compareDocumentIds(ids[from[left]!]!, ids[from[right]!]!) >= 0);
    to[at] = takeLeft ? from[left++]! : from[right++]!;
    if ((at & 8191) === 0 && breather.due) await breather.rest();
  }
}
