import type { Topics } from '../evaluate/index.ts';
import { analyzeEnglish } from '../search/index.ts';
import { Random } from '../system/index.ts';

/**
 * Arms that a gain has to be told from: what an expansion does by its length or its style alone, whatever it says.
 */

/** The query itself in place of each expansion, repeated to the same number of words. */
export function repeatedQuery(topics: Topics): Topics {
  return mapExpansions(topics, ({ text }, passage) => {
    const words = wordsOf(text);
    const wanted = Math.max(1, wordsOf(passage).length);
    return Array.from({ length: wanted }, (_none, at) => words[at % words.length] ?? '').join(' ');
  });
}

/** The expansions of another query: style and length as they are, content foreign. No query keeps its own. */
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
