import { queryTextOf, type RetrieverPassage, type RetrieverRow } from '../../data/index.ts';
import { contentKey, DataError, throwIfAborted } from '../../system/index.ts';
import { sideOf, sidesOf, wantsJoined } from './contrastive-batch.ts';
import { type ExampleInput, ExampleStore, type NumberedTokens, type StoredExample } from './example-store.ts';
import { idKey } from './loss-inputs.ts';
import type { RetrieverBase } from './retriever-base.ts';
import type { RetrieverExample } from './retriever-example.ts';
import type { RetrieverTrainingSettings } from './retriever-settings.ts';
import { documentTexts, openRows, queryTexts, type RetrieverRows } from './row-texts.ts';

/** Why a row, or one of its documents, is left out. */
export const ROW_FAULTS = ['noPositive', 'noQuerySide', 'noScores', 'noNegatives'] as const;
export type RowFault = (typeof ROW_FAULTS)[number];

const IN_WORDS: Record<RowFault, string> = {
  noPositive: 'without a positive that has text',
  noQuerySide: 'without the texts that the query side is made of',
  noScores: "without a teacher's scores",
  noNegatives: 'without negatives',
};

/** What of the rows is learnt from. */
export interface ExampleCounts {
  rows: number;
  examples: number;
  /** Rows that are left out. */
  skipped: Record<RowFault, number>;
  /** Ids of some of them. */
  skippedIds: string[];
  /** Negatives that are equal to a positive of their query by text or id, and are left out. */
  negativesThatArePositives: number;
  /** Documents and expansions without a word, at all or before they are cut, which are left out. */
  emptyTexts: number;
  /** Texts longer than the encoder reads. */
  cutTexts: number;
}

const ROWS_AT_A_TIME = 256;
const SHOWN_IDS = 5;

/** In training, a batch of one row has only its own negatives to tell apart; without a batch size the rows are for evaluation. */
type ReadSettings = Pick<RetrieverTrainingSettings, 'method' | 'querySide'> &
  Partial<Pick<RetrieverTrainingSettings, 'batchSize'>>;

/**
 * Turns rows into examples.
 * @param options.file where the rows come from, for the message
 * @throws DataError if none is left
 */
export async function readExamples(
  base: RetrieverBase,
  rows: RetrieverRows,
  settings: ReadSettings,
  { file, signal }: { file?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<{ examples: RetrieverExample[]; counts: ExampleCounts }> {
  const reader = new ExampleReader(base, settings);
  let open: RetrieverRow[] = [];
  for await (const row of openRows(rows)) {
    open.push(row);
    if (open.length < ROWS_AT_A_TIME) continue;
    throwIfAborted(signal);
    await reader.add(open);
    open = [];
  }
  await reader.add(open);
  return reader.finish(file);
}

/** `3 without negatives, ...`; nothing if no row is left out. */
export function describeSkippedRows({ skipped }: ExampleCounts): string {
  return ROW_FAULTS.filter((fault) => skipped[fault] > 0)
    .map((fault) => `${skipped[fault]} ${IN_WORDS[fault]}`)
    .join(', ');
}

class ExampleReader {
  readonly #base: RetrieverBase;
  readonly #settings: ReadSettings;
  readonly #store: ExampleStore;
  /** Everything that is relevant, by query. */
  readonly #judged = new Map<string, string[]>();
  /** Texts of queries and documents that were read before. */
  readonly #read = { queries: 0, documents: 0 };
  readonly #counts: ExampleCounts = {
    ...{ rows: 0, examples: 0, skipped: { noPositive: 0, noQuerySide: 0, noScores: 0, noNegatives: 0 } },
    ...{ skippedIds: [], negativesThatArePositives: 0, emptyTexts: 0, cutTexts: 0 },
  };

  constructor(base: RetrieverBase, settings: ReadSettings) {
    this.#base = base;
    this.#settings = settings;
    this.#store = new ExampleStore(base.recipe.config.vocab_size);
  }

  async add(rows: readonly RetrieverRow[]): Promise<void> {
    if (rows.length === 0) return;
    const queries = new Pieces();
    const documents = new Pieces();
    for (const row of rows) {
      queries.add(queryTexts(row, wantsJoined(this.#settings)));
      documents.add(documentTexts(row));
    }
    const ofQueries = queries.cut(await this.#tokens(queries.texts, 'query'));
    const ofDocuments = documents.cut(await this.#tokens(documents.texts, 'document'));
    for (const [index, row] of rows.entries()) this.#addRow(row, ofQueries[index]!, ofDocuments[index]!);
  }

  finish(file: string | undefined): { examples: RetrieverExample[]; counts: ExampleCounts } {
    for (const judged of this.#judged.values()) judged.sort();
    for (const example of this.#store.examples) {
      example.judged = this.#judged.get(example.queryKey)!;
      this.#dropPositives(example);
    }
    const kept = this.#store.examples.filter((example) => this.#lack(example, true));
    this.#counts.examples = kept.length;
    if (kept.length > 0) return { examples: kept, counts: this.#counts };
    const why = describeSkippedRows(this.#counts) || 'there are no rows';
    throw new DataError(`no row is left to train on: ${why}`, {
      file,
      id: this.#counts.skippedIds[0],
      fix: 'Check the file, --query-side and --method: a row needs a positive, and the texts that its query is made of.',
    });
  }

  /** Negatives that another row, or this one, holds to be relevant to the same query are left out. */
  #dropPositives(example: StoredExample): void {
    const { negatives, scores, judged } = example;
    const kept = [...negatives.keys()].filter((at) => {
      const { key, id } = negatives[at]!;
      return !judged.includes(key) && (id === undefined || !judged.includes(idKey(id)));
    });
    if (kept.length === negatives.length) return;
    this.#counts.negativesThatArePositives += negatives.length - kept.length;
    example.negatives = kept.map((at) => negatives[at]!);
    example.scores = scores && { ...scores, negatives: kept.map((at) => scores.negatives[at]!) };
  }

  #addRow(row: RetrieverRow, ofQuery: readonly Tokens[], ofDocuments: readonly Tokens[]): void {
    this.#counts.rows++;
    const numbered = (some: readonly Tokens[], from: number): (NumberedTokens | undefined)[] =>
      some.map((tokens, at) => tokens && { tokens, number: from + at });
    const [query, joinedTokens, ...expansions] = numbered(ofQuery, this.#read.queries);
    const documents = numbered(ofDocuments, this.#read.documents);
    this.#read.queries += ofQuery.length;
    this.#read.documents += ofDocuments.length;
    const written = expansions.filter((tokens) => tokens !== undefined);
    this.#counts.emptyTexts += expansions.length - written.length;
    const positives = this.#documents(row.positives, documents, row.scores?.positives);
    const negatives = this.#documents(row.negatives, documents.slice(row.positives.length), row.scores?.negatives);
    const queryKey = keyOf(queryTextOf(row));
    const example: ExampleInput = {
      ...{ id: row.id, queryKey, query, expansions: written },
      joined: written.length > 0 && query !== undefined ? joinedTokens : undefined,
      ...{ positives: positives.documents, negatives: negatives.documents },
      scores: row.scores && { positives: positives.scores, negatives: negatives.scores },
    };
    if (!this.#lack(example, false)) return;
    const judged = this.#judged.get(queryKey) ?? [];
    this.#judged.set(queryKey, judged);
    for (const { key, id } of example.positives) {
      for (const one of id === undefined ? [key] : [key, idKey(id)]) if (!judged.includes(one)) judged.push(one);
    }
    this.#store.add(example);
  }

  /** Whether an example can be learnt from; one that cannot is counted. @param whole its negatives are final */
  #lack(example: Judgeable, whole: boolean): boolean {
    const fault = this.#faultOf(example, whole);
    if (fault === undefined) return true;
    this.#counts.skipped[fault]++;
    if (this.#counts.skippedIds.length < SHOWN_IDS) this.#counts.skippedIds.push(example.id);
    return false;
  }

  #faultOf(example: Judgeable, whole: boolean): RowFault | undefined {
    const { method, batchSize } = this.#settings;
    if (example.positives.length === 0) return 'noPositive';
    const sides = sidesOf(example);
    const side = sideOf(this.#settings);
    if (side === 'mixed' ? sides.length === 0 : !sides.includes(side)) return 'noQuerySide';
    if ((method === 'distil' || method === 'ridge') && !sides.includes('mean')) return 'noQuerySide';
    const isScored = method === 'margin-mse' || method === 'kl';
    if (isScored && example.scores === undefined) return 'noScores';
    const isAlone =
      method === 'infonce' && batchSize !== undefined && Math.min(batchSize, this.#store.examples.length) === 1;
    return whole && (isScored || isAlone) && example.negatives.length === 0 ? 'noNegatives' : undefined;
  }

  #documents(
    passages: readonly RetrieverPassage[],
    tokens: readonly (NumberedTokens | undefined)[],
    scores: readonly number[] | undefined,
  ) {
    const documents: ExampleInput['positives'][number][] = [];
    const kept: number[] = [];
    for (const [at, { id, text }] of passages.entries()) {
      const found = tokens[at];
      if (found === undefined) {
        this.#counts.emptyTexts++;
        continue;
      }
      documents.push({ ...found, key: keyOf(text), id });
      kept.push(scores?.[at] ?? 0);
    }
    return { documents, scores: kept };
  }

  /** Tokens of texts; none of a text without a word before it is cut. */
  async #tokens(texts: readonly string[], role: 'query' | 'document'): Promise<Tokens[]> {
    const { tokenizer, recipe, emptyTokens } = this.#base;
    const cut = await tokenizer.encode(texts.map((text) => recipe.prefixes[role] + text));
    return cut.map(({ ids, isCut }) => {
      if (isCut) this.#counts.cutTexts++;
      return ids.join() === emptyTokens[role] ? undefined : ids;
    });
  }
}

type Tokens = Int32Array | undefined;

/** What is asked of an example. */
type Judgeable = Pick<ExampleInput, 'id' | 'scores'> & { [side in 'positives' | 'negatives']: readonly unknown[] } & {
  query: unknown;
  expansions: readonly unknown[];
  joined: unknown;
};

function keyOf(text: string): string {
  return contentKey(text.trim()).slice(0, 24);
}

/** Texts of several rows as one list, and their results by row again. */
class Pieces {
  readonly texts: string[] = [];
  readonly #ends: number[] = [];

  add(texts: readonly string[]): void {
    for (const text of texts) this.texts.push(text);
    this.#ends.push(this.texts.length);
  }

  cut<T>(results: readonly T[]): T[][] {
    return this.#ends.map((end, index) => results.slice(this.#ends[index - 1] ?? 0, end));
  }
}
