import type { ExpandQueryOptions } from '../serve/index.ts';
import { UsageError } from '../system/index.ts';
import type { EmbeddedDocuments, EmbeddedQuery, ExpanderLike, Found, QueryCall, Source } from './source.ts';

/** An expander in this process. */
export class ExpanderSource implements Source {
  readonly #expander: ExpanderLike;

  constructor(expander: ExpanderLike) {
    this.#expander = expander;
  }

  get model(): string {
    return this.#expander.encoder.id;
  }

  async embedQueries(queries: readonly string[], call: QueryCall): Promise<EmbeddedQuery[]> {
    refuseSharedExpansions(queries, call);
    const { budgetMs, expansions, signal }: ExpandQueryOptions = call;
    const embedded = queries.map((query) => this.#expander.embedQuery(query, { budgetMs, expansions, signal }));
    return (await Promise.all(embedded)).map(
      ({ vector, embedMilliseconds: _, encodedTokens: tokens, ...expansion }) => ({
        vector: Array.from(vector),
        ...{ expansion, tokens },
      }),
    );
  }

  async embedDocuments(texts: readonly string[], { signal }: Pick<QueryCall, 'signal'>): Promise<EmbeddedDocuments> {
    if (texts.length === 0) return { vectors: [], tokens: 0 };
    let tokens: number | undefined;
    const onTokens = (read: number) => {
      tokens = read;
    };
    const vectors = await this.#expander.embedDocuments(texts, { signal, onTokens });
    const width = vectors.length / texts.length;
    const rows = texts.map((_text, row) => Array.from(vectors.subarray(row * width, (row + 1) * width)));
    return { vectors: rows, tokens };
  }

  search(): Promise<Found> {
    const reason = 'an expander alone holds no index';
    const fix = 'Pass { index } with a search(vector, top, signal), or { server } with the name of its index.';
    return Promise.reject(new UsageError(reason, { fix }));
  }
}

/** @throws UsageError if there are expansions for several queries */
function refuseSharedExpansions(queries: readonly string[], { expansions }: QueryCall): void {
  if (expansions === undefined || queries.length < 2) return;
  throw new UsageError(`expansions belong to one query, and there are ${queries.length}`, {
    fix: 'Embed the query alone, with its expansions.',
  });
}
