import { hash64 } from '../files/index.ts';

/** Splits a text into words of letters and digits, in lower case. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Returns a number for each word, the same for the same word // [words] */
export function hashWords(words: readonly string[]): Float64Array {
  return Float64Array.from(words, (word) => {
    const [low, high] = hash64(word);
    return (high & 0x1fffff) * 2 ** 32 + low;
  });
}

/**
 * Returns a number for each run of `length` words, as a product of 53-bit hashes: the chance that two different runs among ten million
 * have the same number is below one in a hundred // [words - length + 1]
 */
export function hashRuns(hashes: Float64Array, length: number): Float64Array {
  const runs = new Float64Array(Math.max(0, hashes.length - length + 1));
  for (let at = 0; at < runs.length; at++) {
    let [low, high] = [0x9e3779b9, 0x85ebca6b];
    for (let word = at; word < at + length; word++) {
      const hash = hashes[word]!;
      low = Math.imul(low ^ (hash >>> 0), 0x85ebca6b) ^ (low >>> 15);
      high = Math.imul(high ^ Math.floor(hash / 2 ** 32), 0xc2b2ae35) ^ (high >>> 13) ^ low;
    }
    runs[at] = (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
  }
  return runs;
}

/** Runs of words of many texts, to be found in other texts. */
export class RunIndex {
  /** Numbers of the texts with a run, by length and run. */
  readonly #owners = new Map<number, Map<number, number[]>>();

  /** @param words hashes of a text, or of a part of it @param except runs that do not count */
  add(text: number, words: Float64Array, length: number, except: ReadonlySet<number> = new Set()): void {
    const runs = this.#owners.get(length) ?? new Map<number, number[]>();
    this.#owners.set(length, runs);
    for (const run of new Set(hashRuns(words, length))) {
      if (except.has(run)) continue;
      const owners = runs.get(run);
      if (owners === undefined) runs.set(run, [text]);
      else if (owners.at(-1) !== text) owners.push(text);
    }
  }

  /** Returns the numbers of the texts that share a run with these words. */
  find(words: Float64Array): Set<number> {
    const found = new Set<number>();
    for (const [length, owners] of this.#owners) {
      for (const run of hashRuns(words, length)) {
        for (const text of owners.get(run) ?? []) found.add(text);
      }
    }
    return found;
  }
}
