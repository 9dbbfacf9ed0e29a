/** A gloss taken apart. */
export interface Gloss {
  definition: string;
  examples: string[];
}

const ARTICLES = new Set(['a', 'an', 'the']);

/**
 * Takes a gloss apart: parts are divided by semicolons outside quotes, and those from the first that opens with a quote
 * on are examples. A few definitions run into their example with a colon; they are cut there.
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

/** Lower-case words of a text without punctuation and articles: two glosses with equal words say the same. */
export function glossWords(text: string): string[] {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => !ARTICLES.has(word));
}

/** Whether a gloss (with its examples) marks its words as slurs or obscenities, which a demonstration need not ask about. */
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
