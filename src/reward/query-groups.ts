import type { z } from 'zod';
import {
  type CandidateRecord,
  candidateIdOf,
  candidateSchema,
  type RewardRecord,
  rewardSchema,
} from '../data/index.ts';
import { IdSet, readJsonl } from '../files/index.ts';
import { DataError } from '../system/index.ts';
import { fixOf, readCandidatePlan } from './stage-inputs.ts';

/** The records of one query, which are consecutive in a file. */
export interface QueryGroup<T> {
  queryId: string;
  records: T[];
  /** Line of the first record. */
  line: number;
}

/**
 * Reads `candidates.jsonl` one query at a time, with its candidates in the order of their indexes.
 *
 * @throws DataError if a line is damaged, the candidates of a query are not consecutive, or ids do not match; if the
 * file has a manifest, also if it says that the file is not finished or that a query should have more candidates
 */
export async function* readCandidateGroups(
  file: string,
  signal?: AbortSignal,
): AsyncGenerator<QueryGroup<CandidateRecord>> {
  const { perQuery } = await readCandidatePlan(file);
  for await (const group of readGroups(file, candidateSchema, signal)) {
    if (group.records.length < (perQuery ?? 0)) throw torn(file, group, perQuery!);
    for (const { candidateId, index } of group.records) {
      if (candidateId === candidateIdOf(group.queryId, index)) continue;
      throw new DataError(`candidate ${index} of query ${JSON.stringify(group.queryId)} has this id`, {
        file,
        line: group.line,
        id: candidateId,
        fix: `The id should be ${candidateIdOf(group.queryId, index)}. Make the candidates again.`,
      });
    }
    yield { ...group, records: group.records.sort((a, b) => a.index - b.index) };
  }
}

/** Reads `rewards.jsonl` one query at a time. @throws DataError as {@link readCandidateGroups} */
export function readRewardGroups(file: string, signal?: AbortSignal): AsyncGenerator<QueryGroup<RewardRecord>> {
  return readGroups(file, rewardSchema, signal);
}

async function* readGroups<T extends { queryId: string; candidateId: string }>(
  file: string,
  schema: z.ZodType<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<QueryGroup<T>> {
  const seen = new IdSet();
  let group: QueryGroup<T> | undefined;
  for await (const { value, line } of readJsonl(file, schema, signal)) {
    if (group?.queryId !== value.queryId) {
      if (group !== undefined) yield group;
      if (!seen.add(value.queryId)) throw scattered(file, line, value.queryId);
      group = { queryId: value.queryId, records: [], line };
    }
    if (group.records.some(({ candidateId }) => candidateId === value.candidateId)) {
      throw new DataError('the candidate occurs twice', {
        file,
        line,
        id: value.candidateId,
        fix: 'Remove one of the two lines.',
      });
    }
    group.records.push(value);
  }
  if (group !== undefined) yield group;
}

function torn(file: string, { queryId, records, line }: QueryGroup<unknown>, wanted: number): DataError {
  return new DataError(`the query has ${records.length} of its ${wanted} candidates`, {
    file,
    line,
    id: queryId,
    fix: fixOf('candidates'),
  });
}

function scattered(file: string, line: number, queryId: string): DataError {
  return new DataError('the lines of this query are not consecutive', {
    file,
    line,
    id: queryId,
    fix: 'Sort the file by query: it is read one query at a time.',
  });
}

/**
 * Finds records of one stream by id while another stream is read. If both have the same order, nothing is kept in
 * memory. A record that comes before it is requested is kept, unless it will not be requested.
 */
export class IdStream<T> {
  readonly #source: AsyncIterator<T>;
  readonly #idOf: (record: T) => string;
  readonly #isWanted: (id: string) => boolean;
  readonly #waiting = new Map<string, T>();
  #ended = false;

  /** @param isWanted whether a record of this id may be requested; default: all */
  constructor(
    source: AsyncIterable<T> | Iterable<T>,
    idOf: (record: T) => string,
    isWanted: (id: string) => boolean = () => true,
  ) {
    this.#source = toAsync(source)[Symbol.asyncIterator]();
    this.#idOf = idOf;
    this.#isWanted = isWanted;
  }

  /** Returns the record of this id, or undefined if the stream has none. Each record is returned once. */
  async take(id: string): Promise<T | undefined> {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      this.#waiting.delete(id);
      return waiting;
    }
    while (!this.#ended) {
      const next = await this.#source.next();
      if (next.done === true) {
        this.#ended = true;
        break;
      }
      const found = this.#idOf(next.value);
      if (found === id) return next.value;
      if (this.#isWanted(found)) this.#waiting.set(found, next.value);
    }
    return undefined;
  }

  /** Reads the rest, to detect faults in it. */
  async drain(): Promise<void> {
    while (!this.#ended) this.#ended = (await this.#source.next()).done === true;
  }

  /** Closes the stream's file. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

async function* toAsync<T>(source: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
  yield* source;
}
