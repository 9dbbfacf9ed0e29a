import { UsageError } from '../../system/index.ts';

/**
 * How often a query is repeated before its expansions in a lexical search, so that its words outweigh the many words of the
 * expansions: a fixed number (Query2doc, Wang et al. 2023, section 2, with 5); `per-text`, once for each expansion (LameR);
 * `characters:B`, floor(floor(characters of the expansions / characters of the query) / B) times (MuGI, with 6); `words:B`,
 * floor(words of the expansions / (words of the query x B)) times (ThinkQE, with 3). The last two repeat it at least once.
 */
export type QueryRepeats = number | 'per-text' | `characters:${number}` | `words:${number}`;

/** The four ways, for messages and help. */
export const QUERY_REPEATS_IN_WORDS = 'a whole number, per-text, characters:B or words:B';

const BY_LENGTH = /^(characters|words):(\d+(?:\.\d+)?)$/;

/** Reads a number of repeats or a way to compute it; undefined if it is neither. */
export function parseQueryRepeats(word: string | number): QueryRepeats | undefined {
  if (word === 'per-text') return word;
  if (typeof word === 'string' && BY_LENGTH.test(word)) {
    return Number(BY_LENGTH.exec(word)![2]) > 0 ? (word as QueryRepeats) : undefined;
  }
  const number = typeof word === 'string' && word.trim() === '' ? Number.NaN : Number(word);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/**
 * Returns how often a query is repeated before these expansions.
 * @throws UsageError unless `repeats` is one of the ways in {@link QueryRepeats}
 */
export function countRepeats(query: string, texts: readonly string[], repeats: QueryRepeats): number {
  const checked = parseQueryRepeats(repeats);
  if (checked === undefined) {
    throw new UsageError(`the query cannot be repeated ${repeats} times`, {
      fix: `Pass ${QUERY_REPEATS_IN_WORDS}; the default is 5.`,
    });
  }
  if (typeof checked === 'number') return checked;
  if (checked === 'per-text') return texts.length;
  const [, unit, beta] = BY_LENGTH.exec(checked)!;
  return Math.max(1, unit === 'words' ? byWords(query, texts, Number(beta)) : byCharacters(query, texts, Number(beta)));
}

/** Lengths are counted in code points, as Python counts them, with one blank between expansions. */
function byCharacters(query: string, texts: readonly string[], beta: number): number {
  const [asked, written] = [[...query].length, [...texts.join(' ')].length];
  return asked === 0 ? 1 : Math.floor(Math.floor(written / asked) / beta);
}

function byWords(query: string, texts: readonly string[], beta: number): number {
  const count = (text: string) => text.split(/\s+/).filter((word) => word !== '').length;
  const asked = count(query);
  return asked === 0 ? 1 : Math.floor(count(texts.join('\n')) / (asked * beta));
}

/**
 * Returns a query and its expansions as one text for lexical search: the query several times, then the expansions. Their order
 * does not matter to BM25. A query without expansions is not changed.
 * @throws UsageError unless `repeats` is one of the ways in {@link QueryRepeats}
 */
export function repeatQuery(query: string, expansions: readonly string[], repeats: QueryRepeats = 5): string {
  const texts = expansions.filter((text) => text.trim() !== '');
  const times = countRepeats(query, texts, repeats);
  return texts.length === 0 ? query : [...Array<string>(times).fill(query), ...texts].join(' ');
}
