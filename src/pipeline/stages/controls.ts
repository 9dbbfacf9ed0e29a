import type { ArmTopics, Topics } from '../../evaluate/index.ts';
import { analyzeEnglish } from '../../search/index.ts';
import { Random } from '../../system/index.ts';
import type { ArmName } from '../run/stage.ts';

/** An arm that a gain has to be told from: what an expansion does by its length or its style alone, whatever it says. */
export interface ControlPlan {
  name: string;
  /** The arm whose alpha it takes. */
  like: ArmName;
  description: string;
  /** Made when they are searched, and forgotten: six arms more would stand in memory beside the three they are made of. */
  test: () => Topics[];
}

/**
 * Control arms: what stands beside the query is changed, all else stays as it was. A lone query has no other one's
 * expansions, and that control is left out.
 */
export function planControls(zeroShot: ArmTopics, aligned: ArmTopics, seed: number): ControlPlan[] {
  const cut = (arm: 0 | 1) => aligned.test.map((topics, at) => equalLengths(topics, zeroShot.test[at]!)[arm]);
  const equal = 'cut to the words of the shorter of zeroShot and aligned';
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

/** What is tested among them and the main arms. */
export const CONTROL_TESTS: readonly (readonly [string, string])[] = [
  ['aligned', 'query repeated'],
  ['aligned', "another query's"],
  ['aligned, equal length', 'zeroShot, equal length'],
  ['aligned, own terms deleted', 'zeroShot, own terms deleted'],
  ['aligned, own terms deleted', 'raw'],
];

/** The query itself in place of each expansion, repeated to the same number of words. */
export function repeatedQuery(topics: Topics): Topics {
  return mapExpansions(topics, ({ text }, passage) => {
    const words = wordsOf(text);
    const wanted = Math.max(1, wordsOf(passage).length);
    return Array.from({ length: wanted }, (_none, at) => words[at % words.length] ?? '').join(' ');
  });
}

/**
 * The expansions of another query: style and length as they are, content foreign. No query keeps its own, so there must be
 * two at least.
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

/** The expansions of two arms, each cut to as many words as the shorter of the two has for the same query. */
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

/** The expansions without the query's own words (by stem; function words stay). */
export function withoutQueryTerms(topics: Topics): Topics {
  const stems = new Map(topics.queries.map(({ id, text }) => [id, new Set(analyzeEnglish(text))]));
  return mapExpansions(topics, ({ id }, passage) => {
    const own = stems.get(id)!;
    return wordsOf(passage)
      .filter((word) => !analyzeEnglish(word).some((stem) => own.has(stem)))
      .join(' ');
  });
}

/** Mean number of words of all expansions. */
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
