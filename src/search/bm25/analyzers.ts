import { lowerCase, wordTerm } from './english-analyzer.ts';

/** Languages of Snowball's stemmers. */
const STEMMED = [
  'danish',
  'dutch',
  'finnish',
  'french',
  'german',
  'hungarian',
  'italian',
  'norwegian',
  'portuguese',
  'romanian',
  'russian',
  'spanish',
  'swedish',
  'turkish',
] as const;
type Stemmed = (typeof STEMMED)[number];

/** How BM25 converts words to terms: Lucene's English, words as they are (`standard`), or another language. */
export const ANALYZERS = ['english', 'standard', ...STEMMED] as const;
export type AnalyzerName = (typeof ANALYZERS)[number];

/** Raise a number when a word may give another term than before. */
const VERSIONS = { english: 2, standard: 1, snowball: 1 };

/** The versions of all analyzers, for the keys of results that depend on them. */
export const ANALYZERS_FORMAT = Object.entries(VERSIONS)
  .map(([name, version]) => `${name}-${version}`)
  .join(' ');

/** Turns the words that Lucene's StandardTokenizer finds into terms. */
export interface Analyzer {
  name: AnalyzerName;
  /** Part of the key of a cached index; see {@link VERSIONS}. */
  version: string;
  /** Returns the term of a word, or undefined for a stop word. */
  term(word: string): string | undefined;
}

/** Articles before an apostrophe that Lucene's FrenchAnalyzer and ItalianAnalyzer remove. */
const ELIDED: Partial<Record<Stemmed, ReadonlySet<string>>> = {
  french: new Set('l m t qu n s j d c jusqu quoiqu lorsqu puisqu'.split(' ')),
  italian: new Set('c l all dall dell nell sull coll pell gl agl dagl degl negl sugl un m t s v d'.split(' ')),
};

const APOSTROPHE = /['\u2019]/;

/**
 * Opens an analyzer. `english` equals Lucene's EnglishAnalyzer exactly. The others split words as Lucene does, remove
 * elided articles (French, Italian), convert words to lower case and stem them with Snowball's algorithm for the language, as
 * Lucene's analyzers for Danish, Finnish, Romanian, Russian and others do. They keep stop words, which have almost no idf weight.
 */
export async function openAnalyzer(name: AnalyzerName = 'english'): Promise<Analyzer> {
  if (name === 'english') return { name, version: `english-${VERSIONS.english}`, term: wordTerm };
  if (name === 'standard') return { name, version: `standard-${VERSIONS.standard}`, term: lowerCase };
  const { stemmer } = await STEMMERS[name]();
  const elided = ELIDED[name];
  const lower = name === 'turkish' ? turkishLowerCase : lowerCase;
  return {
    name,
    version: `${name}-${VERSIONS.snowball} snowball`,
    term: (word) => stemmer(withoutArticle(lower(word), elided)),
  };
}

/** Loads stemmers on demand. Each import is literal, so bundlers and type checkers can follow it. */
const STEMMERS: Record<Stemmed, () => Promise<{ stemmer(word: string): string }>> = {
  danish: () => import('@orama/stemmers/danish'),
  dutch: () => import('@orama/stemmers/dutch'),
  finnish: () => import('@orama/stemmers/finnish'),
  french: () => import('@orama/stemmers/french'),
  german: () => import('@orama/stemmers/german'),
  hungarian: () => import('@orama/stemmers/hungarian'),
  italian: () => import('@orama/stemmers/italian'),
  norwegian: () => import('@orama/stemmers/norwegian'),
  portuguese: () => import('@orama/stemmers/portuguese'),
  romanian: () => import('@orama/stemmers/romanian'),
  russian: () => import('@orama/stemmers/russian'),
  spanish: () => import('@orama/stemmers/spanish'),
  swedish: () => import('@orama/stemmers/swedish'),
  turkish: () => import('@orama/stemmers/turkish'),
};

function withoutArticle(word: string, elided: ReadonlySet<string> | undefined): string {
  if (elided === undefined) return word;
  const at = word.search(APOSTROPHE);
  return at > 0 && elided.has(word.slice(0, at)) ? word.slice(at + 1) : word;
}

/** Turkish has a dotted and a dotless i; what follows an apostrophe is a suffix (Lucene's ApostropheFilter). */
function turkishLowerCase(word: string): string {
  const at = word.search(APOSTROPHE);
  return (at > 0 ? word.slice(0, at) : word).toLocaleLowerCase('tr');
}
