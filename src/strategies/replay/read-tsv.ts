import { readLines } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { checkId, checkLength, type ForeignTexts } from './foreign-text.ts';

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
 * @param isQuery tells what can be the id of a query
 * @throws DataError that names file and line
 */
export async function* readQueryGym(
  file: string,
  isQuery: (id: string) => boolean,
  signal?: AbortSignal,
): AsyncGenerator<ForeignTexts> {
  let open: OpenRecord | undefined;
  let last = 0;
  for await (const { text, line } of readLines(file, { signal })) {
    // Blank lines are not passed on, but counted.
    const blanks = line - last - 1;
    last = line;
    const start = open?.isQuoted ? undefined : beginningOf(text, line, file, open === undefined ? undefined : isQuery);
    if (start === undefined && open === undefined) throw noTab(file, line);
    if (start === undefined) addLine(open!, '\n'.repeat(blanks) + text, file);
    else {
      if (open !== undefined) yield textOf(open, file);
      open = start;
    }
  }
  if (open !== undefined) yield textOf(open, file);
}

function beginningOf(
  text: string,
  line: number,
  file: string,
  isQuery: ((id: string) => boolean) | undefined,
): OpenRecord | undefined {
  const tab = text.indexOf('\t');
  if (tab < 0) return undefined;
  const id = text.slice(0, tab).trim();
  if (isQuery !== undefined && !isQuery(id)) return undefined;
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
