/** So many segments of about one size become one. */
const FEWEST = 8;
/** Smaller segments count as one size. */
const SMALLEST = 64;

/**
 * Chooses segments to merge after documents were added: eight of about one size, the smallest size first. A document is copied once for each
 * eightfold growth of the index, and there are at most seven segments of each size (the logarithmic method; Bentley and Saxe 1980).
 * @param sizes number of documents of each segment
 * @returns the numbers of the segments; none if there is nothing to merge
 */
export function chooseSegments(sizes: readonly number[]): number[] {
  const classes = new Map<number, number[]>();
  for (const [at, size] of sizes.entries()) {
    const level = Math.floor(Math.log(Math.max(size, SMALLEST) / SMALLEST) / Math.log(FEWEST) + 1e-9);
    classes.set(level, [...(classes.get(level) ?? []), at]);
  }
  const full = [...classes].filter(([, segments]) => segments.length >= FEWEST).sort(([a], [b]) => a - b);
  return full[0]?.[1] ?? [];
}
