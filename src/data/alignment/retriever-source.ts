import { counted, DataError, UsageError } from '../../system/index.ts';
import { BeirDataset } from '../beir/beir.ts';
import { sampleRows } from '../beir/judged-queries.ts';
import { type RetrieverPassage, type RetrieverRow, readRetrieverRows } from './retriever-rows.ts';
import { readGoldTexts } from './training-queries.ts';
import { openTrainingSource } from './training-source.ts';

/** Why a row is left out. */
export const ROW_REFUSALS = ['noQuery', 'noPositive', 'documentToQuery', 'equalRow'] as const;
export type RowRefusal = (typeof ROW_REFUSALS)[number];

/** Why rows are left out, for people: `3 rows without a query are left out`. */
export const REFUSAL_WORDS: Record<RowRefusal, string> = {
  noQuery: 'without a query',
  noPositive: 'without a positive that has text',
  documentToQuery: 'whose query is a document and whose positive is a question (document to query)',
  equalRow: 'that are equal to an earlier row',
};

/** What became of the rows that were read. */
export interface RowCounts {
  /** Rows that were read. */
  read: number;
  leftOut: Record<RowRefusal, number>;
  /** Ids of some rows that are left out. */
  leftOutIds: string[];
  /** Negatives that are equal to a positive of their row, by text or id, and are removed. */
  negativesThatArePositives: number;
  /** Documents without text, which are removed. */
  blankTexts: number;
}

export interface RetrieverSourceOptions {
  /** Folder of a data set in BEIR's layout. Alternative to `rows`. */
  dataset?: string | undefined;
  /** The split of the data set. */
  split: string;
  /** A JSONL file of rows in any layout that {@link readRetrieverRows} reads. */
  rows?: string | undefined;
  /** Size of a seeded sample, in the order of the rows. With the same seed, a smaller sample is part of a larger one. */
  limit?: number | undefined;
  sampleSeed: number;
  /** Whether a row may hold expansions instead of a query, as LLM-QE's published rows do. Default false. */
  allowNoQuery?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Training rows of a retriever, cleaned. They can be read any number of times. */
export interface RetrieverSource {
  rows(): AsyncIterable<RetrieverRow>;
  /** Of the last pass that was begun. */
  readonly counts: RowCounts;
}

/**
 * Opens training rows of a retriever: the queries of a split with all their relevant documents, or a file of rows, which is read as a
 * stream. Rows that cannot be used are left out and counted; negatives that are positives, and blank documents, are removed.
 *
 * @throws UsageError unless exactly one source is given; DataError if it is faulty, if no row is left of it, or if the split judges documents as queries
 */
export async function openRetrieverSource(options: RetrieverSourceOptions): Promise<RetrieverSource> {
  const { dataset, rows } = options;
  if ((dataset === undefined) === (rows === undefined)) {
    throw new UsageError('the training rows need exactly one source: a data set or a file of rows', {
      fix: 'Pass either --dataset DIR or --rows FILE.',
    });
  }
  const read = rows === undefined ? await openSplit(dataset!, options) : await openRows(rows, options);
  let cleaner = new RowCleaner(options);
  return {
    async *rows() {
      cleaner = new RowCleaner(options);
      const mine = cleaner;
      let isEmpty = true;
      for await (const row of read()) {
        const clean = mine.clean(row);
        if (clean === undefined) continue;
        isEmpty = false;
        yield clean;
      }
      if (isEmpty) throw noRows(mine.counts, rows ?? dataset!);
    },
    get counts() {
      return cleaner.counts;
    },
  };
}

function noRows({ read, leftOut, leftOutIds }: RowCounts, file: string): DataError {
  const reasons = ROW_REFUSALS.filter((refusal) => leftOut[refusal] > 0);
  const why = reasons.map((refusal) => `${counted(leftOut[refusal], 'row')} ${REFUSAL_WORDS[refusal]}`);
  return new DataError(`no row is left of ${read}${why.length > 0 ? `: ${why.join(', ')}` : ''}`, {
    ...{ file, id: leftOutIds[0] },
    fix: leftOut.documentToQuery > 0 ? REVERSED : 'A row needs a query, and a positive that has text.',
  });
}

const REVERSED = 'This method expands queries and searches documents: swap query and positive.';

/** A row as it was read, and whether an equal one came before it. */
interface ReadRow {
  row: RetrieverRow;
  isRepeated?: boolean;
}

type Reader = () => Iterable<ReadRow> | AsyncIterable<ReadRow>;

async function openSplit(folder: string, options: RetrieverSourceOptions): Promise<Reader> {
  const { split, signal } = options;
  const dataset = await BeirDataset.open(folder);
  await refuseReversed(dataset, split, signal);
  const source = await openTrainingSource({ ...options, triples: undefined, dataset: folder, withGold: false });
  const texts = await readGoldTexts(dataset, source(), signal);
  return async function* rows() {
    for await (const { id, text, documents } of source()) {
      const positives = documents.map((document) => ({ id: document, text: texts.get(document)! }));
      yield { row: { id, query: text, expansions: [], positives, negatives: [] } };
    }
  };
}

/** Document to query is not what this method trains: an LLM would have to expand documents. @throws DataError */
async function refuseReversed(dataset: BeirDataset, split: string, signal: AbortSignal | undefined): Promise<void> {
  const [qrels, queries] = [await dataset.qrels(split, signal), await dataset.queries({ signal })];
  const [first] = qrels;
  if (first === undefined || queries.has(first[0]) || ![...first[1].keys()].every((id) => queries.has(id))) return;
  throw new DataError(`split ${split} judges queries by documents (document to query)`, {
    file: await dataset.qrelsFile(split),
    id: first[0],
    fix: 'This method expands queries and searches documents: swap the first two columns of the file.',
  });
}

async function openRows(file: string, { limit, sampleSeed, signal }: RetrieverSourceOptions): Promise<Reader> {
  let count = 0;
  if (limit !== undefined) for await (const _row of readRetrieverRows(file, signal)) count++;
  const chosen = sampleRows(count, limit, sampleSeed);
  return async function* rows() {
    let at = 0;
    for await (const read of readRetrieverRows(file, signal)) if (chosen?.has(at++) ?? true) yield read;
  };
}

const SHOWN_IDS = 5;

/** Brings rows into the form in which they are written, and counts what is left out. */
class RowCleaner {
  readonly #allowNoQuery: boolean;
  readonly counts: RowCounts = {
    read: 0,
    leftOut: { noQuery: 0, noPositive: 0, documentToQuery: 0, equalRow: 0 },
    leftOutIds: [],
    negativesThatArePositives: 0,
    blankTexts: 0,
  };

  constructor({ allowNoQuery = false }: Pick<RetrieverSourceOptions, 'allowNoQuery'>) {
    this.#allowNoQuery = allowNoQuery;
  }

  /** @returns undefined if the row is left out */
  clean({ row, isRepeated = false }: ReadRow): RetrieverRow | undefined {
    this.counts.read++;
    const positives = row.positives.filter((passage) => !isBlank(passage));
    const refusal = isRepeated ? 'equalRow' : this.#refusalOf({ ...row, positives });
    if (refusal !== undefined) {
      this.counts.leftOut[refusal]++;
      if (this.counts.leftOutIds.length < SHOWN_IDS) this.counts.leftOutIds.push(row.id);
      return undefined;
    }
    return this.#withoutBadDocuments(row, positives);
  }

  #refusalOf(row: RetrieverRow): RowRefusal | undefined {
    const hasQuery = row.query.trim() !== '';
    const hasExpansion = row.expansions.some((text) => text.trim() !== '');
    if (!hasQuery && !(this.#allowNoQuery && hasExpansion)) return 'noQuery';
    if (row.positives.length === 0) return 'noPositive';
    return isDocumentToQuery(row) ? 'documentToQuery' : undefined;
  }

  #withoutBadDocuments(row: RetrieverRow, positives: RetrieverPassage[]): RetrieverRow {
    const texts = new Set(positives.map(({ text }) => text.trim()));
    const ids = new Set(positives.map(({ id }) => id).filter((id) => id !== undefined));
    const isPositive = ({ id, text }: RetrieverPassage) => texts.has(text.trim()) || (id !== undefined && ids.has(id));
    const wanted = row.negatives.map((passage) => !isBlank(passage) && !isPositive(passage));
    const blank = [...row.positives, ...row.negatives].filter(isBlank).length;
    this.counts.blankTexts += blank;
    this.counts.negativesThatArePositives += row.negatives.filter((one) => !isBlank(one) && isPositive(one)).length;
    const scores = row.scores && {
      positives: row.scores.positives.filter((_score, at) => !isBlank(row.positives[at]!)),
      negatives: row.scores.negatives.filter((_score, at) => wanted[at]),
    };
    return {
      ...row,
      positives,
      negatives: row.negatives.filter((_one, at) => wanted[at]),
      ...(scores !== undefined && { scores }),
    };
  }
}

function isBlank({ text }: RetrieverPassage): boolean {
  return text.trim() === '';
}

/** A query of this many words or more, whose positives are all short questions, is a document. */
const DOCUMENT_WORDS = 32;
const QUESTION_WORDS = 16;
const QUESTION =
  /\?\s*$|^\s*(who|whom|whose|what|when|where|why|which|how|is|are|was|were|do|does|did|can|could|should|will)\b/i;

function isDocumentToQuery({ query, positives }: RetrieverRow): boolean {
  if (countWords(query) < DOCUMENT_WORDS) return false;
  return positives.every(({ text }) => countWords(text) <= QUESTION_WORDS && QUESTION.test(text));
}

function countWords(text: string): number {
  return text.split(/\s+/).filter((word) => word !== '').length;
}
