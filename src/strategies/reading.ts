/** Removes quotation marks around a text. */
export function unquoted(text: string): string {
  return text
    .trim()
    .replace(/^["']+/, '')
    .replace(/["']+$/, '')
    .trim();
}

/** Returns the keywords of a list, by commas or one a line with or without a mark, joined by blanks. */
export function keywordsIn(text: string): string {
  const isList = text.includes('\n') || text.trim().startsWith('-');
  const words = isList ? text.split('\n').map((line) => line.trim().replace(/^[-•*]\s*/, '')) : text.split(',');
  return words
    .map((word) => word.trim())
    .filter((word) => word !== '')
    .join(' ');
}

/**
 * Returns the sentences in double quotes, joined by blanks; if there are none, what stands after the numbers of a list.
 * @param ours sentences of the prompt itself, which a small LLM copies with other marks: they are left out
 */
export function quotedSentences(text: string, ours: readonly string[] = []): string {
  const quoted = [...text.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
  const left = new Set(['', ...ours.map(wordsOf)]);
  const kept = (sentences: readonly string[]) =>
    sentences.map((sentence) => sentence.trim()).filter((sentence) => !left.has(wordsOf(sentence)));
  const found = kept(quoted);
  return (found.length > 0 ? found : kept(numberedParts(text))).join(' ');
}

function wordsOf(text: string): string {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).join(' ');
}

function numberedParts(text: string): string[] {
  const [, ...parts] = text.split(/(?:^|\n)[ \t]{0,9}(?:Document[ \t]{0,9})?\d{1,3}[.:)]\s/i);
  return parts.map((part) => part.trim().replace(/\s+/g, ' '));
}

/** Returns the questions in a text, at most `most`: a JSON object or array, or one a line without number or mark. */
export function questionsIn(text: string, most: number): string[] {
  const values = jsonTexts(text);
  const lines = text
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/^(?:[-*•]|\(?\d+[.):]*)\s*/, '')
        .replace(/^Q\d+[:.]?\s*/i, ''),
    )
    .filter((line) => line !== '');
  return (values ?? lines).slice(0, most);
}

/** Returns the texts of a JSON object's or array's members in a text that an LLM wrote; undefined if it holds neither. */
export function jsonTexts(text: string): string[] | undefined {
  return parsedTexts(text) ?? brokenTexts(text);
}

function parsedTexts(text: string): string[] | undefined {
  const starts = ['{', '['].map((mark) => text.indexOf(mark)).filter((start) => start >= 0);
  if (starts.length === 0) return undefined;
  const start = Math.min(...starts);
  const end = Math.max(text.lastIndexOf('}'), text.lastIndexOf(']'));
  try {
    const parsed: unknown = JSON.parse(text.slice(start, end + 1).replace(/,(\s*[}\]])/g, '$1'));
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    return Object.values(parsed)
      .filter((value) => typeof value === 'string')
      .map((value) => value.trim())
      .filter((value) => value !== '');
  } catch {
    return undefined;
  }
}

/** Reads `"answer1": "..."` from JSON that is cut off or has a fault elsewhere. */
function brokenTexts(text: string): string[] | undefined {
  const pairs = [...text.matchAll(/"\w{1,40}"\s{0,9}:\s{0,9}"((?:[^"\\]|\\.)*)(?:"|$)/g)];
  if (pairs.length === 0) return undefined;
  return pairs
    .map((match) => match[1]!.replace(/\\n/g, ' ').replace(/\\(.)/g, '$1').trim())
    .filter((one) => one !== '');
}
