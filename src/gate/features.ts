/** What is known of a query before anything is written for it, each feature with its definition. */
export const BEFORE_FEATURES = {
  words: 'ln(1 + words of the query)',
  meanIdf: 'mean inverse document frequency of its distinct terms that the corpus holds',
  highestIdf: 'highest inverse document frequency of its terms that the corpus holds',
  unknownTerms: 'share of its distinct terms that no document holds',
  question: '1 if it begins with an English question word or ends with a question mark, otherwise 0',
  identifiers:
    'share of its words that look like identifiers: camelCase, snake_case, paths, calls, letters with digits',
  quoted: '1 if it holds a quoted string, otherwise 0',
  entities: 'share of its words after the first that begin with a capital letter',
  firstScore: 'score of the first hit of the raw query (dense search if there is one, otherwise BM25)',
  gapToTenth: 'score of the first hit minus that of the tenth, divided by the size of the first',
  agreement: 'rank-biased overlap (p 0.9) of the first 100 hits of dense search and of BM25',
} as const;

/** What is known once expansions are written, each feature with its definition. */
export const AFTER_FEATURES = {
  overlap: 'rank-biased overlap (p 0.9) of the first 100 hits of the raw and of the expanded query',
  cosine: 'cosine of the vectors of the query and of the mean of its expansions',
  spread: '1 minus the mean cosine of the expansions to one another; missing for a single one',
  logProbability: 'mean log-probability of the tokens of the expansions, as the language model gives it',
  expansionWords: 'ln(1 + mean words of the expansions)',
  coverage: 'share of the distinct words of the query that stand in its expansions',
} as const;

export const FEATURES = { ...BEFORE_FEATURES, ...AFTER_FEATURES } as const;

export type BeforeFeature = keyof typeof BEFORE_FEATURES;
export type Feature = keyof typeof FEATURES;

/** Values by feature. A feature that is missing has no influence. */
export type Features = { readonly [Name in Feature]?: number | undefined };

export const BEFORE_NAMES = Object.keys(BEFORE_FEATURES) as BeforeFeature[];
export const FEATURE_NAMES = Object.keys(FEATURES) as Feature[];

const QUESTION =
  /^\s*(?:what|who|whom|whose|which|when|where|why|how|is|are|was|were|do|does|did|can|could|should|will|would)\b|[?？؟]\s*$/iu;
const QUOTED = /"[^"]+"|“[^”]+”|«[^»]+»|`[^`]+`|(?:^|\s)'[^']+'(?=\s|$|[.,;?!])/u;
const IDENTIFIER =
  /^(?:\p{L}*\p{Ll}\p{Lu}\S*|\S*\w_\w\S*|\S+(?:::|->|\/|\\)\S+|\S+\(\S*\)|\p{L}[\p{L}-]*\d\S*|\d+\p{L}\S*|\w+\.\w+\S*)$/u;
/** Longer texts and words are cut before patterns run over them. */
const MOST_CHARACTERS = 2000;
const MOST_OF_WORD = 100;

/** Returns the features that the text of a query has by itself. */
export function textFeatures(text: string): Features {
  const start = text.slice(0, MOST_CHARACTERS);
  const words = wordsOf(start).map((word) => word.slice(0, MOST_OF_WORD));
  const share = (count: number, of: number) => (of === 0 ? 0 : count / of);
  const bare = words.map((word) => word.replace(/^[("'`“«]+|[)"'`”».,;:?!]+$/gu, '') || word);
  const later = bare.slice(1);
  return {
    words: Math.log1p(wordsOf(text).length),
    question: Number(QUESTION.test(start)),
    identifiers: share(
      words.filter((word, at) => IDENTIFIER.test(word) || IDENTIFIER.test(bare[at]!)).length,
      words.length,
    ),
    quoted: Number(QUOTED.test(start)),
    entities: share(later.filter((word) => /^\p{Lu}/u.test(word)).length, later.length),
  };
}

/** Returns the features of how rare a query's terms are. @param idfs of its distinct terms; undefined: in no document */
export function rarityFeatures(idfs: readonly (number | undefined)[]): Features {
  if (idfs.length === 0) return {};
  const known = idfs.filter((idf) => idf !== undefined);
  const unknownTerms = 1 - known.length / idfs.length;
  if (known.length === 0) return { unknownTerms };
  return { meanIdf: meanOf(known), highestIdf: Math.max(...known), unknownTerms };
}

/** Returns the features of the scores of a raw search. @param scores best first */
export function scoreFeatures(scores: readonly number[]): Features {
  const [first] = scores;
  if (first === undefined) return {};
  const tenth = scores[Math.min(9, scores.length - 1)]!;
  return { firstScore: first, gapToTenth: first === 0 ? 0 : (first - tenth) / Math.abs(first) };
}

/** Returns the features that the texts of a query and its expansions have by themselves. */
export function writtenFeatures(text: string, expansions: readonly string[]): Features {
  if (expansions.length === 0) return {};
  const asked = new Set(plainWords(text));
  const written = new Set(expansions.flatMap(plainWords));
  const covered = [...asked].filter((word) => written.has(word)).length;
  return {
    expansionWords: Math.log1p(meanOf(expansions.map((one) => wordsOf(one).length))),
    coverage: asked.size === 0 ? 0 : covered / asked.size,
  };
}

/**
 * Returns the features of the vectors of a query and its expansions.
 * @param query // [dimensions]
 * @param expansions // [count, dimensions]
 */
export function vectorFeatures(query: Float32Array, expansions: Float32Array): Features {
  const { length: dimensions } = query;
  const count = dimensions === 0 ? 0 : expansions.length / dimensions;
  if (count === 0) return {};
  const mean = new Float64Array(dimensions);
  const directions = new Float64Array(dimensions);
  for (let row = 0; row < count; row++) {
    const one = expansions.subarray(row * dimensions, (row + 1) * dimensions);
    const length = lengthOf(one) || 1;
    for (let at = 0; at < dimensions; at++) {
      mean[at]! += one[at]! / count;
      directions[at]! += one[at]! / length;
    }
  }
  // The squared length of the sum of unit vectors is their number, plus the cosines of all ordered pairs.
  const pairs = count * (count - 1);
  const cosines = (lengthOf(directions) ** 2 - count) / pairs;
  return { cosine: cosineOf(query, mean), spread: pairs === 0 ? undefined : 1 - cosines };
}

function cosineOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let dot = 0;
  for (let at = 0; at < a.length; at++) dot += a[at]! * b[at]!;
  const lengths = lengthOf(a) * lengthOf(b);
  return lengths === 0 ? 0 : dot / lengths;
}

function lengthOf(vector: ArrayLike<number>): number {
  let squares = 0;
  for (let at = 0; at < vector.length; at++) squares += vector[at]! ** 2;
  return Math.sqrt(squares);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function plainWords(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
