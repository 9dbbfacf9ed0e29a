import { basename, join, resolve } from 'node:path';
import { type Document, documentText, type PassageRange } from '../data/index.ts';
import type { Encoder } from '../embed/index.ts';
import {
  CorpusSearch,
  CorpusTexts,
  corpusOfIndex,
  openCorpus,
  type RetrievalSettings,
  rangeOfPassage,
} from '../retrieve/index.ts';
import { generationOf, IndexSnapshot, isIndexFolder } from '../segments/index.ts';
import { CacheKind, claimNeighbour, makeFolder, type Progress, UsageError } from '../system/index.ts';

/** Copies of texts that servers hold open; those of servers that are gone are removed by the next one. */
export const SERVED_TEXTS = new CacheKind({
  name: 'served-texts',
  format: 1,
  what: 'texts of corpora that `llm-qe serve` has open',
  isSmall: true,
});

/** A found document. */
export interface ServedDocument {
  rank: number;
  id: string;
  score: number;
  /** Title and text; of a search by passages, title and best passage. */
  text: string;
  /** Where the best passage stands in the text of the document, in characters. */
  passage?: PassageRange;
}

export interface OpenServedOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Receives why a new generation of an index folder could not be opened; the old one goes on. */
  onError?: ((error: unknown) => void) | undefined;
  /** How often an index folder is looked at while nobody searches, in milliseconds. Default 1000. */
  watchMs?: number | undefined;
  /** Time until a generation that could not be opened is tried again; each time twice as long, up to a minute. Default 1000. */
  retryMs?: number | undefined;
}

const [WATCH_MS, RETRY_MS, LONGEST_RETRY_MS] = [1000, 1000, 60_000];

/** One generation of a corpus, open for search. */
interface Generation {
  search: CorpusSearch;
  size: number;
  lookUp(ids: readonly string[]): Promise<ReadonlyMap<string, Document>>;
  close(): Promise<void>;
  /** Searches in progress. */
  users: number;
  /** Whether another took its place: it closes when its searches have ended. */
  isRetired: boolean;
}

/**
 * A corpus that is open for search: its vectors, and its texts on disk. Of an index folder, a change is noticed within a second, opened
 * beside the old generation, and put in its place; searches in progress end on the old one.
 */
export class ServedIndex {
  readonly name: string;
  readonly #folder: string | undefined;
  readonly #open: (folder: string) => Promise<Generation>;
  readonly #onError: (error: unknown) => void;
  #current: Generation;
  /** Replaced, but kept for whoever took its {@link firstPass} a moment ago. */
  #previous: Generation | undefined;
  /** The generation that was opened last. */
  #seen: string | undefined;
  /** The generation that could not be opened, when it is tried again, and after which further wait. */
  #failed: { generation: string | undefined; again: number; wait: number } | undefined;
  #refreshing: Promise<void> | undefined;
  readonly #retryMs: number;
  readonly #watch: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(
    path: string,
    current: Generation,
    open: (folder: string) => Promise<Generation>,
    {
      seen,
      onError = () => {},
      watchMs = WATCH_MS,
      retryMs = RETRY_MS,
    }: OpenServedOptions & { seen: string | undefined },
  ) {
    this.name = basename(resolve(path)).replace(/\.jsonl(\.gz)?$/, '');
    this.#folder = seen === undefined ? undefined : path;
    [this.#current, this.#open, this.#seen, this.#onError] = [current, open, seen, onError];
    this.#retryMs = retryMs;
    // What was removed must not be found by the first search after a quiet night.
    if (this.#folder !== undefined) this.#watch = setInterval(() => void this.refresh(), watchMs).unref();
  }

  /**
   * Opens an index folder, a folder in BEIR's layout, or a JSONL file of documents; embeds what is not in the cache.
   * @param encoder embeds documents, and is not closed
   */
  static async open(
    path: string,
    encoder: Encoder,
    settings: RetrievalSettings,
    { signal, progress, ...how }: OpenServedOptions = {},
  ): Promise<ServedIndex> {
    const isIndex = await isIndexFolder(path);
    const seen = isIndex ? await generationOf(path) : undefined;
    const open = (from: string) => openGeneration(from, isIndex, encoder, settings, { signal, progress });
    return new ServedIndex(path, await open(path), open, { ...how, seen });
  }

  get size(): number {
    return this.#current.size;
  }

  /** What a gate reads hits from. */
  get firstPass(): CorpusSearch {
    return this.#current.search;
  }

  /** Returns title and text of a document. @throws UsageError if the corpus does not hold it */
  async text(id: string): Promise<string> {
    const document = (await this.#current.lookUp([id])).get(id);
    if (document !== undefined) return documentText(document);
    throw new UsageError('the corpus holds no such document', { id, fix: 'Use the id of a document of this corpus.' });
  }

  /** Returns documents of this corpus, by id. */
  lookUp(ids: readonly string[]): Promise<ReadonlyMap<string, Document>> {
    return this.#current.lookUp(ids);
  }

  /** @param vector // [dimensions] */
  async search(vector: Float32Array, top: number, signal?: AbortSignal): Promise<ServedDocument[]> {
    void this.refresh();
    const generation = this.#current;
    generation.users++;
    try {
      const hits = (await generation.search.searchVectors(vector, top, signal)).at(0) ?? [];
      const documents = await generation.lookUp(hits.map(({ id }) => id));
      return hits.map(({ id, score, passage: number }, at) => {
        const document = documents.get(id)!;
        const passage = rangeOfPassage(document, number, generation.search.passages);
        const text = documentText({ ...document, text: document.text.slice(passage?.start, passage?.end) });
        return { rank: at + 1, id, score, text, ...(passage && { passage }) };
      });
    } finally {
      generation.users--;
      await closeIfDone(generation);
    }
  }

  /** Looks for a new generation of an index folder, and waits until it is in place. Never fails. */
  async refresh(): Promise<void> {
    if (this.#folder === undefined) return;
    this.#refreshing ??= this.#refresh(this.#folder).finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    this.#isClosed = true;
    await this.#refreshing;
    for (const generation of [this.#previous, this.#current]) {
      if (generation === undefined) continue;
      generation.isRetired = true;
      await closeIfDone(generation);
    }
  }

  async #refresh(folder: string): Promise<void> {
    const found = await generationOf(folder).catch(() => undefined);
    if (found === this.#seen || this.#isClosed) return;
    const isKnown = this.#failed !== undefined && this.#failed.generation === found;
    // One that cannot be opened is tried again, but not at every search.
    if (isKnown && performance.now() < this.#failed!.again) return;
    const wait = isKnown ? Math.min(2 * this.#failed!.wait, LONGEST_RETRY_MS) : this.#retryMs;
    try {
      await this.#replace(await this.#open(folder));
      [this.#seen, this.#failed] = [found, undefined];
    } catch (error) {
      this.#failed = { generation: found, again: performance.now() + wait, wait };
      if (!isKnown) this.#onError(error);
    }
  }

  async #replace(next: Generation): Promise<void> {
    const retired = this.#previous;
    [this.#previous, this.#current] = [this.#current, next];
    if (retired === undefined) return;
    retired.isRetired = true;
    await closeIfDone(retired);
  }
}

async function closeIfDone(generation: Generation): Promise<void> {
  if (generation.isRetired && generation.users === 0) await generation.close();
}

async function openGeneration(
  path: string,
  isIndex: boolean,
  encoder: Encoder,
  settings: RetrievalSettings,
  { signal, progress }: OpenServedOptions,
): Promise<Generation> {
  const corpus = isIndex ? corpusOfIndex(await IndexSnapshot.open(path)) : await openCorpus(path);
  const search = new CorpusSearch(corpus, settings, { encoder, signal, progress });
  try {
    // The first search opens the index.
    await search.searchVectors(new Float32Array(encoder.dimensions), 1);
    if (isIndex) {
      const lookUp = (ids: readonly string[]) => search.lookUp(ids);
      return { search, size: await corpus.count(), lookUp, close: () => search.close(), users: 0, isRetired: false };
    }
    await makeFolder(SERVED_TEXTS.folder());
    const file = await claimNeighbour(join(SERVED_TEXTS.folder(), 'texts'), 'partial');
    const texts = await CorpusTexts.open(asTexts(corpus.documents(signal)), file, signal);
    const close = async () => {
      await Promise.all([search.close(), texts.close()]);
    };
    return { search, size: texts.size, lookUp: (ids) => readTexts(texts, ids), close, users: 0, isRetired: false };
  } catch (error) {
    await search.close();
    throw error;
  }
}

/** Keeps title and text apart. */
async function* asTexts(documents: AsyncIterable<Document>): AsyncGenerator<Document> {
  for await (const { id, title, text } of documents) yield { id, title: '', text: JSON.stringify([title, text]) };
}

async function readTexts(texts: CorpusTexts, ids: readonly string[]): Promise<ReadonlyMap<string, Document>> {
  const read = ids
    .filter((id) => texts.has(id))
    .map(async (id) => {
      const [title, text] = JSON.parse(await texts.text(texts.row(id))) as [string, string];
      return [id, { id, title, text }] as const;
    });
  return new Map(await Promise.all(read));
}

/** @throws UsageError if two indexes would have one name */
export function byName(indexes: readonly ServedIndex[]): Map<string, ServedIndex> {
  const named = new Map<string, ServedIndex>();
  for (const index of indexes) {
    if (named.has(index.name)) {
      throw new UsageError(`two indexes are named ${index.name}`, { fix: 'Rename one of the folders or files.' });
    }
    named.set(index.name, index);
  }
  return named;
}
