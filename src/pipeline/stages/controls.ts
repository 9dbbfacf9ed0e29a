import type { ArmTopics, Topics } from '../../evaluate/index.ts';
import { analyzeEnglish } from '../../search/index.ts';
import { Random } from '../../system/index.ts';
import type { ArmName } from '../run/arms.ts';

/** A control arm: it shows what the length or the style of an expansion does by itself, whatever its content. */
export interface ControlPlan {
  name: string;
  /** The arm whose alpha it uses. */
  like: ArmName;
  description: string;
  /** Makes the topics when they are searched. They are not kept, to avoid six more arms in memory. */
  test: () => Topics[];
}

/**
 * Plans the control arms: the expansion is changed, everything else stays the same. If there is only one query, the
 * control with another query's expansions is omitted.
 */
export function planControls(zeroShot: ArmTopics, aligned: ArmTopics, seed: number): ControlPlan[] {
  const cut = (arm: 0 | 1) => aligned.test.map((topics, at) => equalLengths(topics, zeroShot.test[at]!)[arm]);
  const equal = 'cut to the number of words of the shorter of zeroShot and aligned';
  const foreign: ControlPlan = {
    ...{ name: "another query's", like: 'aligned' },
    description: 'the aligned expansion of another query',
    test: () => aligned.test.map((topics) => foreignExpansions(topics, seed)),
  };
  const deleted = "without the query's own words";
  return [
    {
      ...{ name: 'query repeated', like: 'aligned' },
      description: 'the query, repeated to the length of the aligned expansion',
      test: () => aligned.test.map(repeatedQuery),
    },
    ...(aligned.test.every(({ queries }) => queries.length > 1) ? [foreign] : []),
    { name: 'zeroShot, equal length', like: 'zeroShot', description: equal, test: () => cut(1) },
    { name: 'aligned, equal length', like: 'aligned', description: equal, test: () => cut(0) },
    {
      ...{ name: 'zeroShot, own terms deleted', like: 'zeroShot' },
      description: deleted,
      test: () => zeroShot.test.map(withoutQueryTerms),
    },
    {
      ...{ name: 'aligned, own terms deleted', like: 'aligned' },
      description: deleted,
      test: () => aligned.test.map(withoutQueryTerms),
    },
  ];
}

/** The tests among the controls and the main arms. */
export const CONTROL_TESTS: readonly (readonly [string, string])[] = [
  ['aligned', 'query repeated'],
  ['aligned', "another query's"],
  ['aligned, equal length', 'zeroShot, equal length'],
  ['aligned, own terms deleted', 'zeroShot, own terms deleted'],
  ['aligned, own terms deleted', 'raw'],
];

/** Replaces each expansion by the query, repeated to the same number of words. */
export function repeatedQuery(topics: Topics): Topics {
  return mapExpansions(topics, ({ text }, passage) => {
    const words = wordsOf(text);
    const wanted = Math.max(1, wordsOf(passage).length);
    return Array.from({ length: wanted }, (_none, at) => words[at % words.length] ?? '').join(' ');
  });
}

/**
 * Gives each query the expansions of another query: same style and length, other content. There must be at least two
 * queries, because none keeps its own.
 */
export function foreignExpansions(topics: Topics, seed: number): Topics {
  const { queries } = topics;
  const order = new Random(seed).shuffle(queries.map((_query, row) => row));
  const from = new Map(order.map((row, at) => [row, order[(at + 1) % order.length]!]));
  return {
    ...topics,
    queries: queries.map((query, row) => ({ ...query, expansions: queries[from.get(row)!]!.expansions })),
  };
}

/** Cuts the expansions of two arms to the number of words of the shorter one, query by query. */
export function equalLengths(a: Topics, b: Topics): [Topics, Topics] {
  const others = new Map(b.queries.map(({ id, expansions }) => [id, expansions]));
  const limit = (id: string, mine: readonly string[]) => {
    const counts = [...mine, ...(others.get(id) ?? [])].map((text) => wordsOf(text).length);
    return Math.min(...counts);
  };
  const limits = new Map(a.queries.map(({ id, expansions }) => [id, limit(id, expansions)]));
  const cut = (topics: Topics) =>
    mapExpansions(topics, ({ id }, passage) =>
      wordsOf(passage)
        .slice(0, limits.get(id) ?? Number.POSITIVE_INFINITY)
        .join(' '),
    );
  return [cut(a), cut(b)];
}

/** Removes the query's own words from the expansions (by stem; function words stay). */
export function withoutQueryTerms(topics: Topics): Topics {
  const stems = new Map(topics.queries.map(({ id, text }) => [id, new Set(analyzeEnglish(text))]));
  return mapExpansions(topics, ({ id }, passage) => {
    const own = stems.get(id)!;
    return wordsOf(passage)
      .filter((word) => !analyzeEnglish(word).some((stem) => own.has(stem)))
      .join(' ');
  });
}

/** The mean number of words of all expansions. */
export function meanWords({ queries }: Topics): number {
  const counts = queries.flatMap(({ expansions }) => expansions.map((text) => wordsOf(text).length));
  return counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function mapExpansions(topics: Topics, change: (query: Topics['queries'][number], passage: string) => string): Topics {
  const queries = topics.queries.map((query) => ({
    ...query,
    expansions: query.expansions.map((passage) => change(query, passage)).filter((passage) => passage !== ''),
  }));
  return { ...topics, queries };
}
