import { UsageError } from '../system/index.ts';
import type { Document } from './beir/records.ts';

/** How long texts are divided: words of a passage, and how many of them the next one repeats. */
export interface PassageSettings {
  words: number;
  overlap: number;
}

/** Where a passage stands in the text of its document, in characters (UTF-16); `end` is not included. */
export interface PassageRange {
  start: number;
  end: number;
}

/** Increase it when the same text and settings would give other passages. */
export const PASSAGES_FORMAT = 1;

/** Reads `200/50` (words / overlap) or `200` (no overlap). @throws UsageError */
export function parsePassages(text: string): PassageSettings {
  const [, first, second] = /^(\d{1,6})(?:\/(\d{1,6}))?$/.exec(text) ?? [];
  const [words, overlap] = [Number(first), Number(second ?? 0)];
  if (first !== undefined && words >= 1 && overlap < words) return { words, overlap };
  throw new UsageError(`${JSON.stringify(text)} does not say how to divide documents`, {
    fix: 'Write words per passage / overlap, such as 200/50; the overlap is the smaller one.',
  });
}

/** What stands between blanks; in scripts without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character. */
const WORD =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]|[^\s\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]+/gu;

/**
 * Divides a text into passages of so many words, each of which repeats the last words of the one before. A text that is short enough is one
 * passage, whole; so is an empty one.
 */
export function splitPassages(text: string, { words, overlap }: PassageSettings): PassageRange[] {
  const found = [...text.matchAll(WORD)];
  if (found.length <= words) return [{ start: 0, end: text.length }];
  const ranges: PassageRange[] = [];
  for (let first = 0; ; first += words - overlap) {
    const last = Math.min(first + words, found.length) - 1;
    ranges.push({ start: found[first]!.index, end: found[last]!.index + found[last]![0].length });
    if (last === found.length - 1) return ranges;
  }
}

/** Ids of documents hold no blank, so what stands before it is the id. */
const SEPARATOR = ' ';

/** Returns the id of a passage, which no document can have. */
export function passageId(document: string, passage: number): string {
  return `${document}${SEPARATOR}${passage}`;
}

/** Returns the document and the 0-based number of a passage. */
export function documentOfPassage(id: string): { id: string; passage: number } {
  const at = id.lastIndexOf(SEPARATOR);
  return { id: id.slice(0, at), passage: Number(id.slice(at + 1)) };
}

/** Divides documents: each passage is a document of its own, with the title of the whole. */
export async function* passageDocuments(
  documents: AsyncIterable<Document> | Iterable<Document>,
  settings: PassageSettings,
): AsyncGenerator<Document> {
  for await (const { id, title, text } of documents) {
    for (const [passage, { start, end }] of splitPassages(text, settings).entries()) {
      yield { id: passageId(id, passage), title, text: text.slice(start, end) };
    }
  }
}
