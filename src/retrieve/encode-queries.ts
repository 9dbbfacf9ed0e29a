import type { Encoder, TextRole } from '../embed/index.ts';
import { combineQueryVectors } from '../search/index.ts';
import type { ExpansionWeight } from './combination.ts';
import type { ExpandedQuery } from './retriever.ts';

export interface DenseSettings {
  /** How the vectors of a query and its expansions become one. */
  alpha: ExpansionWeight;
  /** Whether an expansion is embedded as a query or as a document, with the prefix for it. */
  expansionRole: TextRole;
  similarity: 'dot' | 'cosine';
}

/** Queries and their expansions as vectors, not yet combined. */
export interface EmbeddedQueries {
  /** // [queries, dimensions] */
  vectors: Float32Array;
  /** The expansions of all queries, in the order of the queries // [sum of counts, dimensions] */
  expansions: Float32Array;
  /** Number of expansions of each query // [queries] */
  counts: number[];
}

/** Returns the vectors to search with // [queries, dimensions] */
export async function encodeQueries(
  encoder: Encoder,
  queries: readonly ExpandedQuery[],
  { alpha, expansionRole }: Pick<DenseSettings, 'alpha' | 'expansionRole'>,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const texts = alpha === 'joined' ? queries.map(joinQuery) : queries;
  return combineVectors(
    encoder,
    await embedQueries(encoder, texts, expansionRole, signal),
    alpha === 'joined' ? 1 : alpha,
  );
}

/** Puts the query before each of its expansions: the mean of these texts is searched (Query2doc, section 2). */
function joinQuery(query: ExpandedQuery): ExpandedQuery {
  return { ...query, expansions: query.expansions.map((passage) => `${query.text} ${passage}`) };
}

/** Embeds each text once. */
export async function embedQueries(
  encoder: Encoder,
  queries: readonly ExpandedQuery[],
  role: TextRole,
  signal?: AbortSignal,
): Promise<EmbeddedQueries> {
  const texts = queries.map(({ text }) => text);
  const passages = queries.flatMap(({ expansions }) => expansions);
  const counts = queries.map(({ expansions }) => expansions.length);
  const vectors = await encoder.encode(texts, 'query', { signal });
  const expansions = passages.length === 0 ? new Float32Array(0) : await encoder.encode(passages, role, { signal });
  return { vectors, expansions, counts };
}

/** Returns one vector per query // [queries, dimensions] */
export function combineVectors(
  { dimensions }: Encoder,
  { vectors, expansions, counts }: EmbeddedQueries,
  alpha: number | 'mean',
): Float32Array {
  return combineQueryVectors(vectors, expansions, counts, { dimensions, alpha });
}
