import { DataError, type Progress, ResourceError, SILENT } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import { orderByIdDescending } from '../id-order.ts';
import type { Analyzer } from './analyzers.ts';
import { type Bm25Settings, inverseDocumentFrequency } from './lucene-bm25.ts';
import { makePostings, type PostingEntries, setPosting } from './postings.ts';
import { SaturationTable, sharedNumbers } from './saturation-table.ts';
import { TermCounter } from './term-counter.ts';

/**
 * For each term, the documents that contain it. Documents are numbered in descending order of their ids, so among equal
 * scores the smaller number wins. 4 bytes per posting, or 6 to 8 in a large corpus (see {@link PostingEntries}); all arrays are in
 * shared memory.
 */
export interface InvertedLists {
  /** Document number → id. */
  ids: string[];
  /** Term number → term. A term that occurs in two fields has two numbers. */
  terms: string[];
  /** The field of each term // [terms] */
  fieldOf: Uint8Array;
  /** Term → its number, for each field // [fields] */
  fields: Map<string, number>[];
  /** Where each term's postings begin // [terms + 1] */
  starts: Uint32Array;
  /** Inverse document frequency // [terms] */
  idf: Float32Array;
  /** Documents, and the saturation of the term in each: a row of the two tables below. */
  postings: PostingEntries;
  /** How often the term occurs in the document // [saturations] */
  frequencies: Uint32Array;
  /** BM25's denominators, see `denominator` // [saturations] */
  denominators: Float32Array;
}

export interface IndexedText {
  id: string;
  /** The text of each field // [fields] */
  texts: readonly string[];
}

export interface BuildOptions extends Bm25Settings {
  analyzer: Analyzer;
  /** Number of fields of a document, which are searched with their own lengths and idf. */
  fields: number;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  /** Number of documents, if known: only for the progress. */
  count?: number | undefined;
}

/** Pairs of (term, frequency) in one block of the forward lists. */
const BLOCK_PAIRS = 1 << 20;

/** Largest number of postings (JavaScript's typed arrays end at 2^32 elements). */
const MOST_POSTINGS = 2 ** 32 - 1;

/**
 * Reads the documents once, in constant memory apart from the lists, and inverts in a second pass over the lists. At the
 * peak it needs 12 bytes per distinct term of a document, afterwards 4: for a million passages of 35 distinct terms, 0.4
 * and 0.14 GB.
 * @throws DataError for a duplicate id
 * @throws AbortedError
 */
export async function buildInvertedLists(
  texts: Iterable<IndexedText> | AsyncIterable<IndexedText>,
  { analyzer, fields, signal, progress = SILENT, count, ...settings }: BuildOptions,
): Promise<InvertedLists> {
  const breather = new Breather(signal);
  const forward = new ForwardLists(analyzer, fields);
  const task = progress.task('indexing documents', count, 'documents');
  let unreported = 0;
  for await (const { id, texts: fieldTexts } of texts) {
    forward.add(id, fieldTexts);
    unreported++;
    if (!breather.due) continue;
    task.advance(unreported);
    unreported = 0;
    await breather.rest();
  }
  task.advance(unreported);
  const lists = await invert(forward, settings, breather, signal);
  task.done();
  return lists;
}

/** Documents as lists of (term, frequency), in the order in which they are read; a document has one list per field. */
class ForwardLists {
  readonly ids: string[] = [];
  readonly counter: TermCounter;
  /** Number of terms in each field of each document, including repetitions // [documents, fields] */
  readonly lengths: number[] = [];
  /** Where the pairs of each document's fields begin // [documents · fields + 1] */
  readonly starts: number[] = [0];
  /** Documents of each term. */
  readonly holders: number[] = [];
  readonly #blocks: Uint32Array[] = [];

  constructor(analyzer: Analyzer, fields: number) {
    this.counter = new TermCounter(analyzer, fields);
  }

  add(id: string, texts: readonly string[]): void {
    this.ids.push(id);
    for (let field = 0; field < this.counter.fields.length; field++) this.#addField(field, texts[field]!);
  }

  #addField(field: number, text: string): void {
    const { counts, length } = this.counter.count(field, text);
    let at = this.starts.at(-1)!;
    for (const [term, frequency] of counts) {
      this.holders[term] = (this.holders[term] ?? 0) + 1;
      this.#write(at++, term, frequency);
    }
    this.lengths.push(length);
    this.starts.push(at);
  }

  /** Returns the position of the pair's term; its frequency is at the next position. */
  pair(at: number): { block: Uint32Array; place: number } {
    return { block: this.#blocks[Math.floor(at / BLOCK_PAIRS)]!, place: 2 * (at % BLOCK_PAIRS) };
  }

  #write(at: number, term: number, frequency: number): void {
    if (at === this.#blocks.length * BLOCK_PAIRS) this.#blocks.push(new Uint32Array(2 * BLOCK_PAIRS));
    const { block, place } = this.pair(at);
    block[place] = term;
    block[place + 1] = frequency;
  }
}

async function invert(
  forward: ForwardLists,
  settings: Bm25Settings,
  breather: Breather,
  signal: AbortSignal | undefined,
): Promise<InvertedLists> {
  const order = await orderByIdDescending(forward.ids, signal);
  const ids = Array.from(order, (row) => forward.ids[row]!);
  refuseDoubledIds(ids);
  const postings = forward.starts.at(-1)!;
  if (postings > MOST_POSTINGS) throw tooLarge(postings);
  const { terms, fieldOf, fields: numbers } = forward.counter;
  const fields = numbers.length;
  const statistics = numbers.map((_terms, field) => fieldStatistics(forward.lengths, field, fields));
  const table = await tabulate(forward, statistics, settings, breather);
  const starts = listStarts(forward.holders);
  const lists: InvertedLists = {
    ids,
    terms,
    fieldOf: Uint8Array.from(fieldOf),
    fields: numbers,
    starts,
    idf: inverseFrequencies(forward.holders, fieldOf, statistics),
    postings: makePostings({ postings, documents: ids.length, saturations: table.size }),
    frequencies: table.frequencies(),
    denominators: table.denominators(),
  };
  const next = Uint32Array.from(starts.subarray(0, -1));
  for (const [number, row] of order.entries()) {
    for (let field = 0; field < fields; field++) {
      const list = row * fields + field;
      const length = forward.lengths[list]!;
      for (let at = forward.starts[list]!; at < forward.starts[list + 1]!; at++) {
        const { block, place } = forward.pair(at);
        const target = next[block[place]!]!++;
        setPosting(lists.postings, target, number, table.row(field, length, block[place + 1]!));
      }
    }
    if ((number & 255) === 0 && breather.due) await breather.rest();
  }
  return lists;
}

/** Collects all saturations that occur in the corpus. */
async function tabulate(
  forward: ForwardLists,
  statistics: readonly FieldStatistics[],
  settings: Bm25Settings,
  breather: Breather,
): Promise<SaturationTable> {
  const table = new SaturationTable(
    statistics.map(({ average }) => average),
    settings,
  );
  for (const [list, length] of forward.lengths.entries()) {
    const field = list % statistics.length;
    for (let at = forward.starts[list]!; at < forward.starts[list + 1]!; at++) {
      const { block, place } = forward.pair(at);
      table.row(field, length, block[place + 1]!);
    }
    if ((list & 255) === 0 && breather.due) await breather.rest();
  }
  return table;
}

export interface FieldStatistics {
  /** Documents with at least one term in the field, as Lucene counts them. */
  count: number;
  /** Their mean number of terms. */
  average: number;
}

export function fieldStatistics(lengths: readonly number[], field: number, fields: number): FieldStatistics {
  let count = 0;
  let sum = 0;
  for (let at = field; at < lengths.length; at += fields) {
    if (lengths[at]! > 0) count++;
    sum += lengths[at]!;
  }
  return { count, average: count === 0 ? 1 : sum / count };
}

/** // [terms] */
export function inverseFrequencies(
  holders: readonly number[],
  fieldOf: ArrayLike<number>,
  statistics: readonly FieldStatistics[],
): Float32Array {
  const idf = new Float32Array(sharedNumbers(holders.length));
  for (const [term, count] of holders.entries()) {
    idf[term] = inverseDocumentFrequency(statistics[fieldOf[term]!]!.count, count);
  }
  return idf;
}

/** Term → its number, for each field // [fields] */
export function termNumbers(terms: readonly string[], fieldOf: Uint8Array, fields: number): Map<string, number>[] {
  const numbers = Array.from({ length: fields }, () => new Map<string, number>());
  for (const [number, term] of terms.entries()) numbers[fieldOf[number]!]!.set(term, number);
  return numbers;
}

export function listStarts(holders: readonly number[]): Uint32Array {
  const starts = new Uint32Array(sharedNumbers(holders.length + 1));
  for (let term = 0; term < holders.length; term++) starts[term + 1] = starts[term]! + holders[term]!;
  return starts;
}

function refuseDoubledIds(ids: readonly string[]): void {
  for (let at = 1; at < ids.length; at++) {
    if (ids[at - 1] !== ids[at]) continue;
    throw doubledId(ids[at]!);
  }
}

/** The error for an id that two documents have. */
export function doubledId(id: string): DataError {
  return new DataError('two documents of the corpus have this id', {
    id,
    fix: 'Give each document a unique id (`llm-qe data check` lists the duplicates).',
  });
}

function tooLarge(postings: number): ResourceError {
  return new ResourceError(`the corpus has ${postings} postings; an index holds at most ${MOST_POSTINGS}`, {
    fix: 'Split the corpus and fuse the runs.',
  });
}
