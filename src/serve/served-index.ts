import { basename, join, resolve } from 'node:path';
import type { Encoder } from '../embed/index.ts';
import { CorpusSearch, CorpusTexts, openCorpus, type RetrievalSettings } from '../retrieve/index.ts';
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
  text: string;
}

/** A corpus that is open for search: its vectors, and its texts on disk. */
export class ServedIndex {
  readonly name: string;
  readonly #search: CorpusSearch;
  readonly #texts: CorpusTexts;

  private constructor(name: string, search: CorpusSearch, texts: CorpusTexts) {
    [this.name, this.#search, this.#texts] = [name, search, texts];
  }

  /**
   * Opens a folder in BEIR's layout, or a JSONL file of documents; embeds what is not in the cache.
   * @param encoder embeds documents, and is not closed
   */
  static async open(
    path: string,
    encoder: Encoder,
    settings: RetrievalSettings,
    { signal, progress }: { signal?: AbortSignal | undefined; progress?: Progress | undefined } = {},
  ): Promise<ServedIndex> {
    const corpus = await openCorpus(path);
    const search = new CorpusSearch(corpus, settings, { encoder, signal, progress });
    // The first search opens the index.
    await search.searchVectors(new Float32Array(encoder.dimensions), 1);
    await makeFolder(SERVED_TEXTS.folder());
    const file = await claimNeighbour(join(SERVED_TEXTS.folder(), 'texts'), 'partial');
    const texts = await CorpusTexts.open(corpus.documents(signal), file, signal);
    return new ServedIndex(basename(resolve(path)).replace(/\.jsonl(\.gz)?$/, ''), search, texts);
  }

  get size(): number {
    return this.#texts.size;
  }

  /** What a gate reads hits from. */
  get firstPass(): CorpusSearch {
    return this.#search;
  }

  /** @param vector // [dimensions] */
  async search(vector: Float32Array, top: number, signal?: AbortSignal): Promise<ServedDocument[]> {
    const hits = (await this.#search.searchVectors(vector, top, signal)).at(0) ?? [];
    return Promise.all(
      hits.map(async ({ id, score }, at) => {
        const text = await this.#texts.text(this.#texts.row(id));
        return { rank: at + 1, id, score, text };
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#search.close(), this.#texts.close()]);
  }
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
