import { DataError, type Progress, ResourceError, SILENT } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import { orderByIdDescending } from '../id-order.ts';
import type { Analyzer } from './analyzers.ts';
import { splitWords } from './english-analyzer.ts';
import { type Bm25Settings, denominator, inverseDocumentFrequency, inverseNorm } from './lucene-bm25.ts';

/**
 * For each term, the documents that contain it. Documents are numbered in descending order of their ids, so among equal
 * scores the smaller number wins. 8 bytes per posting; all arrays are in shared memory.
 */
export interface InvertedLists {
  /** Document number → id. */
  ids: string[];
  /** Term → its number. */
  terms: Map<string, number>;
  /** Where each term's postings begin // [terms + 1] */
  starts: Uint32Array;
  /** Inverse document frequency // [terms] */
  idf: Float32Array;
  /** Document numbers, ascending within a term // [postings] */
  documents: Uint32Array;
  /** BM25's denominators, see {@link denominator} // [postings] */
  denominators: Float32Array;
}

export interface IndexedText {
  id: string;
  text: string;
}

export interface BuildOptions extends Bm25Settings {
  analyzer: Analyzer;
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
 * peak it needs 16 bytes per distinct term of a document, afterwards 8: for a million passages of 35 distinct terms, 0.6
 * and 0.3 GB.
 * @throws DataError for a duplicate id
 * @throws AbortedError
 */
export async function buildInvertedLists(
  texts: Iterable<IndexedText> | AsyncIterable<IndexedText>,
  { analyzer, signal, progress = SILENT, count, ...settings }: BuildOptions,
): Promise<InvertedLists> {
  const breather = new Breather(signal);
  const forward = new ForwardLists(analyzer);
  const task = progress.task('indexing documents', count, 'documents');
  let unreported = 0;
  for await (const { id, text } of texts) {
    forward.add(id, text);
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

/** Documents as lists of (term, frequency), in the order in which they are read. */
class ForwardLists {
  readonly ids: string[] = [];
  readonly terms = new Map<string, number>();
  /** Number of terms of each document, including repetitions. */
  readonly lengths: number[] = [];
  /** Where each document's pairs begin. */
  readonly starts: number[] = [0];
  /** Documents of each term. */
  readonly holders: number[] = [];
  readonly #blocks: Uint32Array[] = [];
  /** Spelling → term number, or -1 for a stop word. */
  readonly #words = new Map<string, number>();
  readonly #counts = new Map<number, number>();
  readonly #analyzer: Analyzer;

  constructor(analyzer: Analyzer) {
    this.#analyzer = analyzer;
  }

  add(id: string, text: string): void {
    const counts = this.#counts;
    let length = 0;
    for (const word of splitWords(text)) {
      const term = this.#term(word);
      if (term < 0) continue;
      counts.set(term, (counts.get(term) ?? 0) + 1);
      length++;
    }
    let at = this.starts[this.ids.length]!;
    for (const [term, frequency] of counts) {
      this.holders[term]!++;
      this.#write(at++, term, frequency);
    }
    counts.clear();
    this.ids.push(id);
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

  #term(word: string): number {
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    if (this.#words.size >= REMEMBERED_WORDS) this.#words.clear();
    const term = this.#termNumber(this.#analyzer.term(word));
    this.#words.set(word, term);
    return term;
  }

  #termNumber(term: string | undefined): number {
    if (term === undefined) return -1;
    const known = this.terms.get(term);
    if (known !== undefined) return known;
    this.terms.set(term, this.terms.size);
    this.holders.push(0);
    return this.terms.size - 1;
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
  const postings = forward.starts[ids.length]!;
  if (postings > MOST_POSTINGS) throw tooLarge(postings);
  const { count, average } = corpusStatistics(forward.lengths);
  const starts = listStarts(forward.holders);
  const lists: InvertedLists = {
    ids,
    terms: forward.terms,
    starts,
    idf: new Float32Array(sharedNumbers(forward.holders.length)),
    documents: new Uint32Array(sharedNumbers(postings)),
    denominators: new Float32Array(sharedNumbers(postings)),
  };
  for (const [term, holders] of forward.holders.entries()) lists.idf[term] = inverseDocumentFrequency(count, holders);
  const next = Uint32Array.from(starts.subarray(0, -1));
  for (const [number, row] of order.entries()) {
    const inverse = inverseNorm(forward.lengths[row]!, average, settings);
    for (let at = forward.starts[row]!; at < forward.starts[row + 1]!; at++) {
      const { block, place } = forward.pair(at);
      const target = next[block[place]!]!++;
      lists.documents[target] = number;
      lists.denominators[target] = denominator(block[place + 1]!, inverse);
    }
    if ((number & 255) === 0 && breather.due) await breather.rest();
  }
  return lists;
}

/** Allocates shared memory for 32-bit numbers. */
function sharedNumbers(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * count);
}

/** Counts documents with at least one term, as Lucene does. */
function corpusStatistics(lengths: readonly number[]): { count: number; average: number } {
  let count = 0;
  let sum = 0;
  for (const length of lengths) {
    if (length > 0) count++;
    sum += length;
  }
  return { count, average: count === 0 ? 1 : sum / count };
}

function listStarts(holders: readonly number[]): Uint32Array {
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
