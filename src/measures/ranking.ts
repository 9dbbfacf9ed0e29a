import { DataError } from '../system/index.ts';
import type { ScoredDocument } from './records.ts';

/** Positions below this can be packed together with a 32-bit score into the 53 bits of a double. */
const PLACES = 2 ** 21;

/**
 * Orders hits as trec_eval does: by score as a 32-bit float, descending; equal ones by document id, descending by the
 * bytes of its UTF-8 form (trec_eval 9, form_res_rels.c). Returns a new array.
 * @throws DataError for a score that is not a number
 */
export function rankHits(hits: readonly ScoredDocument[]): ScoredDocument[] {
  const order = rankOrder(hits);
  return order === undefined ? hits.slice() : Array.from(order, (place) => hits[place]!);
}

/**
 * Returns the positions of the hits in trec_eval's order, or undefined if they are already in that order, as in most runs.
 * @param query query id for error messages
 * @throws DataError for a score that is not a number
 */
export function rankOrder(hits: readonly ScoredDocument[], query?: string): Int32Array | undefined {
  if (isRanked(hits, query)) return undefined;
  return hits.length < PLACES ? orderByPackedScore(hits) : orderByComparing(hits);
}

/**
 * Compares two document ids as C's strcmp compares their UTF-8 forms: negative if `a` comes first. JavaScript's own
 * comparison goes by UTF-16 code units and puts U+FF5A after U+1F600.
 */
export function compareDocumentIds(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let place = 0; place < shorter; place++) {
    const left = a.charCodeAt(place);
    const right = b.charCodeAt(place);
    if (left !== right) return codePointOrder(left) - codePointOrder(right);
  }
  return a.length - b.length;
}

/** Maps surrogates, which encode code points above U+FFFF, to values after all other code units. */
function codePointOrder(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function isRanked(hits: readonly ScoredDocument[], query: string | undefined): boolean {
  let ranked = true;
  let before = Number.POSITIVE_INFINITY;
  for (let place = 0; place < hits.length; place++) {
    const { id, score } = hits[place]!;
    if (Number.isNaN(score)) throw notANumber(id, query);
    const rounded = Math.fround(score);
    if (ranked && rounded >= before) {
      ranked = place === 0 || (rounded === before && compareDocumentIds(hits[place - 1]!.id, id) >= 0);
    }
    before = rounded;
  }
  return ranked;
}

/** Sorts doubles with the score in the high bits and the position in the low bits: many times faster than comparing objects. */
function orderByPackedScore(hits: readonly ScoredDocument[]): Int32Array {
  const scores = readScores(hits);
  const bits = new Int32Array(scores.buffer);
  const packed = new Float64Array(hits.length);
  for (let place = 0; place < packed.length; place++) {
    // Read as integers, the bits of positive floats have the order of the floats; those of negative ones the reverse.
    const ascending = bits[place]! < 0 ? bits[place]! ^ 0x7fffffff : bits[place]!;
    packed[place] = -ascending * PLACES + place;
  }
  packed.sort();
  const order = new Int32Array(packed.length);
  for (let rank = 0; rank < packed.length; rank++)
    order[rank] = packed[rank]! - Math.floor(packed[rank]! / PLACES) * PLACES;
  breakTies(hits, scores, order);
  return order;
}

/** Returns the scores as 32-bit floats. */
function readScores(hits: readonly ScoredDocument[]): Float32Array {
  const scores = new Float32Array(hits.length);
  for (let place = 0; place < hits.length; place++) scores[place] = hits[place]!.score + 0; // makes -0 equal to 0
  return scores;
}

/** Sorts each group of equal scores by descending id. */
function breakTies(hits: readonly ScoredDocument[], scores: Float32Array, order: Int32Array): void {
  let start = 0;
  for (let end = 1; end <= order.length; end++) {
    if (end < order.length && scores[order[end]!] === scores[order[start]!]) continue;
    if (end - start > 1) {
      order.subarray(start, end).sort((a, b) => compareDocumentIds(hits[b]!.id, hits[a]!.id));
    }
    start = end;
  }
}

/** Sorts by comparing objects, for more hits than can be packed. */
export function orderByComparing(hits: readonly ScoredDocument[]): Int32Array {
  const scores = readScores(hits);
  return Int32Array.from(hits, (_hit, place) => place).sort((a, b) => {
    const [left, right] = [scores[a]!, scores[b]!];
    return left === right ? compareDocumentIds(hits[b]!.id, hits[a]!.id) : left < right ? 1 : -1;
  });
}

function notANumber(document: string, query: string | undefined): DataError {
  return new DataError(`the score of document ${JSON.stringify(document)} is not a number`, {
    id: query,
    fix: 'Search again, or remove the line from the run: NaN cannot be ranked.',
  });
}
