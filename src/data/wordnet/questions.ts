import type { Random } from '../../system/index.ts';
import type { Synset } from './lexicon.ts';
import type { Taxonomy } from './taxonomy.ts';

/**
 * The kind of question for a noun: `person` and `place` are named individuals, `count`, `plural` and `mass` common nouns, and
 * `word` is any noun whose article this program cannot determine.
 */
export type NounKind = 'person' | 'place' | 'count' | 'plural' | 'mass' | 'word';

/** Numbers of lexicographer files (lexnames(5WN)). */
const ANIMAL = 5;
const PLACE = 15;
const PERSON = 18;
const PLANT = 20;
const SUBSTANCE = 27;

/** Files whose common nouns are usually countable: animals, artefacts, body parts, groups, places, objects, persons, plants. */
const COUNTED = new Set([ANIMAL, 6, 8, 14, PLACE, 17, PERSON, PLANT]);

/** Files whose capitalised common nouns are countable too ("a Labrador", "a Methodist"). */
const COUNTED_CAPITALISED = new Set([ANIMAL, PERSON, PLANT]);

/** Roots of mass nouns in these files. */
const STUFF_ROOTS = ['fabric', 'drug', 'medicine', 'building material', 'body substance', 'animal tissue'];

/** Roots of named places without a location. */
const NOWHERE_ROOTS = ['sign of the zodiac', 'imaginary place'];

/** Taxa ("Rosaceae", "genus Lynx") are defined by their position in the system. Users do not ask about them in such words. */
const TAXON_ROOTS = ['taxonomic group'];

/** A species with its Latin name ("Abies concolor"), which takes no article. */
const LATIN_NAME = /^[A-Z][a-z]+ [a-z-]+(us|a|um|is|ii|ae|ens|ans|or|on|es|ix|ax|yx|ox)$/;

/** Years of birth and death, which mark a single person. */
const LIFE = /\((circa |died |born )?\d{3,4}/;

const MASS_ENDING = /(ness|ity|ism|tude|ship|hood|osis|itis|emia|ology|ics|graphy)$/;

/** Determines the kinds of nouns. */
export class NounKinds {
  readonly #taxonomy: Taxonomy;
  readonly #stuff: Set<string>;
  readonly #nowhere: Set<string>;
  readonly #taxa: Set<string>;
  readonly #singulars: ReadonlySet<string>;

  constructor(synsets: ReadonlyMap<string, Synset>, taxonomy: Taxonomy) {
    const all = [...synsets.values()];
    const below = (roots: string[]) =>
      taxonomy.below(all.filter(({ words }) => roots.includes(words[0] ?? '')).map(({ id }) => id));
    this.#taxonomy = taxonomy;
    this.#stuff = below(STUFF_ROOTS);
    this.#nowhere = below(NOWHERE_ROOTS);
    this.#taxa = below(TAXON_ROOTS);
    this.#singulars = new Set(all.flatMap(({ words }) => words));
  }

  isTaxon(synset: Synset): boolean {
    return this.#taxa.has(synset.id);
  }

  /** Returns the kind of a term in one of its senses; undefined for named individuals that are neither persons nor places. */
  kindOf(term: string, synset: Synset): NounKind | undefined {
    const capitalised = term !== term.toLowerCase();
    if (synset.category === PERSON && capitalised && LIFE.test(synset.definition)) return 'person';
    if (synset.instanceOf.length > 0) {
      if (synset.category === PERSON) return 'person';
      return synset.category === PLACE && !this.#nowhere.has(synset.id) ? 'place' : undefined;
    }
    if (LATIN_NAME.test(term)) return 'mass';
    return this.#commonKind(headWord(term), capitalised, synset);
  }

  #commonKind(head: string, capitalised: boolean, synset: Synset): NounKind {
    const { id, category } = synset;
    if (MASS_ENDING.test(head) && !COUNTED.has(category)) return 'mass';
    if (/[^sui]s$/.test(head)) return this.#isPlural(head, synset) ? 'plural' : 'word';
    if (category === SUBSTANCE) return 'mass';
    if (this.#stuff.has(id)) return this.#taxonomy.children(id).length === 0 ? 'mass' : 'word';
    if (!COUNTED.has(category) || (capitalised && !COUNTED_CAPITALISED.has(category))) return 'word';
    return 'count';
  }

  #isPlural(head: string, { definition, category }: Synset): boolean {
    if (/^\((usually |often |used in the |used )*plural/i.test(definition)) return true;
    return COUNTED.has(category) && this.#singulars.has(head.slice(0, -1));
  }
}

/** Returns the word that carries number and article: the last one, or the one before a preposition ("house of cards"). */
function headWord(term: string): string {
  const before = term.split(/ (?:of|in|on|at|for|to|with|by|from|without) /)[0] ?? term;
  return before.split(' ').at(-1) ?? before;
}

const TEMPLATES: Record<NounKind, readonly string[]> = {
  person: ['Who {is} {term}?', 'Who {is} {term}?', 'Can you tell me who {term} {is}?'],
  place: ['Where is {term}?', 'Where is {term}?', 'Where is {term} located?', 'In which part of the world is {term}?'],
  count: [
    'What is {a} {term}?',
    'What is {a} {term}?',
    'What exactly is {a} {term}?',
    'Can you explain what {a} {term} is?',
    'How would you describe {a} {term}?',
  ],
  plural: [
    'What are {term}?',
    'What are {term}?',
    'Can you explain what {term} are?',
    'How would you describe {term}?',
  ],
  mass: [
    'What is {term}?',
    'What is {term}?',
    'What exactly is {term}?',
    'Can you explain what {term} is?',
    'How would you describe {term}?',
  ],
  word: ['What does {term} mean?', 'What is meant by {term}?', 'What is the meaning of {term}?'],
};

/** Names that take an article: "the Gulf of Aden", "the Virgin Islands". */
const NAMED_WITH_ARTICLE =
  /\b(Islands|Isles|States|Republic|Peninsula|Desert|Empire|Kingdom|Union|Coast|Basin|Mountains|Lowlands|Highlands|District|Territory|Confederacy|East|West|North|South|Emirates|Netherlands|Philippines|Bahamas|Gulf)$|^(Gulf|Republic|Kingdom|Commonwealth|Isle|Strait|City|Union|Province|District|Sea|Bay|Cape|State) of /;

/** Titles in place of a name: "the Fourth Earl of Orford". */
const TITLE = /^(\w+ )?(Apostle|Bard|Baron|Count|Duke|Earl|Lord|Marquess|Marquis|Prince|Viscount) of /;

/** Years of a life that has ended, or a time long past. */
const PAST = /\d\??\s*-\s*\d|\bdied\b|\bBC\b|\b\d+(st|nd|rd|th) century\b|\bancient\b/i;

/**
 * Writes a natural question about a term. The random generator chooses the wording.
 *
 * @param definitions of the term's senses; they show whether a person is dead
 */
export function writeQuestion(term: string, kind: NounKind, definitions: readonly string[], random: Random): string {
  const templates = TEMPLATES[kind];
  const template = templates[random.below(templates.length)] ?? '';
  const definite = (kind === 'place' && NAMED_WITH_ARTICLE.test(term)) || (kind === 'person' && TITLE.test(term));
  const name = definite ? `the ${term}` : term;
  const past = definitions.some((definition) => PAST.test(definition));
  return template
    .replace('{term}', () => name)
    .replace('{is}', past ? 'was' : 'is')
    .replace('{a}', indefiniteArticle(term));
}

/** Returns "a" or "an", by the sound of the first word: an hour, a unicorn, an FBI agent, a one-off. */
export function indefiniteArticle(term: string): 'a' | 'an' {
  const word = /^[\p{L}\p{N}]+/u.exec(term)?.[0] ?? '';
  if (/^[A-Z]{2,}$/.test(word) || word.length === 1) return /^[AEFHILMNORSX]/i.test(word) ? 'an' : 'a';
  if (/^(hour|honest|hono|heir|herb)/i.test(word)) return 'an';
  if (/^(one|once|eu|ew|ubi|u[bcfhjkqrstv][aeiou]|uni([^nm]|$))/i.test(word)) return 'a';
  return /^[aeiou]/i.test(word) ? 'an' : 'a';
}
