import { type Run, rankBiasedOverlap, rankHits } from '../measures/index.ts';
import type { CorpusSearch, ExpandedQuery, RetrieveOptions, Retriever } from '../retrieve/index.ts';
import {
  type Features,
  rarityFeatures,
  scoreFeatures,
  textFeatures,
  vectorFeatures,
  writtenFeatures,
} from './features.ts';

/** Hits whose order the overlaps compare. */
const DEPTH = 100;

export type FeatureOptions = Pick<RetrieveOptions, 'dropSelf' | 'keepSelfOf' | 'signal'>;

/** Features by query id, and the raw hits that {@link readAfter} compares with. */
export interface BeforeFeatures {
  features: Map<string, Features>;
  raw: Run;
}

/** Computes what is known of queries before anything is written for them: one raw search, and one lexical search beside a dense one. */
export async function readBefore(
  search: CorpusSearch,
  kind: Retriever['name'],
  queries: readonly ExpandedQuery[],
  options: FeatureOptions,
): Promise<BeforeFeatures> {
  const bare = queries.map(({ id, text }) => ({ id, text, expansions: [] }));
  const runOf = async (one: 'dense' | 'bm25') => {
    const { run } = await (await search.plainRetriever(one)).retrieve(bare, { ...options, depth: DEPTH });
    return run;
  };
  const lexical = await runOf('bm25');
  const raw = kind === 'bm25' ? lexical : await runOf('dense');
  const idfs = await search.idfsOf(queries.map(({ text }) => text));
  const features = queries.map(({ id, text }, at): [string, Features] => [
    id,
    {
      ...textFeatures(text),
      ...rarityFeatures(idfs[at]!),
      ...scoreFeatures(rankHits(raw.get(id) ?? []).map(({ score }) => score)),
      ...(kind !== 'bm25' && { agreement: overlapOf(raw, lexical, id) }),
    },
  ]);
  return { features: new Map(features), raw };
}

/**
 * Computes what is known of queries once expansions are written, in addition to what was known before: one expanded search, and for a
 * dense one the vectors of the texts.
 * @param before of {@link readBefore} for the same queries
 * @param probe weight of the expansions in the search whose hits are compared
 */
export async function readAfter(
  search: CorpusSearch,
  kind: Retriever['name'],
  queries: readonly ExpandedQuery[],
  { before, probe, ...options }: FeatureOptions & { before: BeforeFeatures; probe: number },
): Promise<Map<string, Features>> {
  const isLexical = kind === 'bm25';
  const retriever = await search.plainRetriever(isLexical ? 'bm25' : 'dense', isLexical ? {} : { alpha: probe });
  const { run } = await retriever.retrieve(queries, { ...options, depth: DEPTH });
  const vectors = isLexical ? [] : await vectorsOf(search, queries, options.signal);
  const features = queries.map(({ id, text, expansions, logProbability }, at): [string, Features] => [
    id,
    {
      ...before.features.get(id),
      ...writtenFeatures(text, expansions),
      ...(logProbability !== undefined && { logProbability }),
      ...vectors[at],
      ...(expansions.length > 0 && { overlap: overlapOf(before.raw, run, id) }),
    },
  ]);
  return new Map(features);
}

async function vectorsOf(
  search: CorpusSearch,
  queries: readonly ExpandedQuery[],
  signal: AbortSignal | undefined,
): Promise<Features[]> {
  const { vectors, expansions, counts } = await search.embedQueries(queries, signal);
  const dimensions = vectors.length / Math.max(1, queries.length);
  let from = 0;
  return counts.map((count, row) => {
    const own = expansions.subarray(from * dimensions, (from + count) * dimensions);
    from += count;
    return vectorFeatures(vectors.subarray(row * dimensions, (row + 1) * dimensions), own);
  });
}

function overlapOf(one: Run, other: Run, query: string): number {
  const idsOf = (run: Run) => rankHits(run.get(query) ?? []).map(({ id }) => id);
  return rankBiasedOverlap(idsOf(one), idsOf(other), { depth: DEPTH });
}
