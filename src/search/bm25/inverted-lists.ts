import { DataError, type Progress, ResourceError, SILENT } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import { orderByIdDescending } from '../id-order.ts';
import type { Analyzer } from './analyzers.ts';
import { splitWords } from './english-analyzer.ts';
import { type Bm25Settings, inverseDocumentFrequency } from './lucene-bm25.ts';
import { makePostings, type PostingEntries, setPosting } from './postings.ts';
import { SaturationTable, sharedNumbers } from './saturation-table.ts';

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

/** Maximum number of spellings whose term is cached; then the cache is cleared. */
const REMEMBERED_WORDS = 1_000_000;

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
  readonly terms: string[] = [];
  readonly fieldOf: number[] = [];
  readonly fields: Map<string, number>[];
  /** Number of terms in each field of each document, including repetitions // [documents, fields] */
  readonly lengths: number[] = [];
  /** Where the pairs of each document's fields begin // [documents · fields + 1] */
  readonly starts: number[] = [0];
  /** Documents of each term. */
  readonly holders: number[] = [];
  readonly #blocks: Uint32Array[] = [];
  /** Spelling → term number, or -1 for a stop word // [fields] */
  readonly #words: Map<string, number>[];
  readonly #counts = new Map<number, number>();
  readonly #analyzer: Analyzer;

  constructor(analyzer: Analyzer, fields: number) {
    this.#analyzer = analyzer;
    this.fields = Array.from({ length: fields }, () => new Map());
    this.#words = Array.from({ length: fields }, () => new Map());
  }

  add(id: string, texts: readonly string[]): void {
    this.ids.push(id);
    for (let field = 0; field < this.fields.length; field++) this.#addField(field, texts[field]!);
  }

  #addField(field: number, text: string): void {
    const counts = this.#counts;
    let length = 0;
    for (const word of splitWords(text)) {
      const term = this.#term(field, word);
      if (term < 0) continue;
      counts.set(term, (counts.get(term) ?? 0) + 1);
      length++;
    }
    let at = this.starts.at(-1)!;
    for (const [term, frequency] of counts) {
      this.holders[term]!++;
      this.#write(at++, term, frequency);
    }
    counts.clear();
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

  #term(field: number, word: string): number {
    const words = this.#words[field]!;
    const known = words.get(word);
    if (known !== undefined) return known;
    if (words.size >= REMEMBERED_WORDS) words.clear();
    const term = this.#termNumber(field, this.#analyzer.term(word));
    words.set(word, term);
    return term;
  }

  #termNumber(field: number, term: string | undefined): number {
    if (term === undefined) return -1;
    const numbers = this.fields[field]!;
    const known = numbers.get(term);
    if (known !== undefined) return known;
    numbers.set(term, this.terms.length);
    this.fieldOf.push(field);
    this.holders.push(0);
    return this.terms.push(term) - 1;
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
  const fields = forward.fields.length;
  const statistics = forward.fields.map((_terms, field) => fieldStatistics(forward.lengths, field, fields));
  const table = await tabulate(forward, statistics, settings, breather);
  const starts = listStarts(forward.holders);
  const lists: InvertedLists = {
    ids,
    terms: forward.terms,
    fieldOf: Uint8Array.from(forward.fieldOf),
    fields: forward.fields,
    starts,
    idf: inverseFrequencies(forward, statistics),
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
    const field = list % forward.fields.length;
    for (let at = forward.starts[list]!; at < forward.starts[list + 1]!; at++) {
      const { block, place } = forward.pair(at);
      table.row(field, length, block[place + 1]!);
    }
    if ((list & 255) === 0 && breather.due) await breather.rest();
  }
  return table;
}

interface FieldStatistics {
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
function inverseFrequencies(forward: ForwardLists, statistics: readonly FieldStatistics[]): Float32Array {
  const idf = new Float32Array(sharedNumbers(forward.holders.length));
  for (const [term, holders] of forward.holders.entries()) {
    idf[term] = inverseDocumentFrequency(statistics[forward.fieldOf[term]!]!.count, holders);
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
    throw new DataError('two documents of the corpus have this id', {
      id: ids[at],
      fix: 'Give each document a unique id (`llm-qe data check` lists the duplicates).',
    });
  }
}

function tooLarge(postings: number): ResourceError {
  return new ResourceError(`the corpus has ${postings} postings; an index holds at most ${MOST_POSTINGS}`, {
    fix: 'Split the corpus and fuse the runs.',
  });
}
