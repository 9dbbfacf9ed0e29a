import { stat } from 'node:fs/promises';
import { BeirDataset, type Document } from '../../../data/index.ts';
import { type CorpusSearch, ExplainedSearch, openCorpus, type RetrievalSettings } from '../../../retrieve/index.ts';
import { RequestError, type ServedIndex } from '../../../serve/index.ts';

/** Filters whose documents are remembered. */
const KEPT_FILTERS = 16;

/** A query that came with a corpus. */
export interface KnownQuery {
  id: string;
  text: string;
  /** Document → grade, of all splits. */
  judgements: ReadonlyMap<string, number>;
}

/** A corpus as the screen needs it: ranked in whole, with filters. */
export class TryCorpus {
  readonly search: ExplainedSearch;
  readonly #path: string;
  readonly #index: ServedIndex;
  /** The search of the generation that was opened. */
  readonly #opened: CorpusSearch;
  readonly #filters = new Map<string, Promise<Uint8Array>>();

  private constructor(path: string, index: ServedIndex, opened: CorpusSearch, search: ExplainedSearch) {
    [this.#path, this.#index, this.#opened, this.search] = [path, index, opened, search];
  }

  /**
   * Reads the documents once.
   * @param index of the same corpus; it is not closed here
   * @throws RequestError for an index of passages: the best passage of a document is another for the query and for an expansion
   */
  static async open(
    path: string,
    index: ServedIndex,
    settings: RetrievalSettings,
    signal: AbortSignal,
  ): Promise<TryCorpus> {
    const opened = index.firstPass;
    if (opened.passages !== undefined) {
      throw new RequestError(400, 'this index is searched by passages, whose scores have no shares', {
        fix: 'Start the studio with the documents themselves: a JSONL file, or a folder in the layout of BEIR.',
      });
    }
    const ids: string[] = [];
    for await (const { id } of documentsOf(path, signal)) ids.push(id);
    return new TryCorpus(path, index, opened, new ExplainedSearch(ids, opened, settings));
  }

  /** Whether the corpus has changed since: it must be opened again. */
  get isOld(): boolean {
    return this.#index.firstPass !== this.#opened;
  }

  get size(): number {
    return this.search.ids.length;
  }

  lookUp(ids: readonly string[]): Promise<ReadonlyMap<string, Document>> {
    return this.#index.lookUp(ids);
  }

  /** Tells which documents hold a text, in any case of letters; undefined for the empty text // [documents] */
  async passing(filter: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const wanted = filter.trim().toLowerCase();
    if (wanted === '') return undefined;
    const known = this.#filters.get(wanted);
    if (known !== undefined) return known;
    const reading = this.#read(wanted, signal);
    this.#filters.set(wanted, reading);
    reading.catch(() => this.#filters.delete(wanted));
    if (this.#filters.size > KEPT_FILTERS) this.#filters.delete(this.#filters.keys().next().value!);
    return reading;
  }

  async #read(wanted: string, signal: AbortSignal): Promise<Uint8Array> {
    const passing = new Uint8Array(this.size);
    for await (const { id, title, text } of documentsOf(this.#path, signal)) {
      const place = this.search.placeOf(id);
      const isThere = title.toLowerCase().includes(wanted) || text.toLowerCase().includes(wanted);
      if (isThere && place !== undefined) passing[place] = 1;
    }
    return passing;
  }
}

async function* documentsOf(path: string, signal: AbortSignal): AsyncGenerator<Document> {
  const corpus = await openCorpus(path);
  try {
    yield* corpus.documents(signal);
  } finally {
    await corpus.close?.();
  }
}

/** Reads the queries in a folder in BEIR's layout, with their judgements. None for a file, or a folder without queries. */
export async function knownQueries(path: string, signal: AbortSignal): Promise<KnownQuery[]> {
  if (!(await stat(path)).isDirectory()) return [];
  const dataset = await BeirDataset.open(path).catch(() => undefined);
  const file = await dataset?.queriesFile().catch(() => undefined);
  if (dataset === undefined || file === undefined) return [];
  const judged = new Map<string, Map<string, number>>();
  for (const split of await dataset.splits()) {
    for (const [query, grades] of await dataset.qrels(split, signal)) {
      const known = judged.get(query) ?? new Map<string, number>();
      for (const [document, grade] of grades) known.set(document, grade);
      judged.set(query, known);
    }
  }
  const queries = await dataset.queries({ signal });
  return Array.from(queries.values(), ({ id, text }) => ({ id, text, judgements: judged.get(id) ?? new Map() }));
}

/** Queries are one if they differ only in case and white space. */
export function queryKey(text: string): string {
  return text.replace(/\s+/g, ' ').trim().toLowerCase();
}
