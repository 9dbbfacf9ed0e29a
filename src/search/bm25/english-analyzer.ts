import { stemmer } from 'stemmer';

/** Lucene's 33 English stop words (EnglishAnalyzer.ENGLISH_STOP_WORDS_SET). */
const STOP_WORDS = new Set(
  (
    'a an and are as at be but by for if in into is it no not of on or such that the their then there these they ' +
    'this to was will with'
  ).split(' '),
);

/** Words that consist only of a suffix; the stemmer package would split them into stem and suffix. */
const BARE_SUFFIXES = new Map([
  ['eed', 'eed'],
  ['eeds', 'eed'],
  ['ies', 'i'],
  ['sses', 'ss'],
]);

/** Lucene splits longer words into pieces of this many UTF-16 units. */
const MAXIMUM_WORD_LENGTH = 255;

const BEYOND_ASCII = /[^\0-\x7f]/;

/** Connector punctuation (Word_Break=ExtendNumLet), which joins words and may begin or end one. */
const JOINER = '[_\\u203f\\u2040\\u2054\\ufe33\\ufe34\\ufe4d-\\ufe4f\\uff3f\\u202f]';

/** Marks that belong to the character before them (Word_Break=Extend, Format, ZWJ). */
const EXTEND = '[\\p{Grapheme_Extend}\\p{Mc}\\p{Emoji_Modifier}\\u200d[\\p{Cf}--[\\u200b]]]';

const JOINERS_ALONE = new RegExp(`^(?:${JOINER}${EXTEND}*)+$`, 'v');

const WORD = wordPattern();

/**
 * Returns the terms of an English text as Anserini indexes them, that is, as Lucene's EnglishAnalyzer does: words by Unicode
 * Standard Annex 29 (StandardTokenizer), 's removed, lower case, without stop words, Porter's first stemmer.
 */
export function analyzeEnglish(text: string): string[] {
  const terms: string[] = [];
  for (const word of splitWords(text)) {
    const term = wordTerm(word);
    if (term !== undefined) terms.push(term);
  }
  return terms;
}

/**
 * UTF-16 units that are matched at a time: the pattern needs stack for each unit of a word, and a word of millions would
 * overflow it.
 */
const STRETCH = 1 << 16;
/** A word that ends this close to the end of a stretch may continue after it, or depend on what follows. */
const MARGIN = 1 << 10;

/** What {@link wordPattern} matches in ASCII, where it needs no classes of Unicode: several times as fast. */
const ASCII_WORD = asciiWordPattern();

/** Returns the words of a text as Lucene's StandardTokenizer splits it: nothing is removed. */
export function splitWords(text: string): Iterable<string> {
  return text.length <= STRETCH && !BEYOND_ASCII.test(text) ? asciiWords(text) : wordsOf(text);
}

function asciiWords(text: string): string[] {
  const words = text.match(ASCII_WORD) ?? [];
  return words.every(isPlain) ? words : words.flatMap(wordPieces);
}

/** Whether a word is neither too long nor, possibly, a sequence of joiners. */
function isPlain(word: string): boolean {
  return word.length <= MAXIMUM_WORD_LENGTH && !word.startsWith('_');
}

function* wordsOf(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const stretch = text.slice(start, start + STRETCH);
    const isLast = start + stretch.length === text.length;
    const safe = isLast ? stretch.length : betweenCharacters(stretch, STRETCH - MARGIN);
    let next = safe;
    for (const { 0: word, index } of stretch.matchAll(WORD)) {
      const end = index + word.length;
      if (end <= safe) {
        yield* wordPieces(word);
        continue;
      }
      // A word that the stretch may have cut is read again at the start of the next one. A word longer than a stretch is split
      // as in Lucene, which starts again after each piece.
      next = index > 0 ? index : safe - (safe % MAXIMUM_WORD_LENGTH);
      if (index === 0) yield* wordPieces(word.slice(0, next));
      break;
    }
    start += next;
  }
}

/** Returns a position in a text, moved by one if it is within a surrogate pair. */
function betweenCharacters(text: string, place: number): number {
  const unit = text.charCodeAt(place);
  return unit >= 0xdc00 && unit < 0xe000 ? place + 1 : place;
}

/** Yields a word, or the pieces of a long one. A sequence of joiners is not a word. */
function wordPieces(word: string): string[] {
  if (JOINERS_ALONE.test(word)) return [];
  return word.length <= MAXIMUM_WORD_LENGTH ? [word] : cutLongWord(word);
}

/** Returns the term of a word, or undefined for a stop word. */
export function wordTerm(word: string): string | undefined {
  const lower = lowerCase(stripPossessive(word));
  if (STOP_WORDS.has(lower)) return undefined;
  return lower.length > 2 ? (BARE_SUFFIXES.get(lower) ?? stemmer(lower)) : lower;
}

function stripPossessive(word: string): string {
  return /['\u2019\uff07][sS]$/.test(word) ? word.slice(0, -2) : word;
}

/**
 * Java's Character.toLowerCase, one character at a time: unlike JavaScript's, it has no rule for the final sigma and
 * converts the dotted capital I to a single letter.
 */
export function lowerCase(word: string): string {
  if (!BEYOND_ASCII.test(word)) return word.toLowerCase();
  return Array.from(word, (character) => (character === '\u0130' ? 'i' : character.toLowerCase())).join('');
}

function cutLongWord(word: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < word.length; at += MAXIMUM_WORD_LENGTH) pieces.push(word.slice(at, at + MAXIMUM_WORD_LENGTH));
  return pieces;
}

/**
 * The word rules of Unicode Standard Annex 29 with Lucene's additions (a Chinese character or Hiragana letter is a word;
 * so is a run of a South-East Asian script; so is an emoji). JavaScript does not support the Word_Break property, so its classes
 * are composed from other properties as the annex defines them.
 */
function wordPattern(): RegExp {
  const southEastAsian =
    '[[\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Myanmar}\\p{sc=Khmer}\\p{sc=Tai_Le}\\p{sc=New_Tai_Lue}\\p{sc=Tai_Tham}\\p{sc=Tai_Viet}\\p{sc=Ahom}]&&[\\p{L}\\p{M}]]';
  const katakana = '[\\p{sc=Katakana}\\u3031-\\u3035\\u309b\\u309c\\u30a0\\u30fc\\uff70]';
  const modifiers =
    '\\u02c2-\\u02c5\\u02d2-\\u02d7\\u02de\\u02df\\u02ed\\u02ef-\\u02ff\\u055b\\u055c\\u055e\\u05f3\\ua720\\ua721\\ua789\\ua78a\\uab5b';
  const letter = `[[\\p{Alphabetic}${modifiers}]--[[\\p{Ideographic}\\p{sc=Han}]--[\\u3005\\u303b]]--${katakana}--\\p{sc=Hiragana}--${southEastAsian}--${EXTEND}]`;
  const symbols =
    '\\u2388\\u2600-\\u2605\\u2607-\\u2612\\u2614-\\u2685\\u2690-\\u2705\\u2708-\\u2712\\u2763-\\u2767\\u{1f000}-\\u{1f0ff}\\u{1f10d}-\\u{1f10f}\\u{1f16c}-\\u{1f171}\\u{1f1ad}-\\u{1f1e5}\\u{1f260}-\\u{1f265}\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f774}-\\u{1f77f}\\u{1f7d5}-\\u{1f7ff}\\u{1f900}-\\u{1faff}';
  const emoji = `[[\\p{Emoji_Presentation}\\p{Extended_Pictographic}${symbols}]--\\p{RI}]`;
  const hebrew = '[\\p{sc=Hebrew}&&\\p{L}]';
  const digit = '[\\p{Nd}\\u066b]';
  const letters = "[.:'\\u00b7\\u0387\\u05f4\\u2018\\u2019\\u2024\\u2027\\ufe13\\ufe52\\ufe55\\uff07\\uff0e\\uff1a]";
  const digits =
    "[.,;'\\u037e\\u0589\\u060c\\u060d\\u066c\\u07f8\\u2018\\u2019\\u2024\\u2044\\ufe10\\ufe14\\ufe50\\ufe52\\ufe54\\uff07\\uff0c\\uff0e\\uff1b]";
  const unit = (set: string) => `${set}${EXTEND}*`;
  const run = [
    `${unit(hebrew)}"(?=${hebrew})`,
    `${unit(letter)}(?:${unit(letters)}(?=${letter}))?`,
    `${unit(digit)}(?:${unit(digits)}(?=${digit}))?`,
  ].join('|');
  const core = `(?:(?:${run})+|(?:${unit(katakana)})+)`;
  return new RegExp(
    [
      `(?:${unit(JOINER)})*${core}(?:(?:${unit(JOINER)})+${core}?)*`,
      unit('[[\\p{sc=Han}\\p{sc=Hiragana}]--[\\u3005\\u303b]]'),
      `(?:${unit(southEastAsian)})+`,
      unit('\\p{RI}').repeat(2),
      `\\u200d?${unit(emoji)}(?:(?<=\\u200d)${unit(emoji)})*`,
      '[#*]\\ufe0f?\\u20e3',
      `(?:${unit(JOINER)})*${JOINER}`, // Not a word; matched here so that a long sequence is not tried from each of its characters.
    ].join('|'),
    'gv',
  );
}

/** {@link wordPattern} for texts in ASCII. */
function asciiWordPattern(): RegExp {
  const core = "(?:[A-Za-z]+(?:[.:'](?=[A-Za-z]))?|[0-9]+(?:[.,;'](?=[0-9]))?)+";
  return new RegExp(`_*${core}(?:_+(?:${core})?)*|_+`, 'g');
}
