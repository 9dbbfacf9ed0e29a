import { rm } from 'node:fs/promises';
import { z } from 'zod';
import {
  queryTextOf,
  type RetrieverPassage,
  type RetrieverRow,
  type RetrieverSource,
  retrieverRowSchema,
} from '../../data/index.ts';
import type { Encoder, VectorFile } from '../../embed/index.ts';
import { IdSet, Journal, readJsonl, writeJsonl } from '../../files/index.ts';
import type { Run } from '../../measures/index.ts';
import { fuseRuns } from '../../search/index.ts';
import { type Progress, type ProgressTask, SILENT, throwIfAborted } from '../../system/index.ts';
import type { Corpus } from '../corpus.ts';
import { CorpusSearch } from '../corpus-search.ts';
import type { ExpandedQuery } from '../retriever.ts';
import type { RetrievalSettings } from '../settings.ts';
import { type Candidate, chooseNegatives, DROP_REASONS, type DropCounts, noDrops } from './choose-negatives.ts';
import { CorpusTexts } from './corpus-texts.ts';
import { DenseCandidates, encodeOwnDocuments } from './dense-candidates.ts';
import type { RelevantDocuments } from './relevant-documents.ts';
import { comparesWithPositive, type MiningSettings, needsScores } from './settings.ts';
import { textKeyOf } from './text-key.ts';

/** What was found, and what was dropped. */
export interface MiningCounts {
  rows: number;
  negatives: number;
  /** Rows with fewer negatives than wanted, and those without any. */
  short: number;
  none: number;
  candidates: number;
  dropped: DropCounts;
}

/** Rows that are searched together: one pass over the corpus for all of them. */
const ROWS_AT_A_TIME = 4096;

const minedSchema = z.object({
  row: retrieverRowSchema,
  negatives: z.number(),
  candidates: z.number(),
  dropped: z.record(z.enum(DROP_REASONS), z.number()),
});
type Mined = z.output<typeof minedSchema>;

const NO_TEXT = textKeyOf('');

/** The depth of a search leaves room for so many positives of a query at most. */
const MOST_POSITIVES = 1000;

/** The number of positives of one query for which a search leaves room. */
export function mostPositives({ most }: RelevantDocuments): number {
  return Math.min(most, MOST_POSITIVES);
}

/** Removes what an interrupted run left of a file that is complete. */
export async function removeWorkFiles(file: string): Promise<void> {
  for (const path of [textsFileOf(file), journalOf(file)]) await rm(path, { force: true });
}

function textsFileOf(file: string): string {
  return `${file}.texts`;
}

/** Path of the journal of an unfinished file. */
export function journalOf(file: string): string {
  return `${file}.journal`;
}

/** Everything that is decided before the work. */
export interface MiningPlan {
  source: RetrieverSource;
  retrieval: RetrievalSettings;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  settings: MiningSettings & { rangeMin: number; rangeMax: number };
  corpus: Corpus;
  encoder: Encoder | undefined;
  relevant: RelevantDocuments;
  /** Of the rows. */
  hash: string;
  /** Number of rows. */
  total: number;
}

/** What is open during the work. */
interface MiningParts {
  texts: CorpusTexts;
  dense: DenseCandidates | undefined;
  lexical: CorpusSearch | undefined;
  /** Vectors of the rows' own documents, if similarities to them are asked for. */
  own: VectorFile | undefined;
}

/** A row on its way, and where the vectors of its own documents begin. */
interface OpenRow {
  row: RetrieverRow;
  start: number;
}

/** Searches, chooses and journals, some thousand rows at a time. */
export class Mining {
  readonly #plan: MiningPlan;
  readonly #parts: MiningParts;
  readonly #journal: Journal<Mined>;
  readonly #file: string;
  readonly #finished: IdSet;
  readonly counts: MiningCounts;
  readonly #depth: number;

  private constructor(
    plan: MiningPlan,
    parts: MiningParts,
    file: string,
    found: { journal: Journal<Mined>; finished: IdSet; counts: MiningCounts },
  ) {
    [this.#plan, this.#parts, this.#file] = [plan, parts, file];
    [this.#journal, this.#finished, this.counts] = [found.journal, found.finished, found.counts];
    this.#depth = plan.settings.rangeMax + mostPositives(plan.relevant);
  }

  static async open(plan: MiningPlan, file: string): Promise<Mining> {
    const { negatives: wanted } = plan.settings;
    const finished = new IdSet();
    const counts: MiningCounts = { rows: 0, negatives: 0, short: 0, none: 0, candidates: 0, dropped: noDrops() };
    const journal = await Journal.open(journalOf(file), minedSchema as z.ZodType<Mined>, {
      keyOf: ({ row }) => row.id,
      isWhole: () => true,
      onGroup: ([mined]) => {
        finished.add(mined!.row.id);
        count(counts, mined!, wanted);
      },
    });
    try {
      return new Mining(plan, await openParts(plan, file), file, { journal, finished, counts });
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  get documents(): number {
    return this.#parts.texts.size;
  }

  /** @returns the number of rows that were finished before */
  async run(): Promise<number> {
    const { progress = SILENT, total, signal } = this.#plan;
    const reused = this.#finished.size;
    const task = progress.task('mining negatives', total, 'rows');
    task.skip(reused);
    try {
      for await (const batch of this.#batches()) {
        throwIfAborted(signal);
        await this.#mine(batch, task);
      }
    } finally {
      task.done();
    }
    return reused;
  }

  /** Writes the file from the journal. */
  async finish(): Promise<void> {
    const { file } = this.#journal;
    await this.#journal.close();
    async function* rows(): AsyncGenerator<RetrieverRow> {
      for await (const { value } of readJsonl(file, minedSchema as z.ZodType<Mined>)) yield value.row;
    }
    await writeJsonl(this.#file, rows());
  }

  async close(): Promise<void> {
    const { texts, dense, lexical, own } = this.#parts;
    await Promise.all([texts.close(), dense?.close(), lexical?.close(), own?.close()]);
    await this.#journal.close();
  }

  async *#batches(): AsyncGenerator<OpenRow[]> {
    let batch: OpenRow[] = [];
    let start = 0;
    for await (const row of this.#plan.source.rows()) {
      if (!this.#finished.has(row.id)) batch.push({ row, start });
      start += ownDocuments(row, this.#plan.settings).length;
      if (batch.length < ROWS_AT_A_TIME) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }

  async #mine(batch: readonly OpenRow[], task: ProgressTask): Promise<void> {
    const { settings, signal } = this.#plan;
    const queries = batch.map(({ row }) => queryOf(row, settings));
    const vectors = await this.#parts.dense?.queryVectors(queries, signal);
    const found = await this.#search(queries, vectors);
    const candidates = batch.map(({ row }, at) => this.#candidatesOf(row, queries[at]!, found));
    if (vectors !== undefined && needsScores(settings)) await this.#addSimilarities(vectors, candidates);
    for (const [at, { row, start }] of batch.entries()) {
      const own = await this.#ownScores(row, start, vectors, at);
      await this.#append(await this.#choose(row, candidates[at]!, own));
    }
    // At once: the first row alone would bear the time of the search for all, and the time left would be absurd.
    task.advance(batch.length);
  }

  async #search(queries: readonly ExpandedQuery[], vectors: Float32Array | undefined): Promise<SearchResult> {
    const { signal, retrieval } = this.#plan;
    const { dense, lexical } = this.#parts;
    const depth = this.#depth;
    const byVectors = dense && (await dense.search(queries, vectors!, depth, signal));
    const bm25 = await lexical?.retriever('bm25');
    const byWords = (await bm25?.retrieve(queries, { depth, dropSelf: false, signal }))?.run;
    if (byVectors === undefined || byWords === undefined) return { run: (byVectors ?? byWords)!, dense: byVectors };
    return { run: fuseRuns([byVectors, byWords], { k: retrieval.rrfK, depth }), dense: byVectors };
  }

  #candidatesOf(row: RetrieverRow, query: ExpandedQuery, { run, dense }: SearchResult): Candidate[] {
    const { texts } = this.#parts;
    const isFused = dense !== undefined && dense !== run;
    const scores = isFused ? new Map(dense.get(query.id)!.map(({ id, score }) => [id, score])) : undefined;
    const asked = textKeyOf(queryTextOf(row));
    const kept = this.#plan.settings.keepNegatives ? row.negatives : [];
    const taken = new Set(kept.map(({ text }) => textKeyOf(text)));
    return run.get(query.id)!.map(({ id, score }) => {
      const number = texts.row(id);
      const keys = texts.keys(number);
      const fault =
        (keys.includes(NO_TEXT) ? 'blank' : undefined) ??
        this.#plan.relevant.faultOf(row, { id, keys }) ??
        (id === row.id || keys.includes(asked) ? 'query' : keys.some((key) => taken.has(key)) ? 'repeated' : undefined);
      for (const key of keys) taken.add(key);
      return { row: number, score: scores === undefined ? score : scores.get(id), fault };
    });
  }

  /** Adds the similarities of documents that only BM25 found. */
  async #addSimilarities(vectors: Float32Array, candidates: readonly Candidate[][]): Promise<void> {
    const missing = candidates.flatMap((some, query) =>
      some.filter(({ score, fault }) => score === undefined && fault === undefined).map((one) => ({ one, query })),
    );
    if (missing.length === 0) return;
    const pairs = missing.map(({ one, query }) => ({ query, row: one.row }));
    const found = await this.#parts.dense!.similarities(vectors, pairs);
    for (const [at, { one }] of missing.entries()) one.score = found[at]!;
  }

  /** Similarities of a row's own documents: its positives, then the negatives that it keeps. */
  async #ownScores(row: RetrieverRow, start: number, vectors: Float32Array | undefined, at: number) {
    const { own, dense } = this.#parts;
    if (own === undefined || vectors === undefined) return undefined;
    const count = ownDocuments(row, this.#plan.settings).length;
    return dense!.ownSimilarities(vectors, at, own, { start, count });
  }

  async #choose(
    row: RetrieverRow,
    candidates: readonly Candidate[],
    own: readonly number[] | undefined,
  ): Promise<Mined> {
    const { settings } = this.#plan;
    const { texts } = this.#parts;
    const positives = own?.slice(0, row.positives.length);
    const positive = positives && Math.min(...positives);
    const { chosen, dropped } = chooseNegatives(candidates, positive, settings, row.id);
    const mined: RetrieverPassage[] = [];
    for (const { row: number } of chosen) mined.push({ id: texts.id(number), text: await texts.text(number) });
    const { scores: _before, ...rest } = row;
    const kept = settings.keepNegatives ? row.negatives : [];
    const scores = settings.scores && {
      positives: positives!,
      negatives: [...own!.slice(row.positives.length), ...chosen.map(({ score }) => score!)],
    };
    return {
      row: { ...rest, negatives: [...kept, ...mined], ...(scores && { scores }) },
      ...{ negatives: mined.length, candidates: candidates.length, dropped },
    };
  }

  async #append(mined: Mined): Promise<void> {
    await this.#journal.append(mined);
    count(this.counts, mined, this.#plan.settings.negatives);
  }
}

interface SearchResult {
  run: Run;
  /** Hits by vectors, if they were searched. */
  dense: Run | undefined;
}

async function openParts(plan: MiningPlan, file: string): Promise<MiningParts> {
  const { corpus, encoder, retrieval, settings, source, hash, signal, progress } = plan;
  const isLexical = settings.retriever !== 'dense';
  const lexical = isLexical ? new CorpusSearch(corpus, retrieval, { signal, progress }) : undefined;
  const dense = encoder && (await DenseCandidates.open(encoder, corpus, retrieval, { signal, progress }));
  const needsOwn = encoder !== undefined && comparesWithPositive(settings);
  const documentsOf = (row: RetrieverRow) => ownDocuments(row, settings);
  const rows = () => source.rows();
  const options = { hash: `${hash} ${settings.keepNegatives}`, signal, progress };
  const own = needsOwn ? await encodeOwnDocuments(encoder, rows, documentsOf, options) : undefined;
  const texts = await CorpusTexts.open(corpus.documents(signal), textsFileOf(file), signal);
  return { texts, dense, lexical, own };
}

/** Documents whose similarity to the query may be asked for. */
function ownDocuments(row: RetrieverRow, { keepNegatives }: MiningSettings): RetrieverPassage[] {
  return keepNegatives ? [...row.positives, ...row.negatives] : row.positives;
}

/** A row that holds only pseudo-documents is searched by them. */
function queryOf({ id, query, expansions }: RetrieverRow, { querySide }: MiningSettings): ExpandedQuery {
  if (query.trim() === '') return { id, text: expansions[0] ?? '', expansions: expansions.slice(1) };
  return { id, text: query, expansions: querySide === 'query' ? [] : expansions };
}

function count(counts: MiningCounts, { negatives, candidates, dropped }: Mined, wanted: number): void {
  counts.rows++;
  counts.negatives += negatives;
  counts.candidates += candidates;
  if (negatives < wanted) counts.short++;
  if (negatives === 0) counts.none++;
  for (const reason of DROP_REASONS) counts.dropped[reason] += dropped[reason] ?? 0;
}
