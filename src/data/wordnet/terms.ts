import { stemmer } from 'stemmer';
import type { GlossDocument, GlossDocuments } from './gloss-documents.ts';
import type { Lexicon, Synset } from './lexicon.ts';
import { type NounKind, NounKinds } from './questions.ts';
import type { Taxonomy } from './taxonomy.ts';
import { countUses } from './usage.ts';

/** A term that a query can ask about. */
export interface Term {
  /** The term without case, blanks and punctuation, which is equal for all its spellings. */
  key: string;
  /** The term as a question spells it. */
  text: string;
  kind: NounKind;
  /** The documents of all its senses. */
  documents: GlossDocument[];
}

/** Why a term is rejected, in the order of the checks. */
export const REJECTIONS = [
  'oddSpelling',
  'sometimesCapitalised',
  'senseDropped',
  'manySenses',
  'taxon',
  'otherName',
  'mixedKinds',
  'adjective',
  'unfamiliar',
  'namedInGloss',
] as const;

export type Rejection = (typeof REJECTIONS)[number];

export interface TermList {
  /** Usable terms by document, the best first: a person's first and last name, or the most frequent synonym. */
  byDocument: Map<string, Term[]>;
  asked: number;
  rejected: Record<Rejection, number>;
}

interface Spelling {
  text: string;
  synset: Synset;
}

/** Function words of a term; a gloss may contain them. */
const FUNCTION_WORDS = new Set('a an and as at by de for from in la of on or the to von with'.split(' '));

/** A term must occur at least this often in the definitions and examples of all nouns; otherwise it is too rare. */
const FAMILIAR_USES = 4;

/** A term with more documents than this is too ambiguous for a question. */
const MOST_SENSES = 3;

/** Sorts all terms of the lexicon into usable and rejected ones. */
export function listTerms(lexicon: Lexicon, taxonomy: Taxonomy, glosses: GlossDocuments): TermList {
  const kinds = new NounKinds(lexicon.synsets, taxonomy);
  const judge = new TermJudge(lexicon, kinds, glosses);
  const byDocument = new Map<string, Term[]>();
  const rejected = Object.fromEntries(REJECTIONS.map((reason) => [reason, 0])) as Record<Rejection, number>;
  let asked = 0;
  for (const [key, spellings] of spellingsByKey(lexicon.synsets.values())) {
    const judged = judge.judge(spellings);
    if (typeof judged === 'string') {
      rejected[judged]++;
      continue;
    }
    asked++;
    const term: Term = { key, text: spellings[0]?.text ?? key, ...judged };
    for (const { id } of term.documents) {
      const terms = byDocument.get(id);
      if (terms === undefined) byDocument.set(id, [term]);
      else terms.push(term);
    }
  }
  for (const [id, terms] of byDocument) sortTerms(terms, glosses.documents.get(id)?.synsets ?? []);
  return { byDocument, asked, rejected };
}

function sortTerms(terms: Term[], synsets: readonly Synset[]): void {
  const keys = synsets.flatMap(({ words }) => words.map(termKey));
  const order = ({ key, kind, text }: Term) => keys.indexOf(key) + (kind === 'person' ? 1000 * nameLength(text) : 0);
  terms.sort((a, b) => order(a) - order(b));
}

/** First and last name are preferred to a last name alone or to all names. */
function nameLength(name: string): number {
  const words = name.split(' ').length;
  return words === 1 ? 2.5 : words;
}

/** Returns the common key of a term's spellings: "hack saw", "hack-saw" and "hacksaw" have one key. */
export function termKey(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '');
}

function spellingsByKey(synsets: Iterable<Synset>): Map<string, Spelling[]> {
  const byKey = new Map<string, Spelling[]>();
  for (const synset of synsets) {
    for (const text of synset.words) {
      const spellings = byKey.get(termKey(text));
      if (spellings === undefined) byKey.set(termKey(text), [{ text, synset }]);
      else spellings.push({ text, synset });
    }
  }
  return byKey;
}

/** Decides whether a query can ask about a term. */
class TermJudge {
  readonly #stems = new StemCache();
  readonly #kinds: NounKinds;
  readonly #glosses: GlossDocuments;
  /** A noun that is also an adjective ("extreme") would be understood in the wrong sense. */
  readonly #adjectives: ReadonlySet<string>;
  readonly #uses: ReadonlyMap<string, number>;

  constructor({ synsets, adjectives }: Lexicon, kinds: NounKinds, glosses: GlossDocuments) {
    this.#kinds = kinds;
    this.#glosses = glosses;
    this.#adjectives = new Set(adjectives.map(termKey));
    this.#uses = countUses(synsets, termKey);
  }

  judge(spellings: readonly Spelling[]): { kind: NounKind; documents: GlossDocument[] } | Rejection {
    if (!spellings.every(({ text }) => /^\p{L}[\p{L}'.-]+( [\p{L}'.-]+){0,3}$/u.test(text))) return 'oddSpelling';
    if (new Set(spellings.map(({ text }) => text === text.toLowerCase())).size > 1) return 'sometimesCapitalised';
    const documents = new Set<GlossDocument>();
    for (const { synset } of spellings) {
      const document = this.#glosses.ofSynset.get(synset.id);
      if (document === undefined) return 'senseDropped';
      documents.add(document);
    }
    if (documents.size > MOST_SENSES) return 'manySenses';
    if (spellings.some(({ synset }) => this.#kinds.isTaxon(synset))) return 'taxon';
    const kind = commonKind(spellings.map(({ text, synset }) => this.#kinds.kindOf(text, synset)));
    if (kind === 'otherName' || kind === 'mixedKinds') return kind;
    if (spellings.some(({ text }) => this.#adjectives.has(termKey(text)))) return 'adjective';
    if (spellings.every(({ text }) => this.#usesOf(text, kind) < FAMILIAR_USES)) return 'unfamiliar';
    const named = [...documents].some(({ text }) => spellings.some((one) => this.#stems.share(one.text, text)));
    return named ? 'namedInGloss' : { kind, documents: [...documents] };
  }

  /** Persons are usually mentioned by their last name. */
  #usesOf(text: string, kind: NounKind): number {
    const spoken = kind === 'person' ? (text.split(' ').at(-1) ?? text) : text;
    return this.#uses.get(termKey(spoken)) ?? 0;
  }
}

/** One question must suit all senses. Common nouns of several kinds get a question about the word; names must agree. */
function commonKind(kinds: readonly (NounKind | undefined)[]): NounKind | 'otherName' | 'mixedKinds' {
  const [first] = kinds;
  if (kinds.includes(undefined)) return 'otherName';
  if (first !== undefined && kinds.every((kind) => kind === first)) return first;
  return kinds.includes('person') || kinds.includes('place') ? 'mixedKinds' : 'word';
}

/** Porter stems of words, each computed once. */
export class StemCache {
  readonly #stems = new Map<string, string>();

  /** Returns whether a text reveals a term: whether it holds a word with the stem of one of the term's words. */
  share(term: string, text: string): boolean {
    const asked = new Set(this.#of(term).filter((stem) => !FUNCTION_WORDS.has(stem) && stem.length > 1));
    return this.#of(text).some((stem) => asked.has(stem));
  }

  #of(text: string): string[] {
    return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => {
      const known = this.#stems.get(word);
      if (known !== undefined) return known;
      const stem = stemmer(word);
      this.#stems.set(word, stem);
      return stem;
    });
  }
}
