import { type HitRows, type Run, TypedRun } from '../measures/index.ts';
import type { CorpusSearch, ExpandedQuery, Retrieval, RetrieveOptions, Retriever } from '../retrieve/index.ts';
import { UsageError } from '../system/index.ts';
import { meanOf, valuesOfCombinations } from './combination-values.ts';
import { crossValidate } from './cross-validate.ts';
import type { Topics } from './topics.ts';
import { type TuneAlphaOptions, type TuningPoint, tuneAlpha } from './tune-alpha.ts';

export interface ChooseAlphaOptions extends TuneAlphaOptions {
  kind: 'dense' | 'rrf';
  /** Seed of the division into parts. */
  seed: number;
}

/** The chosen weights of the expansions, and the queries they were chosen on. */
export interface AlphaChoice {
  source: 'dev' | 'cross-validation';
  /** Alpha of each query; all equal if it was chosen on development queries. */
  alphaOf: ReadonlyMap<string, number>;
  /** The measure by ascending alpha: a mean over the queries that alpha was chosen on. */
  points: TuningPoint[];
  /** `0.4`, or `0.3 to 0.5` if the parts chose differently. */
  words: string;
}

/**
 * Chooses the weight of the expansions on development queries. If there are none, it cross-validates over the evaluated
 * queries: each query uses the alpha that is best on the other parts, so alpha is never chosen on the query it is used for.
 *
 * @throws UsageError for no alphas, or a single query without development queries
 */
export async function chooseAlpha(
  search: CorpusSearch,
  { dev, scored }: { dev: Topics | undefined; scored: Topics },
  options: ChooseAlphaOptions,
): Promise<AlphaChoice> {
  const ids = scored.queries.map(({ id }) => id);
  if (dev !== undefined) {
    const { alpha, points } = await tuneAlpha(search, dev, options);
    return { source: 'dev', alphaOf: new Map(ids.map((id) => [id, alpha])), points, words: String(alpha) };
  }
  const alphas = [...new Set(options.alphas)].sort((a, b) => a - b);
  const values = await valuesOfCombinations(
    search,
    scored,
    alphas.map((alpha) => ({ alpha })),
    options,
  );
  const points = alphas.map((alpha, at) => ({ alpha, value: meanOf(values[at]!, ids) }));
  const alphaOf = crossValidate(ids, alphas, values, options.seed);
  const chosen = [...new Set(alphaOf.values())].sort((a, b) => a - b);
  const words = chosen.length === 1 ? String(chosen[0]) : `${chosen[0]} to ${chosen.at(-1)}`;
  return { source: 'cross-validation', alphaOf, points, words };
}

/** The alpha of each query, and who chose it. */
export type AlphaByQuery = Pick<AlphaChoice, 'alphaOf' | 'words'> & { source: string };

/** Searches for each query with the alpha that was chosen for it. */
export class ChosenAlphaRetriever implements Retriever {
  readonly name: Retriever['name'];
  readonly size: number;
  readonly settings: Retriever['settings'];
  readonly notes: Retriever['notes'];
  readonly #byAlpha: ReadonlyMap<number, Retriever>;
  readonly #alphaOf: ReadonlyMap<string, number>;

  private constructor(byAlpha: ReadonlyMap<number, Retriever>, { alphaOf, words, source }: AlphaByQuery) {
    const [first] = byAlpha.values();
    this.name = first!.name;
    this.size = first!.size;
    this.notes = first!.notes;
    this.settings = { ...first!.settings, alpha: words, 'alpha chosen by': source };
    this.#byAlpha = byAlpha;
    this.#alphaOf = alphaOf;
  }

  static async open(
    search: CorpusSearch,
    kind: Retriever['name'],
    choice: AlphaByQuery,
  ): Promise<ChosenAlphaRetriever> {
    const byAlpha = new Map<number, Retriever>();
    for (const alpha of new Set(choice.alphaOf.values())) byAlpha.set(alpha, await search.retriever(kind, { alpha }));
    return new ChosenAlphaRetriever(byAlpha, choice);
  }

  /** @throws UsageError for a query that no alpha was chosen for */
  async retrieve(queries: readonly ExpandedQuery[], options: RetrieveOptions): Promise<Retrieval> {
    const groups = new Map<number | undefined, ExpandedQuery[]>();
    for (const query of queries) {
      const alpha = this.#alphaOf.get(query.id);
      const group = groups.get(alpha);
      if (group === undefined) groups.set(alpha, [query]);
      else group.push(query);
    }
    const runs: Run[] = [];
    let [encodeMilliseconds, searchMilliseconds] = [0, 0];
    for (const [alpha, group] of groups) {
      const retriever = alpha === undefined ? undefined : this.#byAlpha.get(alpha);
      if (retriever === undefined) {
        throw new UsageError(`no alpha was chosen for query ${group[0]!.id}`, {
          fix: 'Choose alpha on a set that includes these queries.',
        });
      }
      const retrieval = await retriever.retrieve(group, options);
      runs.push(retrieval.run);
      encodeMilliseconds += retrieval.encodeMilliseconds;
      searchMilliseconds += retrieval.searchMilliseconds;
    }
    const ids = queries.map(({ id }) => id);
    return { run: new TypedRun(ids, rowsOf(runs, ids)), encodeMilliseconds, searchMilliseconds };
  }
}

/** A view of the hits of several runs over disjoint queries, in one order; nothing is copied. */
function rowsOf(runs: readonly Run[], ids: readonly string[]): Pick<HitRows, 'at'> {
  return { at: (row) => runs.find((run) => run.has(ids[row]!))?.get(ids[row]!) };
}
