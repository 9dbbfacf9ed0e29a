import {
  checkWritable,
  duplicateId,
  faultOfId,
  readLineBatches,
  readLines,
  type TextLine,
  writeLines,
} from '../../files/index.ts';
import { DocumentNumbers, type HitList, Hits, type Qrels, type Run, rankHits, TypedRun } from '../../measures/index.ts';
import { DataError } from '../../system/index.ts';

/** What C's `isspace` accepts as white space, as in trec_eval. Other Unicode spaces may be part of an id. */
const WHITE_SPACE = /[ \t\v\f\r]+/;
const GRADE = /^[+-]?\d{1,9}(\.0+)?$/;
const SCORE = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

/** One judgement, as written in a file. */
export interface Judgement {
  query: string;
  document: string;
  grade: number;
  line: number;
}

/**
 * Reads the judgements of a file as a stream: BEIR's TSV (`query-id`, `corpus-id`, `score`, with or without the header) or TREC's
 * four columns (query, iteration, document, grade). The first line decides which.
 *
 * @throws DataError if columns are missing or added, or if a grade is not a whole number
 */
export async function* readJudgements(file: string, signal?: AbortSignal): AsyncGenerator<Judgement> {
  const parser = new JudgementParser(file);
  for await (const { text, line } of readLines(file, { signal })) {
    const judgement = parser.parse(text, line);
    if (judgement !== undefined) yield judgement;
  }
}

/** Parses the lines of one file of judgements. The first line decides the format. */
export class JudgementParser {
  readonly #file: string;
  #trec: boolean | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Returns the judgement on this line; undefined for the header. @throws DataError */
  parse(text: string, line: number): Judgement | undefined {
    const tabbed = text.split('\t');
    const first = this.#trec === undefined;
    this.#trec ??= tabbed.length !== 3;
    if (first && isHeader(tabbed)) return undefined;
    return parseJudgement(this.#trec ? trecColumns(text) : tabbed, this.#file, line, this.#trec);
  }
}

function isHeader(columns: string[]): boolean {
  return columns.length === 3 && /^\s*(score|relevance|grade|label)\s*$/i.test(columns[2]!);
}

function trecColumns(text: string): string[] {
  const columns = text.split(WHITE_SPACE);
  if (columns[0] === '') columns.shift();
  if (columns.at(-1) === '') columns.pop();
  return columns;
}

function parseJudgement(columns: string[], file: string, line: number, trec: boolean): Judgement {
  const expected = trec ? 4 : 3;
  const [query, document, grade] = trec ? [columns[0], columns[2], columns[3]] : columns;
  if (columns.length !== expected || !query || !document || grade === undefined) {
    throw new DataError(
      `expected ${expected} columns, found ${columns.length}${columns.includes('') ? ' (some empty)' : ''}`,
      {
        file,
        line,
        fix: 'Judgements are "query-id<TAB>corpus-id<TAB>score" (BEIR) or "query 0 document grade" (TREC).',
      },
    );
  }
  for (const id of [query, document]) {
    const fault = faultOfId(id);
    if (fault !== undefined)
      throw new DataError(fault, {
        file,
        line,
        id,
        fix: 'Remove the white space from the id in the corpus, the queries and the judgements.',
      });
  }
  if (!GRADE.test(grade.trim())) {
    throw new DataError(`the grade ${JSON.stringify(grade)} is not a whole number of at most nine digits`, {
      file,
      line,
      id: document,
      fix: 'Grades are whole numbers: 0 or less is not relevant, 1 or more is relevant.',
    });
  }
  return { query, document, grade: Number(grade), line };
}

/**
 * Reads a file of judgements. See {@link readJudgements} for the formats. A duplicate judgement with the same grade counts once.
 *
 * @throws DataError if a line is broken, if a document has two different grades, or if there are no judgements
 */
export async function readQrels(file: string, signal?: AbortSignal): Promise<Qrels> {
  const qrels: Qrels = new Map();
  for await (const { query, document, grade, line } of readJudgements(file, signal)) {
    const grades = qrels.get(query) ?? new Map<string, number>();
    if ((grades.get(document) ?? grade) !== grade) {
      throw new DataError(`this document has another grade for query ${JSON.stringify(query)} on an earlier line`, {
        file,
        line,
        id: document,
        fix: 'Remove one of the two judgements.',
      });
    }
    qrels.set(query, grades.set(document, grade));
  }
  if (qrels.size > 0) return qrels;
  throw new DataError('the file holds no judgement', { file, fix: 'Use the file with the relevance judgements.' });
}

/** Writes judgements as BEIR's TSV with its header. @throws DataError if an id holds a tab or a line end */
export async function writeBeirQrels(file: string, qrels: Qrels): Promise<void> {
  await writeLines(file, beirQrelsLines(file, qrels));
}

/** The lines of {@link writeBeirQrels}. @param file for messages. @throws DataError */
export function* beirQrelsLines(file: string, qrels: Qrels): Generator<string> {
  yield 'query-id\tcorpus-id\tscore';
  for (const [query, document, grade] of judgements(qrels)) {
    checkWritable(query, 'tsv', { file });
    checkWritable(document, 'tsv', { file });
    yield `${query}\t${document}\t${grade}`;
  }
}

/** Writes judgements in TREC's four columns. @throws DataError if an id holds white space */
export async function writeTrecQrels(file: string, qrels: Qrels): Promise<void> {
  await writeLines(file, trecQrelsLines(file, qrels));
}

/** The lines of {@link writeTrecQrels}. @param file for messages. @throws DataError */
export function* trecQrelsLines(file: string, qrels: Qrels): Generator<string> {
  for (const [query, document, grade] of judgements(qrels)) {
    checkWritable(query, 'trec', { file });
    checkWritable(document, 'trec', { file });
    yield `${query} 0 ${document} ${grade}`;
  }
}

function* judgements(qrels: Qrels): Generator<[query: string, document: string, grade: number]> {
  for (const [query, grades] of qrels) {
    for (const [document, grade] of grades) yield [query, document, grade];
  }
}

/**
 * Reads a TREC run: query, `Q0`, document, rank, score, tag. The rank is ignored, as in trec_eval. A line takes 16 bytes while the
 * file is read and 12 bytes afterwards. An id is held once, however many lines name it.
 *
 * @throws DataError if columns are missing or added, if a score is not a finite number, if a document is listed twice for a query,
 * or if there are no results
 */
export async function readRun(file: string, signal?: AbortSignal): Promise<Run> {
  const documents = new DocumentNumbers();
  const queries = new Map<string, GrowingHits>();
  for await (const rows of readLineBatches(file, { signal })) {
    for (const row of rows) {
      const { query, document, score } = parseRunLine(row, file);
      let hits = queries.get(query);
      if (hits === undefined) {
        hits = new GrowingHits();
        queries.set(query, hits);
      }
      hits.add(documents.number(document), score, row.line);
    }
  }
  if (queries.size === 0) {
    throw new DataError('the run holds no result', { file, fix: 'Use a run file with at least one line.' });
  }
  refuseDoubledHits(queries, documents, file);
  const lists: HitList[] = [];
  for (const hits of queries.values()) lists.push(hits.take());
  return new TypedRun(queries.keys(), new Hits(lists, (number) => documents.id(number)));
}

/** The lines of one query, in the order of the file. */
class GrowingHits {
  numbers = new Uint32Array(16);
  lines = new Uint32Array(16);
  count = 0;
  #scores = new Float64Array(16);

  add(number: number, score: number, line: number): void {
    if (this.count === this.numbers.length) {
      this.numbers = grown(this.numbers, new Uint32Array(2 * this.count));
      this.lines = grown(this.lines, new Uint32Array(2 * this.count));
      this.#scores = grown(this.#scores, new Float64Array(2 * this.count));
    }
    this.numbers[this.count] = number;
    this.lines[this.count] = line;
    this.#scores[this.count++] = score;
  }

  /** Returns the hits and frees the unused capacity. */
  take(): HitList {
    const list = { numbers: this.numbers.slice(0, this.count), scores: this.#scores.slice(0, this.count) };
    this.numbers = this.lines = new Uint32Array(0);
    this.#scores = new Float64Array(0);
    return list;
  }
}

function grown<T extends Uint32Array | Float64Array>(values: T, larger: T): T {
  larger.set(values);
  return larger;
}

function refuseDoubledHits(queries: ReadonlyMap<string, GrowingHits>, documents: DocumentNumbers, file: string): void {
  /** For each document, the last query that listed it, counted from 1. */
  const listedBy = new Uint32Array(documents.size);
  let place = 0;
  for (const [query, { numbers, lines, count }] of queries) {
    place++;
    for (let at = 0; at < count; at++) {
      const number = numbers[at]!;
      if (listedBy[number] === place) {
        throw duplicateId(file, lines[at]!, documents.id(number), `document of query ${JSON.stringify(query)}`);
      }
      listedBy[number] = place;
    }
  }
}

function parseRunLine({ text, line }: TextLine, file: string) {
  const columns = trecColumns(text);
  if (columns.length !== 6) {
    throw new DataError(`expected 6 columns, found ${columns.length}`, {
      file,
      line,
      fix: 'A run line is "query Q0 document rank score tag". Ids hold no white space.',
    });
  }
  const [query, , document, , score] = columns as [string, string, string, string, string];
  const value = SCORE.test(score) ? Number(score) : Number.NaN;
  if (!Number.isFinite(value)) throw badScore(score, { file, line, id: document });
  return { query, document, score: value };
}

function badScore(score: string, place: { file: string; line?: number; id: string }): DataError {
  return new DataError(`the score ${score} is not a finite number`, {
    ...place,
    fix: 'Scores are decimal numbers, larger for better documents. Make the run again.',
  });
}

/**
 * Writes a TREC run, each query's documents in trec_eval's order: by score as a 32-bit float, descending; equal scores by id
 * (bytes), descending. Ranks begin at 1.
 *
 * @param tag name of the run, its last column
 * @throws DataError if an id or the tag holds white space, if a score is not finite, or if a document is listed twice
 */
export async function writeRun(file: string, run: Run, tag: string): Promise<void> {
  await writeLines(file, trecRunLines(file, run, tag));
}

/** The lines of {@link writeRun}. @param file for messages. @throws DataError */
export function* trecRunLines(file: string, run: Run, tag: string): Generator<string> {
  checkWritable(tag, 'trec', { file });
  for (const [query, documents] of run) {
    checkWritable(query, 'trec', { file });
    for (const { id, score } of documents) {
      checkWritable(id, 'trec', { file });
      if (!Number.isFinite(score)) throw badScore(String(score), { file, id });
    }
    const written = new Set<string>();
    for (const { id, score } of rankHits(documents)) {
      if (written.has(id)) throw listedTwice(file, query, id);
      written.add(id);
      yield `${query} Q0 ${id} ${written.size} ${score} ${tag}`;
    }
  }
}

function listedTwice(file: string, query: string, id: string): DataError {
  return new DataError(`query ${JSON.stringify(query)} lists this document twice`, {
    file,
    id,
    fix: 'Keep each document once per query, with its best score.',
  });
}
