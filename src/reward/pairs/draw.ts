import { resolveSize } from '../../data/index.ts';
import { deriveSeed } from '../../system/index.ts';

/** The part that a query's pairs go to and their number; the first pairs of the query are taken. */
export interface DrawnPart {
  part: 'train' | 'dev';
  pairs: number;
}

export interface Draw {
  /** By query; a missing query was not drawn. */
  parts: Map<string, DrawnPart>;
  train: number;
  dev: number;
}

/**
 * Draws pairs by query. All pairs of a query go to one part, so no dev query is trained on. Queries are taken in the
 * order of a hash of seed and id, whatever the order of the file, until there are enough pairs. The last query of a
 * part gives only as many pairs as are still needed.
 *
 * @param available number of pairs of each query
 * @param options.pairs total number of pairs to draw; if there are fewer, all are drawn
 * @param options.dev dev pairs among them: a number, or a fraction below 1
 * @throws UsageError if more dev pairs are requested than pairs are drawn
 */
export function drawPairs(
  available: ReadonlyMap<string, number>,
  { pairs, dev, seed }: { pairs: number; dev: number; seed: number },
): Draw {
  const total = [...available.values()].reduce((sum, count) => sum + count, 0);
  const drawn = take(inHashOrder([...available], seed, 'draw'), Math.min(pairs, total));
  const forDev = resolveSize(dev, Math.min(pairs, total));
  const development = take(inHashOrder(drawn, seed, 'dev'), forDev);
  const parts = new Map<string, DrawnPart>();
  for (const [id, count] of drawn) parts.set(id, { part: 'train', pairs: count });
  for (const [id, count] of development) parts.set(id, { part: 'dev', pairs: count });
  const sum = (part: DrawnPart['part']) =>
    [...parts.values()].reduce((all, one) => all + (one.part === part ? one.pairs : 0), 0);
  return { parts, train: sum('train'), dev: sum('dev') };
}

type Counted = [id: string, count: number];

function inHashOrder(queries: readonly Counted[], seed: number, purpose: string): Counted[] {
  const hashed = queries.map((query) => ({ query, hash: deriveSeed(seed, purpose, query[0]) }));
  hashed.sort((a, b) => a.hash - b.hash || (a.query[0] < b.query[0] ? -1 : 1));
  return hashed.map(({ query }) => query);
}

function take(queries: readonly Counted[], wanted: number): Counted[] {
  const taken: Counted[] = [];
  let left = wanted;
  for (const [id, count] of queries) {
    if (left === 0) break;
    taken.push([id, Math.min(count, left)]);
    left -= Math.min(count, left);
  }
  return taken;
}
