import { type BeirDataset, type Expansion, readExpansions } from '../../data/index.ts';
import { checkWritable, writeLines } from '../../files/index.ts';
import { combinationOf } from '../../retrieve/index.ts';
import { type QueryRepeats, repeatQuery } from '../../search/index.ts';
import { DataError } from '../../system/index.ts';

export const EXPORT_FORMATS = ['querygym', 'tsv', 'topics', 'beir', 'jsonl'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportOptions {
  dataset: BeirDataset;
  /** `expansions.jsonl`. */
  expansions: string;
  format: ExportFormat;
  out: string;
  /** Default: as the manifest of the expansions records. */
  queryRepeats?: QueryRepeats | undefined;
  signal?: AbortSignal | undefined;
}

export interface ExportResult {
  file: string;
  queries: number;
  /** Undefined for BEIR's layout, which keeps query and expansions apart. */
  queryRepeats: QueryRepeats | 'as in the file they came from' | undefined;
}

/** A query with its expansions. */
interface Exported {
  id: string;
  text: string;
  expansions: readonly string[];
  /** Query and expansions as one text for a lexical search. */
  joined: string;
}

/**
 * Writes expansions as other programs read them: one text for each query, in which the query is repeated before its expansions, or
 * BEIR's queries with expansions. Texts that came from another program are written as they were.
 *
 * @throws DataError if the data set lacks a query, or if an id does not fit into the format
 */
export async function exportExpansions(options: ExportOptions): Promise<ExportResult> {
  const { dataset, expansions: file, format, out, signal } = options;
  const { queryRepeats } = await combinationOf(file, { queryRepeats: options.queryRepeats });
  const expansions = await readExpansions(file, signal);
  const queries = await dataset.queries({ signal });
  const isReplayed = [...expansions.values()].flat().some((one) => one.queryRepeats !== undefined);
  const asGiven = isReplayed && options.queryRepeats === undefined;
  function* lines(): Generator<string> {
    for (const [id, records] of expansions) {
      const query = queries.get(id);
      if (query === undefined) throw unknownQuery(file, id);
      const texts = records.map(({ text }) => text).filter((text) => text.trim() !== '');
      const joined = asGiven ? asInFile(query.text, records) : repeatQuery(query.text, texts, queryRepeats);
      if (format !== 'jsonl' && format !== 'beir') checkWritable(id, 'tsv', { file: out });
      yield LINE[format]({ id, text: query.text, expansions: texts, joined });
    }
  }
  const count = await writeLines(out, lines());
  const repeats = asGiven ? 'as in the file they came from' : queryRepeats;
  return { file: out, queries: count, queryRepeats: format === 'beir' ? undefined : repeats };
}

function asInFile(query: string, records: readonly Expansion[]): string {
  const texts = records.filter(({ text }) => text.trim() !== '');
  const parts = texts.flatMap((one) => [...Array<string>(one.queryRepeats ?? 0).fill(query), one.text]);
  return parts.length === 0 ? query : parts.join(' ');
}

const LINE: Record<ExportFormat, (query: Exported) => string> = {
  querygym: ({ id, joined }) => `${id}\t${asCsv(joined)}`,
  tsv: ({ id, joined }) => `${id}\t${onOneLine(joined)}`,
  topics: ({ id, joined }) =>
    `<top>\n\n<num> Number: ${id}\n<title> ${withoutTags(onOneLine(joined))}\n\n<desc> Description:\n\n<narr> Narrative:\n\n</top>\n`,
  beir: ({ id, text, expansions }) =>
    JSON.stringify({ _id: id, text: expansions.length === 0 ? text : [text, ...expansions] }),
  jsonl: ({ id, joined }) => JSON.stringify({ id, text: joined }),
};

/** As pandas writes a field: in quotation marks if it holds a tab, a line end or a quotation mark. */
function asCsv(text: string): string {
  return /[\t\r\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function onOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** Readers of classic topics take what looks like a tag for the next field. */
function withoutTags(text: string): string {
  return text.replace(/[<>]/g, ' ');
}

function unknownQuery(file: string, id: string): DataError {
  return new DataError('the data set has no such query', {
    ...{ file, id },
    fix: 'Pass the data set for which the expansions were written.',
  });
}
