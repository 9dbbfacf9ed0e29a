import {
  DocumentNumbers,
  type HitList,
  Hits,
  type Run,
  rankHits,
  type ScoredDocument,
  TypedRun,
} from '../measures/index.ts';
import { DataError, UsageError } from '../system/index.ts';

export interface FusionOptions {
  /** The constant added to each rank. Default 60. */
  k?: number | undefined;
  /** Number of hits per run to use, and of hits to keep. Default: all. */
  depth?: number | undefined;
}

/**
 * Reciprocal-rank fusion (Cormack, Clarke and Büttcher 2009): a document's score is the sum over the runs of
 * 1 / (k + rank). Ranks begin at 1 and follow trec_eval's order: score as a 32-bit float, descending, equal ones by
 * document id, descending; so two documents never share a rank. A run without a document adds nothing for it. The result
 * holds every query of any run.
 * @throws DataError for a document that a run lists twice for a query, or a score that is not a number
 * @throws UsageError for a negative k or a depth below 1
 */
export function fuseRuns(runs: readonly Run[], { k = 60, depth = Number.POSITIVE_INFINITY }: FusionOptions = {}): Run {
  if (!(k >= 0)) throw new UsageError(`k is ${k}`, { fix: 'Pass a number of at least 0; the default is 60.' });
  if (!(depth >= 1)) throw new UsageError(`the depth is ${depth}`, { fix: 'Pass at least 1.' });
  const queries = new Set(runs.flatMap((run) => [...run.keys()]));
  const documents = new DocumentNumbers();
  const lists: HitList[] = [];
  for (const query of queries) {
    const hits = fuseQuery(runs, query, k, depth);
    lists.push({
      numbers: Uint32Array.from(hits, ({ id }) => documents.number(id)),
      scores: Float64Array.from(hits, ({ score }) => score),
    });
  }
  return new TypedRun(queries, new Hits(lists, (number) => documents.id(number)));
}

function fuseQuery(runs: readonly Run[], query: string, k: number, depth: number): ScoredDocument[] {
  const scores = new Map<string, number>();
  for (const run of runs) {
    const hits = run.get(query) ?? [];
    refuseBrokenHits(hits, query);
    for (const [at, { id }] of rankHits(hits).slice(0, depth).entries()) {
      scores.set(id, (scores.get(id) ?? 0) + 1 / (k + at + 1));
    }
  }
  return rankHits(Array.from(scores, ([id, score]) => ({ id, score }))).slice(0, depth);
}

function refuseBrokenHits(hits: readonly ScoredDocument[], query: string): void {
  const seen = new Set<string>();
  for (const { id, score } of hits) {
    if (Number.isNaN(score)) throw brokenHit(`the score of document ${JSON.stringify(id)} is not a number`, query);
    if (seen.has(id)) throw brokenHit(`document ${JSON.stringify(id)} stands twice among its hits`, query);
    seen.add(id);
  }
}

function brokenHit(what: string, query: string): DataError {
  return new DataError(what, { id: query, fix: 'Create the run again, or remove the line.' });
}
