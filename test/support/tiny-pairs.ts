import type { PairRecord } from '../../src/data/index.ts';
import { Random } from '../../src/system/index.ts';

const WORDS = 'saw lagoon water sea blade metal ice fire moon bee honey wax glass tide shallow thin solid'.split(' ');

/** Preference pairs of random words: the chosen answer tells of water, the rejected one is of any length. */
export function tinyPairs(count: number, seed = 1): PairRecord[] {
  const random = new Random(seed);
  const words = (least: number, most: number) =>
    Array.from({ length: least + random.below(most - least) }, () => WORDS[random.below(WORDS.length)]).join(' ');
  return Array.from({ length: count }, (_, index) => ({
    id: `pair-${index}`,
    queryId: `query-${index}`,
    prompt: [{ role: 'user', content: `What is ${words(1, 3)}?` }],
    chosen: [{ role: 'assistant', content: `water ${words(1, 4)}` }],
    rejected: [{ role: 'assistant', content: words(1, 6) }],
  }));
}
