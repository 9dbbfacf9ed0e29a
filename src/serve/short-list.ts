import { z } from 'zod';

/**
 * A list of at most so many items. A longer one is cut before its items are looked at: each wrong one would be an issue of its own, and a body
 * of a million would stop the server for seconds.
 */
export function shortList<T extends z.ZodType>(item: T, most: number, fewest = 0) {
  const cut = (value: unknown) => (Array.isArray(value) && value.length > most ? value.slice(0, most + 1) : value);
  return z.preprocess(cut, z.array(item).min(fewest).max(most));
}
