import { readLines } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { checkId, checkLength, type ForeignTexts } from './foreign-text.ts';
import type { QueryIds } from './query-ids.ts';

/** A record that is being read. */
interface OpenRecord {
  id: string;
  line: number;
  parts: string[];
  characters: number;
  /** Whether the text began with a quotation mark whose end is still missing. */
  isQuoted: boolean;
}

/**
 * Reads QueryGym's `*.queries.tsv`: id, tab, text. A text in quotation marks may hold line ends, and each mark in it is doubled, as
 * pandas writes it. A text without them that holds line ends goes on until a line begins with the id of a query and a tab.
 *
 * @param ids tells what can be the id of a query
 * @throws DataError that names file and line; also where texts without quotation marks go on over lines, and a line begins with a number and
 *   a tab that may be an id or not
 */
export async function* readQueryGym(file: string, ids: QueryIds, signal?: AbortSignal): AsyncGenerator<ForeignTexts> {
  const reading = new Records(file, ids);
  let last = 0;
  for await (const { text, line } of readLines(file, { signal })) {
    // Blank lines are not passed on, but counted.
    const blanks = line - last - 1;
    last = line;
    const ended = reading.add(text, line, blanks);
    if (ended !== undefined) yield ended;
  }
  const ended = reading.end();
  if (ended !== undefined) yield ended;
}

/** Divides lines into records. */
class Records {
  readonly #file: string;
  readonly #ids: QueryIds;
  #open: OpenRecord | undefined;
  /** The first number before a tab that may be an id or not. */
  #doubtful: { id: string; line: number; within: string } | undefined;
  /** Whether a text without quotation marks goes on over lines. */
  #hasLongTexts = false;

  constructor(file: string, ids: QueryIds) {
    [this.#file, this.#ids] = [file, ids];
  }

  /** Adds a line. @returns the record that ends before it */
  add(text: string, line: number, blanks: number): ForeignTexts | undefined {
    const open = this.#open;
    if (open?.isQuoted || (open !== undefined && !this.#begins(text, line, open))) {
      this.#goOn(open, '\n'.repeat(blanks) + text);
      return undefined;
    }
    const start = beginningOf(text, line, this.#file);
    if (start === undefined) throw noTab(this.#file, line);
    this.#open = start;
    return open && textOf(open, this.#file);
  }

  end(): ForeignTexts | undefined {
    return this.#open && textOf(this.#open, this.#file);
  }

  /** Whether a line after an ended or unquoted text is the first of another. */
  #begins(text: string, line: number, open: OpenRecord): boolean {
    const tab = text.indexOf('\t');
    if (tab < 0) return false;
    if (open.parts[0]!.startsWith('"')) return true;
    const id = text.slice(0, tab).trim();
    const kind = this.#ids.kindOf(id);
    if (kind === 'doubtful') {
      this.#doubtful ??= { id, line, within: open.id };
      this.#refuseDoubt();
    }
    return kind !== 'text';
  }

  #goOn(open: OpenRecord, text: string): void {
    addLine(open, text, this.#file);
    if (open.parts[0]!.startsWith('"')) return;
    this.#hasLongTexts = true;
    this.#refuseDoubt();
  }

  #refuseDoubt(): void {
    if (this.#doubtful === undefined || !this.#hasLongTexts) return;
    const { id, line, within } = this.#doubtful;
    throw new DataError(
      `the line begins a query that the data set lacks, or goes on with the text of query ${within}`,
      {
        ...{ file: this.#file, line, id },
        fix: 'Write the texts in quotation marks, as pandas does (to_csv with sep="\\t"), or as JSONL; the ids are numbers, and texts hold line ends.',
      },
    );
  }
}

function beginningOf(text: string, line: number, file: string): OpenRecord | undefined {
  const tab = text.indexOf('\t');
  if (tab < 0) return undefined;
  const id = text.slice(0, tab).trim();
  const rest = text.slice(tab + 1);
  checkLength(rest.length, { file, line, id });
  const isQuoted = rest.startsWith('"') && !isClosed(rest.slice(1));
  return { id: checkId(id, { file, line }), line, parts: [rest], characters: rest.length, isQuoted };
}

function addLine(open: OpenRecord, text: string, file: string): void {
  open.parts.push(text);
  open.characters += text.length + 1;
  checkLength(open.characters, { file, line: open.line, id: open.id });
  if (open.isQuoted) open.isQuoted = !isClosed(text);
}

/** Whether a line ends with the quotation mark that ends its text: an odd number of them. */
function isClosed(text: string): boolean {
  let first = text.length;
  while (first > 0 && text[first - 1] === '"') first--;
  return (text.length - first) % 2 === 1;
}

function textOf({ id, line, parts, isQuoted }: OpenRecord, file: string): ForeignTexts {
  const text = parts.join('\n');
  if (!text.startsWith('"')) return { id, line, texts: [text] };
  if (isQuoted) {
    throw new DataError('the text begins with a quotation mark and never ends', {
      ...{ file, line, id },
      fix: 'Add the mark at its end, and double those inside, as CSV writers do.',
    });
  }
  return { id, line, texts: [text.slice(1, -1).replaceAll('""', '"')] };
}

function noTab(file: string, line: number): DataError {
  return new DataError('the line has no tab between id and text', {
    ...{ file, line },
    fix: 'Pass the right --format; querygym expects an id, a tab and a text on each line.',
  });
}

/** Reads TREC topics as TSV: id, tab, text, one a line; quotation marks are part of the text. @throws DataError */
export async function* readTopicLines(file: string, signal?: AbortSignal): AsyncGenerator<ForeignTexts> {
  for await (const { text, line } of readLines(file, { signal })) {
    const tab = text.indexOf('\t');
    if (tab < 0) throw noTab(file, line);
    const id = checkId(text.slice(0, tab).trim(), { file, line });
    checkLength(text.length, { file, line, id });
    yield { id, line, texts: [text.slice(tab + 1)] };
  }
}
