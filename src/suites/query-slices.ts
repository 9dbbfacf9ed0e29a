import { FEWEST_OF_KIND, type SuiteSlice } from '../report/index.ts';

/** A query as far as slices need it. */
export interface SlicedQuery {
  text: string;
  before: number;
  after: number;
}

/** One way to divide queries; a query may belong to no part. */
interface Division {
  kind: string;
  partOf(text: string): string | undefined;
  /** Order of the parts; others follow by size. */
  order?: readonly string[];
}

const LENGTHS = ['1 to 3', '4 to 7', '8 to 15', '16 and more'];
const QUESTION =
  /^(who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|should|will|would)\b/i;
/** The scripts that are told apart, in the order in which the first match counts. */
const SCRIPTS = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Arabic',
  'Hebrew',
  'Devanagari',
  'Thai',
  'Hangul',
  'Hiragana',
  'Katakana',
  'Han',
];

const DIVISIONS: readonly Division[] = [
  {
    kind: 'words in the query',
    partOf: (text) => {
      const words = wordsOf(text).length;
      return LENGTHS[words <= 3 ? 0 : words <= 7 ? 1 : words <= 15 ? 2 : 3];
    },
    order: LENGTHS,
  },
  {
    kind: 'question word',
    partOf: (text) => QUESTION.exec(text.trim())?.[0].toLowerCase() ?? 'none',
  },
  { kind: 'names, numbers or quotes', partOf: (text) => (isEntityLike(text) ? 'yes' : 'no'), order: ['yes', 'no'] },
  { kind: 'script', partOf: scriptOf },
];

/**
 * Divides queries by length, question word, names and script, and takes the means of each part. A language cannot be told reliably from a few
 * words, so the script stands for it. A division into a single part is left out.
 */
export function slicesOf(queries: readonly SlicedQuery[]): SuiteSlice[] {
  return divideQueries(queries).map(({ kind, name, members }) => {
    const mean = (pick: (query: SlicedQuery) => number) =>
      members.reduce((sum, query) => sum + pick(query), 0) / members.length;
    const [before, after] = [mean((query) => query.before), mean((query) => query.after)];
    return { kind, name, queries: members.length, before, after };
  });
}

/** The parts that {@link slicesOf} takes the means of, with their queries. */
export function divideQueries<Q extends { text: string }>(
  queries: readonly Q[],
): { kind: string; name: string; members: Q[] }[] {
  return DIVISIONS.flatMap((division) => {
    const parts = new Map<string, Q[]>();
    for (const query of queries) {
      const part = division.partOf(query.text) ?? 'none';
      const members = parts.get(part);
      if (members === undefined) parts.set(part, [query]);
      else members.push(query);
    }
    const merged = mergeSmall(parts);
    if (merged.size < 2) return [];
    return sorted(merged, division).map(([name, members]) => ({ kind: division.kind, name, members }));
  });
}

function mergeSmall<Q>(parts: ReadonlyMap<string, Q[]>): Map<string, Q[]> {
  const small = [...parts].filter(([, members]) => members.length < FEWEST_OF_KIND);
  if (small.length < 2) return new Map(parts);
  const kept = [...parts].filter(([, members]) => members.length >= FEWEST_OF_KIND);
  return new Map([...kept, ['other', small.flatMap(([, members]) => members)]]);
}

/** In the order of the division if it has one, otherwise the largest first; "other" is last. */
function sorted<Q>(parts: ReadonlyMap<string, Q[]>, { order = [] }: Division): [string, Q[]][] {
  const place = (name: string) => (name === 'other' ? Number.POSITIVE_INFINITY : order.indexOf(name));
  return [...parts].sort(([a, one], [b, two]) =>
    place(a) === place(b) ? two.length - one.length : place(a) - place(b),
  );
}

function wordsOf(text: string): string[] {
  return text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** Whether a query looks as if it asked for something by name: a capital inside it, a number, an identifier, a quoted string. */
export function isEntityLike(text: string): boolean {
  if (/["“”«»]|\d/.test(text)) return true;
  const [, ...others] = wordsOf(text);
  return others.some((word) => /^\p{Lu}\p{L}/u.test(word)) || /\b\p{Lu}{2,}\b|\w_\w|\p{Ll}\p{Lu}/u.test(text);
}

function scriptOf(text: string): string {
  const counts = SCRIPTS.map(
    (script) => [script, (text.match(new RegExp(`\\p{Script=${script}}`, 'gu')) ?? []).length] as const,
  );
  const [best] = [...counts].sort((a, b) => b[1] - a[1]);
  return best === undefined || best[1] === 0 ? 'no letters' : best[0];
}
