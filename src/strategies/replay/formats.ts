import { readLines } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import type { ForeignTexts, ReplayFormat } from './foreign-text.ts';
import type { QueryIds } from './query-ids.ts';
import { type FieldNames, readBeirExpansions, readForeignJsonl } from './read-json-lines.ts';
import { readTopics } from './read-topics.ts';
import { readQueryGym, readTopicLines } from './read-tsv.ts';

export interface ForeignFile {
  file: string;
  format: ReplayFormat;
  fields: FieldNames;
  /** Tells what can be the id of a query, where a text may also hold a tab. */
  ids: QueryIds;
}

/** Guesses the format of a file from its first line. @throws DataError if it fits none */
export async function guessFormat(file: string): Promise<ReplayFormat> {
  const first = (await firstLine(file)).trim();
  if (/^<top>/i.test(first)) return 'topics';
  if (first.startsWith('{')) return guessJson(first, file);
  if (first.includes('\t')) return 'querygym';
  throw new DataError(
    'the format is not known: the first line is neither JSON, nor <top>, nor an id, a tab and a text',
    {
      ...{ file, line: 1 },
      fix: 'Pass --format querygym, beir, topics or jsonl.',
    },
  );
}

function guessJson(text: string, file: string): ReplayFormat {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch {
    return 'jsonl';
  }
  const has = (name: string) => typeof row === 'object' && row !== null && Object.hasOwn(row, name);
  if (has('query') && has('sample') && has('key')) {
    throw new DataError('is a file of expansions of llm-qe', {
      file,
      fix: 'Use it as it is: `llm-qe evaluate --expansions FILE`.',
    });
  }
  return has('_id') && Array.isArray((row as { text?: unknown }).text) ? 'beir' : 'jsonl';
}

async function firstLine(file: string): Promise<string> {
  for await (const { text } of readLines(file)) return text;
  throw new DataError('the file is empty', { file, fix: 'Check the path.' });
}

/** Reads what a file of another program holds, as a stream. @throws DataError that names file, line and id */
export async function* readForeignTexts(
  { file, format, fields, ids }: ForeignFile,
  signal?: AbortSignal,
): AsyncGenerator<ForeignTexts> {
  if (format === 'beir') yield* readBeirExpansions(file, signal);
  else if (format === 'jsonl') yield* readForeignJsonl(file, fields, signal);
  else if (format === 'querygym') yield* readQueryGym(file, ids, signal);
  else if (/^\s*<top>/i.test(await firstLine(file))) yield* readTopics(file, signal);
  else yield* readTopicLines(file, signal);
}
