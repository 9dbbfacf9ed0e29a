import { createHash } from 'node:crypto';

/**
 * SHA-256 of a list, as of a file with a line for each member. One member at a time: the text of a hundred thousand pairs is
 * longer than a text can be.
 */
export function hashList<T>(members: Iterable<T>, lineOf: (member: T) => string): string {
  const hash = createHash('sha256');
  for (const member of members) hash.update(`${lineOf(member)}\n`);
  return hash.digest('hex');
}
