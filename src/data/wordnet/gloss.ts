/** The parts of a gloss. */
export interface Gloss {
  definition: string;
  examples: string[];
}

const ARTICLES = new Set(['a', 'an', 'the']);

/**
 * Splits a gloss: semicolons outside quotes separate its parts, and from the first part that opens with a quote on, all parts are
 * examples. In a few definitions a colon precedes the example; they are cut there.
 */
export function splitGloss(gloss: string): Gloss {
  const parts = (gloss.match(/(?:"[^"]*"|[^;])+/g) ?? []).map((part) => part.trim()).filter(Boolean);
  const first = parts.findIndex((part) => part.startsWith('"'));
  const defining = first === -1 ? parts : parts.slice(0, first);
  const examples = first === -1 ? [] : parts.slice(first);
  const joined = defining.join('; ');
  const colon = /^(.*\S)\s*:\s*("[^"]*")$/.exec(joined);
  const definition = colon?.[1] ?? joined;
  return { definition, examples: [...(colon?.[2] ? [colon[2]] : []), ...examples].map(unquote) };
}

/** `"he sawed"- Twain` becomes `he sawed - Twain`. */
function unquote(example: string): string {
  const whole = /^"([^"]*)"\s*(.*)$/.exec(example);
  return whole === null ? example.replace(/^"/, '') : [whole[1], whole[2]].filter(Boolean).join(' ');
}

/** Returns the lower-case words of a text without punctuation and articles. Two glosses with equal words count as identical. */
export function glossWords(text: string): string[] {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => !ARTICLES.has(word));
}

/** Returns whether a gloss (with its examples) marks its words as slurs or obscenities, which the demonstration omits. */
export function isOffensive({ definition, examples }: Gloss): boolean {
  const text = [definition, ...examples].join('; ');
  return (
    /\b(ethnic|racial) slurs?\b/i.test(text) ||
    /\b(obscene|vulgar|offensive|derogatory|disparaging|pejorative|taboo)\b[^;]{0,30}\b(terms?|words?|names?|slang|expressions?)\b/i.test(
      text,
    ) ||
    /\bis (now )?(vulgar|obscene|offensive|derogatory|disparaging|pejorative)\b/i.test(text) ||
    /\((often |sometimes |usually |considered )*(offensive|vulgar|obscene|derogatory|disparaging|pejorative)\b/i.test(
      text,
    )
  );
}
