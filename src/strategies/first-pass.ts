import { documentText } from '../data/index.ts';
import type { CorpusSearch, ExpandedQuery } from '../retrieve/index.ts';

/** The length to which CSQE cuts documents; LameR and ThinkQE read passages of MS MARCO, few of which are longer. */
const TOKENS = 128;
/** A token is a word or a mark; this limits words that are not. */
const CHARACTERS_PER_TOKEN = 10;

/** A document for a prompt. */
interface Passage {
  id: string;
  text: string;
}

/** Finds documents for prompts by BM25 over the data set's corpus. */
export class FirstPass {
  readonly #search: CorpusSearch;
  readonly #signal: AbortSignal | undefined;

  constructor(search: CorpusSearch, signal?: AbortSignal) {
    [this.#search, this.#signal] = [search, signal];
  }

  /**
   * Returns the best documents for each query, cut to {@link TOKENS} tokens. A document whose id is that of the query is left out,
   * as ArguAna's queries are documents.
   *
   * @param queries each with the text to search with
   * @param skipped ids of documents to pass over, by query
   */
  async passagesFor(
    queries: readonly { id: string; text: string }[],
    documents: number,
    skipped: ReadonlyMap<string, ReadonlySet<string>>,
  ): Promise<Map<string, Passage[]>> {
    const asked = queries.map(({ id, text }): ExpandedQuery => ({ id, text, expansions: [] }));
    const most = Math.max(0, ...[...skipped.values()].map((ids) => ids.size));
    const retriever = await this.#search.retriever('bm25');
    const { run } = await retriever.retrieve(asked, {
      ...{ depth: documents + most, dropSelf: true, signal: this.#signal },
    });
    const chosen = new Map(
      asked.map(({ id }) => {
        const ids = [...(run.get(id) ?? [])].map((hit) => hit.id).filter((hit) => !skipped.get(id)?.has(hit));
        return [id, ids.slice(0, documents)] as const;
      }),
    );
    const texts = await this.#textsOf(new Set([...chosen.values()].flat()));
    return new Map([...chosen].map(([id, hits]) => [id, hits.map((hit) => ({ id: hit, text: texts.get(hit) ?? '' }))]));
  }

  /** Reads the corpus once, and keeps the beginnings of the documents. */
  async #textsOf(ids: ReadonlySet<string>): Promise<Map<string, string>> {
    const documents = await this.#search.lookUp(ids, this.#signal);
    return new Map([...documents].map(([id, document]) => [id, beginningOf(documentText(document))]));
  }
}

/** Returns the first tokens of a text on one line. */
export function beginningOf(text: string, tokens = TOKENS): string {
  const head = text
    .slice(0, 4 * tokens * CHARACTERS_PER_TOKEN)
    .replace(/\s+/g, ' ')
    .trim();
  let end = 0;
  let count = 0;
  for (const match of head.matchAll(/[\p{L}\p{N}_]+|[^\s]/gu)) {
    if (++count > tokens) break;
    end = match.index + match[0].length;
  }
  return head.slice(0, Math.min(end, tokens * CHARACTERS_PER_TOKEN)).replace(/[\uD800-\uDBFF]$/, '');
}
