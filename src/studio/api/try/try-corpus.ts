import { stat } from 'node:fs/promises';
import { BeirDataset } from '../../../data/index.ts';
import { type Corpus, ExplainedSearch, openCorpus, type RetrievalSettings } from '../../../retrieve/index.ts';
import type { ServedIndex } from '../../../serve/index.ts';

/** Filters whose documents are remembered. */
const KEPT_FILTERS = 16;

/** A query that came with a corpus. */
export interface KnownQuery {
  id: string;
  text: string;
  /** Document → grade, of all splits. */
  judgements: ReadonlyMap<string, number>;
}

/** A corpus as the screen needs it: ranked in whole, with titles, filters, and the queries and judgements beside it. */
export class TryCorpus {
  readonly search: ExplainedSearch;
  readonly #index: ServedIndex;
  readonly #corpus: Corpus;
  /** Characters of the title, which begins the text of a document // [documents] */
  readonly #titles: Uint32Array;
  readonly #filters = new Map<string, Promise<Uint8Array>>();

  private constructor(index: ServedIndex, corpus: Corpus, search: ExplainedSearch, titles: Uint32Array) {
    [this.#index, this.#corpus, this.search, this.#titles] = [index, corpus, search, titles];
  }

  /** Reads the documents once. @param index of the same corpus; it is not closed here */
  static async open(
    path: string,
    index: ServedIndex,
    settings: RetrievalSettings,
    signal: AbortSignal,
  ): Promise<TryCorpus> {
    const corpus = await openCorpus(path);
    const titles = new Map<string, number>();
    for await (const { id, title } of corpus.documents(signal)) titles.set(id, title.length);
    const search = new ExplainedSearch([...titles.keys()], index.firstPass, settings);
    return new TryCorpus(
      index,
      corpus,
      search,
      Uint32Array.from(search.ids, (id) => titles.get(id)!),
    );
  }

  get size(): number {
    return this.search.ids.length;
  }

  async document(id: string): Promise<{ title: string; text: string }> {
    const whole = await this.#index.text(id);
    const end = this.#titles[this.search.placeOf(id)!]!;
    return { title: whole.slice(0, end), text: whole.slice(end).trimStart() };
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
    for await (const { id, title, text } of this.#corpus.documents(signal)) {
      if (title.toLowerCase().includes(wanted) || text.toLowerCase().includes(wanted)) {
        passing[this.search.placeOf(id)!] = 1;
      }
    }
    return passing;
  }
}

/** Reads the queries in a folder in BEIR's layout, with their judgements. None for a file, or a folder without queries. */
export async function knownQueries(path: string, signal: AbortSignal): Promise<KnownQuery[]> {
  if (!(await stat(path)).isDirectory()) return [];
  const dataset = await BeirDataset.open(path);
  const file = await dataset.queriesFile().catch(() => undefined);
  if (file === undefined) return [];
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
