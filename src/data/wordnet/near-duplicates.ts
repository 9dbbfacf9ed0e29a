/**
 * Finds texts that nearly repeat an earlier one. A text is kept if the Jaccard similarity of its set of words to that of every text
 * kept before it is below the threshold, so no two kept texts are near-duplicates.
 *
 * The result is exact. Prefix filtering makes it fast (Bayardo, Ma and Srikant 2007): sets with a similarity of at least t share a
 * word among their rarest |x| - ceil(t |x|) + 1 ones, so only those are indexed and looked up.
 *
 * @param texts the words of each text
 * @param threshold in (0, 1]
 * @returns index of a dropped text → index of the kept text that it nearly repeats
 */
export function findNearDuplicates(texts: readonly (readonly string[])[], threshold: number): Map<number, number> {
  const sets = rarestFirst(texts);
  const index = new Map<number, number[]>();
  const repeats = new Map<number, number>();
  for (const [current, words] of sets.entries()) {
    const prefix = words.subarray(0, words.length - Math.ceil(threshold * words.length - 1e-9) + 1);
    const original = findOriginal(words, prefix, sets, index, threshold);
    if (original !== undefined) {
      repeats.set(current, original);
      continue;
    }
    for (const word of prefix) {
      const list = index.get(word);
      if (list === undefined) index.set(word, [current]);
      else list.push(current);
    }
  }
  return repeats;
}

/** Returns each text's set of words as numbers, the rarest word first. Words are numbered from the rarest up. */
function rarestFirst(texts: readonly (readonly string[])[]): Int32Array[] {
  const frequency = new Map<string, number>();
  const sets = texts.map((words) => [...new Set(words)]);
  for (const set of sets) for (const word of set) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const ordered = [...frequency].sort(([a, m], [b, n]) => m - n || (a < b ? -1 : 1));
  const rank = new Map(ordered.map(([word], position) => [word, position]));
  return sets.map((set) => Int32Array.from(set, (word) => rank.get(word) ?? 0).sort());
}

function findOriginal(
  words: Int32Array,
  prefix: Int32Array,
  sets: readonly Int32Array[],
  index: ReadonlyMap<number, number[]>,
  threshold: number,
): number | undefined {
  let earliest: number | undefined;
  for (const word of prefix) {
    for (const candidate of index.get(word) ?? []) {
      if (earliest !== undefined && candidate >= earliest) break;
      if (jaccard(words, sets[candidate]!) >= threshold - 1e-9) earliest = candidate;
    }
  }
  return earliest;
}

/** |x ∩ y| / |x ∪ y| of two ascending lists. */
function jaccard(x: Int32Array, y: Int32Array): number {
  let shared = 0;
  for (let i = 0, j = 0; i < x.length && j < y.length; ) {
    const difference = x[i]! - y[j]!;
    if (difference === 0) shared++;
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return shared / (x.length + y.length - shared);
}
