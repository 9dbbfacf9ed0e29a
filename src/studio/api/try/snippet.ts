import { analyzeEnglish } from '../../../search/index.ts';
import type { SnippetPiece } from '../../shapes/try.ts';

/** Characters of a snippet, and of the text that is looked at to find it. */
const SHOWN = 320;
const READ = 20_000;
/** A window begins so many characters before its first word that matters. */
const LEAD = 30;

const WORD = /[\p{L}\p{N}]+/gu;

/** The stems of a query and of its expansions, by which words are marked. */
export interface MarkedTerms {
  query: ReadonlySet<string>;
  expansion: ReadonlySet<string>;
}

export function markedTerms(query: string, expansions: readonly string[]): MarkedTerms {
  return { query: new Set(analyzeEnglish(query)), expansion: new Set(expansions.flatMap(analyzeEnglish)) };
}

interface Found {
  start: number;
  end: number;
  of: 'query' | 'expansion';
  stem: string;
}

/** Cuts out the part of a text that holds most of the terms, those of the query first, and marks them. */
export function snippetOf(text: string, terms: MarkedTerms): SnippetPiece[] {
  const read = text.slice(0, READ);
  const found = findTerms(read, terms);
  const start = bestStart(read, found);
  const end = wordEnd(read, start + SHOWN);
  const pieces: SnippetPiece[] = [];
  let at = start;
  const plain = (until: number) => {
    if (until > at) pieces.push({ text: read.slice(at, until) });
  };
  if (start > 0) pieces.push({ text: '… ' });
  for (const one of found) {
    if (one.start < at || one.end > end) continue;
    plain(one.start);
    pieces.push({ text: read.slice(one.start, one.end), of: one.of });
    at = one.end;
  }
  plain(end);
  if (end < text.length) pieces.push({ text: ' …' });
  return pieces;
}

function findTerms(text: string, { query, expansion }: MarkedTerms): Found[] {
  const found: Found[] = [];
  for (const { 0: word, index } of text.matchAll(WORD)) {
    const [stem] = analyzeEnglish(word);
    if (stem === undefined) continue;
    const of = query.has(stem) ? 'query' : expansion.has(stem) ? 'expansion' : undefined;
    if (of !== undefined) found.push({ start: index, end: index + word.length, of, stem });
  }
  return found;
}

/** A distinct word of the query counts more than any number of words that only the expansions have. */
function bestStart(text: string, found: readonly Found[]): number {
  let [best, start] = [0, 0];
  for (const [at, first] of found.entries()) {
    const from = Math.max(0, first.start - LEAD);
    const stems = { query: new Set<string>(), expansion: new Set<string>() };
    for (let next = at; next < found.length && found[next]!.end <= from + SHOWN; next++) {
      stems[found[next]!.of].add(found[next]!.stem);
    }
    const value = 1000 * stems.query.size + stems.expansion.size;
    if (value > best) [best, start] = [value, from];
  }
  // What fits as a whole is shown from its beginning, and no word is cut.
  if (text.length <= SHOWN) return 0;
  if (start === 0) return 0;
  const blank = text.indexOf(' ', start);
  return blank < 0 || blank > start + LEAD ? start : blank + 1;
}

function wordEnd(text: string, end: number): number {
  if (end >= text.length) return text.length;
  const blank = text.lastIndexOf(' ', end);
  return blank < end - 40 ? end : blank;
}
