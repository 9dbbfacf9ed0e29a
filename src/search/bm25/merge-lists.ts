import { throwIfAborted } from '../../system/index.ts';
import { Breather } from '../breather.ts';
import { orderByIdDescending } from '../id-order.ts';
import { fieldStatistics, type InvertedLists, inverseFrequencies, listStarts } from './inverted-lists.ts';
import type { Bm25Settings } from './lucene-bm25.ts';
import { makePostings, saturationOf, setPosting } from './postings.ts';
import { SaturationTable } from './saturation-table.ts';

/** The lists of a part of a corpus. A document of another segment may have the id of one that was deleted from this. */
export interface ListSegment {
  lists: InvertedLists;
  /** Whether a document still counts, by its number in the lists. */
  isLive(number: number): boolean;
}

export interface MergeOptions extends Bm25Settings {
  /** Number of fields. */
  fields: number;
  signal?: AbortSignal | undefined;
}

/** A segment, and what its numbers become. */
interface Part {
  lists: InvertedLists;
  /** Number of terms in each field of each document // [documents, fields] */
  lengths: Uint32Array;
  /** Document number → its number in the whole, or GONE // [documents] */
  numbers: Uint32Array;
  /** Term number → its number in the whole, or GONE // [terms] */
  terms: Uint32Array;
}

const GONE = 2 ** 32 - 1;

/**
 * Joins the lists of segments into those of the documents that are left. Document frequencies, the number of documents and their mean length
 * are those of the documents left, so that every score equals that of an index built anew, bit by bit. A list holds its documents segment by
 * segment; their order changes no score.
 * @throws AbortedError
 */
export async function mergeInvertedLists(
  segments: readonly ListSegment[],
  { fields, signal, ...settings }: MergeOptions,
): Promise<InvertedLists> {
  const breather = new Breather(signal);
  const parts: Part[] = [];
  for (const { lists, isLive } of segments) {
    const numbers = Uint32Array.from(lists.ids, (_id, number) => (isLive(number) ? 0 : GONE));
    const lengths = lengthsOf(lists, fields);
    parts.push({ lists, lengths, numbers, terms: new Uint32Array(lists.terms.length) });
    if (breather.due) await breather.rest();
  }
  const ids = await numberDocuments(parts, signal);
  const averages = Array.from({ length: fields }, (_none, field) => liveStatistics(parts, field, fields));
  const { terms, fieldOf, fields: numbers, holders } = numberTerms(parts, fields);
  throwIfAborted(signal);
  const starts = listStarts(holders);
  const idf = inverseFrequencies(holders, fieldOf, averages);
  const table = new SaturationTable(
    averages.map(({ average }) => average),
    settings,
  );
  const rows = parts.map((part) => saturationRows(part, fields, table));
  const sizes = { postings: starts[terms.length]!, documents: ids.length, saturations: table.size };
  const postings = makePostings(sizes);
  const next = Uint32Array.from(starts.subarray(0, -1));
  for (const [at, part] of parts.entries()) {
    eachLivePosting(part, (term, number, posting) => {
      setPosting(postings, next[term]!++, number, rows[at]![saturationOf(part.lists.postings, posting)]!);
    });
    if (breather.due) await breather.rest();
  }
  return {
    ...{ ids, terms, fieldOf: Uint8Array.from(fieldOf), fields: numbers, starts, idf, postings },
    frequencies: table.frequencies(),
    denominators: table.denominators(),
  };
}

function documentOf({ postings: { entries, bits } }: InvertedLists, posting: number): number {
  return entries[posting]! >>> bits;
}

/** The lengths of documents are the sums of their terms' frequencies // [documents, fields] */
function lengthsOf(lists: InvertedLists, fields: number): Uint32Array {
  const { ids, terms, fieldOf, starts, postings, frequencies } = lists;
  const lengths = new Uint32Array(ids.length * fields);
  for (let term = 0; term < terms.length; term++) {
    const field = fieldOf[term]!;
    for (let at = starts[term]!; at < starts[term + 1]!; at++) {
      lengths[documentOf(lists, at) * fields + field]! += frequencies[saturationOf(postings, at)]!;
    }
  }
  return lengths;
}

/** Numbers all documents that are left by descending id. @returns their ids */
async function numberDocuments(parts: readonly Part[], signal: AbortSignal | undefined): Promise<string[]> {
  const ids: string[] = [];
  const places: [part: number, number: number][] = [];
  for (const [at, { lists, numbers }] of parts.entries()) {
    for (let number = 0; number < numbers.length; number++) {
      if (numbers[number] === GONE) continue;
      ids.push(lists.ids[number]!);
      places.push([at, number]);
    }
  }
  const order = await orderByIdDescending(ids, signal);
  for (const [number, row] of order.entries()) {
    const [part, local] = places[row]!;
    parts[part]!.numbers[local] = number;
  }
  return Array.from(order, (row) => ids[row]!);
}

function liveStatistics(parts: readonly Part[], field: number, fields: number) {
  const lengths: number[] = [];
  for (const part of parts) {
    for (let number = 0; number < part.numbers.length; number++) {
      if (part.numbers[number] !== GONE) lengths.push(part.lengths[number * fields + field]!);
    }
  }
  return fieldStatistics(lengths, 0, 1);
}

/** Numbers the terms that a document is left of, and counts these documents. */
function numberTerms(parts: readonly Part[], fieldCount: number) {
  const terms: string[] = [];
  const fieldOf: number[] = [];
  const holders: number[] = [];
  const fields = Array.from({ length: fieldCount }, () => new Map<string, number>());
  for (const { lists, numbers, terms: numberOf } of parts) {
    for (const [term, spelling] of lists.terms.entries()) {
      let count = 0;
      for (let at = lists.starts[term]!; at < lists.starts[term + 1]!; at++) {
        if (numbers[documentOf(lists, at)] !== GONE) count++;
      }
      numberOf[term] = GONE;
      if (count === 0) continue;
      const field = lists.fieldOf[term]!;
      const known = fields[field]!.get(spelling);
      const number = known ?? terms.length;
      numberOf[term] = number;
      if (known === undefined) {
        fields[field]!.set(spelling, terms.push(spelling) - 1);
        fieldOf.push(field);
        holders.push(0);
      }
      holders[number]! += count;
    }
  }
  return { terms, fieldOf, fields, holders };
}

/** Returns the row of the whole table for each row of a segment's that is still used // [saturations] */
function saturationRows(part: Part, fields: number, table: SaturationTable): Uint32Array {
  const { lists, lengths } = part;
  const rows = new Uint32Array(lists.frequencies.length).fill(GONE);
  eachLivePosting(part, (_term, _number, posting, local) => {
    const row = saturationOf(lists.postings, posting);
    if (rows[row] !== GONE) return;
    const document = documentOf(lists, posting);
    const field = lists.fieldOf[local]!;
    rows[row] = table.row(field, lengths[document * fields + field]!, lists.frequencies[row]!);
  });
  return rows;
}

function eachLivePosting(
  { lists, numbers, terms }: Part,
  use: (term: number, number: number, posting: number, local: number) => void,
): void {
  const { starts } = lists;
  for (let local = 0; local < terms.length; local++) {
    const term = terms[local]!;
    if (term === GONE) continue;
    for (let at = starts[local]!; at < starts[local + 1]!; at++) {
      const number = numbers[documentOf(lists, at)]!;
      if (number !== GONE) use(term, number, at, local);
    }
  }
}
