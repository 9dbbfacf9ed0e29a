import type { ExplainedRanking, Explanation } from '../../../retrieve/index.ts';
import type { TryCard, TryRank, TryRanking, TryRankings, Why } from '../../shapes/try.ts';
import { markedTerms, snippetOf } from './snippet.ts';
import type { KnownQuery, TryCorpus } from './try-corpus.ts';

/** Terms of a BM25 score that are told one by one; the rest is summed up. */
const MOST_TERMS = 12;

/** The fusion's constants, to be told with its shares. */
interface Fusion {
  k: number;
  depth: number;
}

/** Ranks a query without expansions and with those of each arm. */
export async function rankAll(
  corpus: TryCorpus,
  known: KnownQuery | undefined,
  asked: TryRank,
  { fusion, signal }: { fusion: Fusion; signal: AbortSignal },
): Promise<TryRankings> {
  const started = performance.now();
  const { query, arms, retriever: kind, alpha, queryRepeats, top } = asked;
  const passing = await corpus.passing(asked.filter, signal);
  const how = { text: query, kind, alpha, queryRepeats };
  const raw = await corpus.search.rank({ ...how, expansions: [] });
  const expanded: ExplainedRanking[] = [];
  for (const { texts } of arms) expanded.push(await corpus.search.rank({ ...how, expansions: texts }));
  const show = (ranking: ExplainedRanking, others: readonly ExplainedRanking[], texts: readonly string[]) =>
    cardsOf(corpus, { ranking, others, texts, query, top, passing, known, fusion });
  return {
    documents: corpus.size,
    passing: passing === undefined ? corpus.size : passing.reduce((sum, one) => sum + one, 0),
    known: known && {
      id: known.id,
      judgements: known.judgements.size,
      relevant: [...known.judgements.values()].filter((grade) => grade > 0).length,
    },
    raw: await show(raw, expanded, []),
    arms: await Promise.all(expanded.map((ranking, at) => show(ranking, [raw], arms[at]!.texts))),
    milliseconds: performance.now() - started,
  };
}

interface Shown {
  ranking: ExplainedRanking;
  /** Those in which the same documents are looked up. */
  others: readonly ExplainedRanking[];
  texts: readonly string[];
  query: string;
  top: number;
  passing: Uint8Array | undefined;
  known: KnownQuery | undefined;
  fusion: Fusion;
}

async function cardsOf(corpus: TryCorpus, shown: Shown): Promise<TryRanking> {
  const { ranking, others, texts, query, top, passing, known, fusion } = shown;
  const hits = ranking.top(top, passing);
  const places = hits.map(({ id }) => corpus.search.placeOf(id)!);
  const explanations = await ranking.explain(places);
  const terms = markedTerms(query, texts);
  const documents = await corpus.lookUp(hits.map(({ id }) => id));
  const cards = hits.map(({ id, rank, score }, at): TryCard => {
    const { title, text } = documents.get(id)!;
    const ranks = others.map((other) => other.rankOf(places[at]!, passing) ?? null);
    const why = toWhy(explanations[at]!, fusion);
    const relevance = known?.judgements.get(id);
    return { id, rank, score, title, relevance, why, others: ranks, snippet: snippetOf(text, terms) };
  });
  const judged = known !== undefined && known.judgements.size > 0 && passing === undefined;
  return { cards, ndcg10: judged ? ndcg10(ranking, known) : undefined };
}

/** As trec_eval's ndcg_cut_10: the gain of a grade is the grade. */
function ndcg10(ranking: ExplainedRanking, { judgements }: KnownQuery): number | undefined {
  const gain = (grades: readonly number[]) =>
    grades.slice(0, 10).reduce((sum, grade, at) => sum + Math.max(0, grade) / Math.log2(at + 2), 0);
  const ideal = gain([...judgements.values()].sort((a, b) => b - a));
  if (ideal === 0) return undefined;
  return gain(ranking.top(10).map(({ id }) => judgements.get(id) ?? 0)) / ideal;
}

function toWhy({ dense, bm25, fused }: Explanation, fusion: Fusion): Why {
  return {
    ...(dense && { dense }),
    ...(bm25 && { bm25: { score: bm25.score, terms: fewTerms(bm25.terms) } }),
    ...(fused && { fused: { ...fusion, ...fused } }),
  };
}

/** Sums up what is beyond the first terms, so that the shares still sum to the score. */
function fewTerms(terms: NonNullable<Explanation['bm25']>['terms']) {
  if (terms.length <= MOST_TERMS) return terms;
  const rest = terms.slice(MOST_TERMS - 1);
  const total = (field: 'share' | 'ofQuery') => rest.reduce((sum, one) => sum + one[field], 0);
  return [
    ...terms.slice(0, MOST_TERMS - 1),
    { term: `${rest.length} others`, share: total('share'), ofQuery: total('ofQuery') },
  ];
}
