import type { z } from 'zod';
import { IdSet, type Problem, ProblemLog, parseJsonLine, readLines } from '../../files/index.ts';
import { counted, DataError, type Progress, type ProgressTask, SILENT } from '../../system/index.ts';
import { BeirDataset } from './beir.ts';
import { documentSchema, querySchema } from './corpus.ts';
import { documentText } from './records.ts';
import { type Judgement, JudgementParser } from './trec.ts';

/** Number and mean length of the texts of a file. */
export interface TextCounts {
  count: number;
  /** Number of texts that are blank. */
  empty: number;
  meanCharacters: number;
  /** Words are separated by white space. */
  meanWords: number;
}

/** Counts of one split's judgements. */
export interface SplitCounts {
  judgements: number;
  /** Judgements with a grade of at least 1. */
  relevant: number;
  /** Queries with at least one judgement. */
  queries: number;
  /** Queries with judgements, but without a relevant one. */
  withoutRelevant: number;
}

export interface DatasetCheck {
  name: string;
  folder: string;
  documents: TextCounts;
  queries: TextCounts & { withExpansions: number };
  splits: Record<string, SplitCounts>;
  /** Number of queries whose id is also a document's, and of those among them that judge that document relevant (in any split). */
  collisions: { queries: number; relevant: number };
  /** Documents with the title and text of an earlier one, and queries with the text of an earlier one. */
  duplicates: { documents: number; queries: number };
  /** Queries that another split judges too, by pair of splits: `train and test`. */
  sharedQueries: Record<string, number>;
  /** Documents with so many words that an encoder of {@link LENGTH_LIMIT} tokens cannot hold them: a word is at least one token. */
  long: { documents: number; tokens: number };
  problems: Problem[];
  /** Remarks that are not problems, but that matter before a score is quoted. */
  notes: string[];
}

/** Number of tokens that the default encoder reads of a document, two of them special. */
const LENGTH_LIMIT = 256;

/**
 * Reads a data set in BEIR's layout completely and lists every problem, continuing after each one.
 *
 * @throws DataError if there is no corpus; AbortedError
 */
export async function checkBeir(
  folder: string,
  options: { signal?: AbortSignal | undefined; progress?: Progress | undefined } = {},
): Promise<DatasetCheck> {
  const dataset = await BeirDataset.open(folder);
  const task = (options.progress ?? SILENT).task('checking', undefined, 'lines');
  try {
    const checker = new Checker(dataset, task, options.signal);
    return await checker.run();
  } finally {
    task.done();
  }
}

class Checker {
  readonly #dataset: BeirDataset;
  readonly #task: ProgressTask;
  readonly #signal: AbortSignal | undefined;
  readonly #log = new ProblemLog();
  readonly #documentIds = new IdSet();
  readonly #queryIds = new IdSet();
  readonly #relevantSelves = new Set<string>();
  readonly #judged = new Map<string, IdSet>();
  readonly #duplicates = { documents: 0, queries: 0 };
  readonly #sharedQueries: Record<string, number> = {};
  #collisions = 0;
  #long = 0;

  constructor(dataset: BeirDataset, task: ProgressTask, signal: AbortSignal | undefined) {
    this.#dataset = dataset;
    this.#task = task;
    this.#signal = signal;
  }

  async run(): Promise<DatasetCheck> {
    const { name, folder } = this.#dataset;
    const documents = await this.#checkDocuments();
    const queries = await this.#checkQueries();
    const splits: Record<string, SplitCounts> = {};
    for (const split of await this.#dataset.splits()) splits[split] = await this.#checkSplit(split);
    if (Object.keys(splits).length === 0) this.#log.add('warning', 'no judgements (qrels/<split>.tsv)', folder);
    const found = {
      collisions: { queries: this.#collisions, relevant: this.#relevantSelves.size },
      ...{ duplicates: this.#duplicates, sharedQueries: this.#sharedQueries },
      long: { documents: this.#long, tokens: LENGTH_LIMIT },
    };
    const notes = [
      ...noteCollisions(found.collisions),
      ...noteDuplicates(found.duplicates),
      ...noteShared(found.sharedQueries),
      ...noteLong(found.long, documents.count),
    ];
    return { name, folder, documents, queries, splits, ...found, problems: this.#log.list(), notes };
  }

  async #checkDocuments(): Promise<TextCounts> {
    const file = this.#dataset.corpusFile;
    const texts = new TextCounter();
    const seen = new IdSet();
    await this.#eachRecord(file, documentSchema, (document, line) => {
      const place = `${file}:${line} id ${JSON.stringify(document.id)}`;
      this.#checkId(document.id, this.#documentIds, 'document', place);
      const words = texts.add(documentText(document));
      if (words > 0 && !seen.add(documentText(document))) this.#duplicates.documents++;
      if (words === 0) this.#log.add('warning', 'document without text', place);
      if (words > LENGTH_LIMIT - 2) this.#long++;
    });
    if (this.#documentIds.size === 0) this.#log.add('error', 'the corpus holds no document', file);
    return texts.counts();
  }

  async #checkQueries(): Promise<DatasetCheck['queries']> {
    const texts = new TextCounter();
    let withExpansions = 0;
    const seen = new IdSet();
    const file = await this.#dataset.queriesFile().catch(() => undefined);
    if (file !== undefined) {
      await this.#eachRecord(file, querySchema, (query, line) => {
        const place = `${file}:${line} id ${JSON.stringify(query.id)}`;
        this.#checkId(query.id, this.#queryIds, 'query', place);
        if (this.#documentIds.has(query.id)) this.#collisions++;
        if (texts.add(query.text) === 0) this.#log.add('warning', 'query without text', place);
        else if (!seen.add(query.text)) this.#duplicates.queries++;
        if (query.expansions !== undefined) withExpansions++;
      });
    }
    if (this.#queryIds.size === 0) this.#log.add('error', 'no queries (queries.jsonl)', this.#dataset.folder);
    return { ...texts.counts(), withExpansions };
  }

  #checkId(id: string, seen: IdSet, what: string, place: string): void {
    if (!seen.add(id)) this.#log.add('error', `${what} id given twice`, place);
  }

  async #checkSplit(split: string): Promise<SplitCounts> {
    const file = await this.#dataset.qrelsFile(split);
    const counter = new SplitCounter(file, this.#log, this.#documentIds, this.#queryIds);
    const parser = new JudgementParser(file);
    const judged = new IdSet();
    await this.#eachLine(file, (text, line) => {
      const judgement = parser.parse(text, line);
      if (judgement === undefined) return;
      counter.add(judgement);
      const { query, document, grade } = judgement;
      if (judged.add(query)) this.#countShared(split, query);
      if (query === document && grade > 0) this.#relevantSelves.add(query);
    });
    this.#judged.set(split, judged);
    return counter.counts();
  }

  #countShared(split: string, query: string): void {
    for (const [other, queries] of this.#judged) {
      if (!queries.has(query)) continue;
      const pair = `${other} and ${split}`;
      this.#sharedQueries[pair] = (this.#sharedQueries[pair] ?? 0) + 1;
    }
  }

  async #eachRecord<T>(file: string, schema: z.ZodType<T>, use: (value: T, line: number) => void): Promise<void> {
    await this.#eachLine(file, (text, line) => use(parseJsonLine(text, schema, file, line), line));
  }

  /** Continues after a line that does not parse; ends if the bytes themselves are damaged. */
  async #eachLine(file: string, use: (text: string, line: number) => void): Promise<void> {
    try {
      for await (const { text, line } of readLines(file, { signal: this.#signal })) {
        this.#task.advance();
        this.#tolerate('broken line', () => use(text, line));
      }
    } catch (error) {
      this.#tolerate('file that cannot be read to its end', () => {
        throw error;
      });
    }
  }

  #tolerate(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      this.#log.add('error', what, error.message);
    }
  }
}

/** Counts words one by one without keeping them: a text may be a line of hundreds of megabytes. */
function countWords(text: string): number {
  const word = /\S+/g;
  let count = 0;
  while (word.test(text)) count++;
  return count;
}

function* noteCollisions({ queries, relevant }: DatasetCheck['collisions']): Generator<string> {
  if (queries === 0) return;
  yield `${counted(queries, 'id belongs', 'ids belong')} to a query and to a document: the document is omitted from the results of that query, except for ${counted(relevant, 'query that judges', 'queries that judge')} it relevant` +
    '  (`--keep-self` keeps all)';
}

function* noteDuplicates({ documents, queries }: DatasetCheck['duplicates']): Generator<string> {
  if (documents > 0) {
    yield `${counted(documents, 'document repeats', 'documents repeat')} title and text of an earlier one: if only one of them is judged relevant, finding the other counts as a mistake`;
  }
  if (queries > 0) {
    yield `${counted(queries, 'query repeats', 'queries repeat')} the text of an earlier one: queries are not independent samples, so intervals and p values are too optimistic`;
  }
}

function* noteShared(shared: DatasetCheck['sharedQueries']): Generator<string> {
  for (const [pair, count] of Object.entries(shared)) {
    yield `the splits ${pair} share ${counted(count, 'query', 'queries')}: what is tuned on one is not tested by the other`;
  }
}

function* noteLong({ documents, tokens }: DatasetCheck['long'], count: number): Generator<string> {
  if (documents === 0) return;
  const percent = ((100 * documents) / count).toFixed(1);
  yield `at least ${counted(documents, 'document')} (${percent} %) ${documents === 1 ? 'exceeds' : 'exceed'} ${tokens} tokens, the limit of the default ` +
    'encoder: dense search ignores the rest of their text';
}

class TextCounter {
  #count = 0;
  #empty = 0;
  #characters = 0;
  #words = 0;

  /** @returns the number of words */
  add(text: string): number {
    const words = countWords(text);
    this.#count++;
    this.#characters += text.length;
    this.#words += words;
    if (words === 0) this.#empty++;
    return words;
  }

  counts(): TextCounts {
    const mean = (sum: number) => (this.#count === 0 ? 0 : Math.round((sum / this.#count) * 10) / 10);
    return {
      count: this.#count,
      empty: this.#empty,
      meanCharacters: mean(this.#characters),
      meanWords: mean(this.#words),
    };
  }
}

/** Compares the judgements of one split with the existing documents and queries. */
class SplitCounter {
  readonly #file: string;
  readonly #log: ProblemLog;
  readonly #documentIds: IdSet;
  readonly #queryIds: IdSet;
  /** Query → document → grade. */
  readonly #grades = new Map<string, Map<string, number>>();
  #judgements = 0;
  #relevant = 0;

  constructor(file: string, log: ProblemLog, documentIds: IdSet, queryIds: IdSet) {
    this.#file = file;
    this.#log = log;
    this.#documentIds = documentIds;
    this.#queryIds = queryIds;
  }

  add({ query, document, grade, line }: Judgement): void {
    const place = `${this.#file}:${line} query ${JSON.stringify(query)}, document ${JSON.stringify(document)}`;
    this.#judgements++;
    if (grade > 0) this.#relevant++;
    if (!this.#queryIds.has(query)) this.#log.add('error', 'judgement for a query that is missing', place);
    if (!this.#documentIds.has(document)) {
      if (grade > 0) this.#log.add('error', 'relevant document that is missing from the corpus', place);
      else this.#log.add('warning', 'judged document that is missing from the corpus', place);
    }
    this.#addGrade(query, document, grade, place);
  }

  #addGrade(query: string, document: string, grade: number, place: string): void {
    const grades = this.#grades.get(query) ?? new Map<string, number>();
    const earlier = grades.get(document);
    if (earlier !== undefined && earlier !== grade)
      this.#log.add('error', 'two different grades of one document', place);
    if (earlier === grade) this.#log.add('warning', 'judgement given twice', place);
    this.#grades.set(query, grades.set(document, grade));
  }

  counts(): SplitCounts {
    let withoutRelevant = 0;
    for (const [query, grades] of this.#grades) {
      if ([...grades.values()].some((grade) => grade > 0)) continue;
      withoutRelevant++;
      this.#log.add('warning', 'query without a relevant document', `${this.#file} query ${JSON.stringify(query)}`);
    }
    const empty = this.#judgements === 0;
    if (empty) this.#log.add('error', 'file without judgements', this.#file);
    return {
      judgements: this.#judgements,
      relevant: this.#relevant,
      queries: this.#grades.size,
      withoutRelevant,
    };
  }
}
