import { z } from 'zod';
import { idSchema, readJsonl } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { checkLength, type ForeignTexts } from './foreign-text.ts';

/** Names of the fields that hold id and text, where the user names none. */
const USUAL = {
  id: ['_id', 'id', 'qid', 'query_id', 'queryId'],
  text: ['text', 'expansion', 'expansions', 'reformulated', 'contents', 'passage'],
};
export type FieldNames = { [Name in keyof typeof USUAL]?: string | undefined };

const line = z.looseObject({});
const texts = z.union([z.string().transform((text) => [text]), z.array(z.string())]);

/**
 * Reads one JSON object a line, with an id and a text, or a list of texts, in fields of any name.
 * @throws DataError that names file, line and field
 */
export async function* readForeignJsonl(
  file: string,
  fields: FieldNames,
  signal?: AbortSignal,
): AsyncGenerator<ForeignTexts> {
  for await (const { value, line: number } of readJsonl(file, line, signal)) {
    const id = pick(value, 'id', fields, idSchema, { file, line: number });
    const found = pick(value, 'text', fields, texts, { file, line: number });
    checkLength(
      found.reduce((sum, text) => sum + text.length, 0),
      { file, line: number, id },
    );
    yield { id, line: number, texts: found };
  }
}

/** Reads BEIR's queries with expansions, `text: [query, e1, ..., eN]`; the first text is the query. @throws DataError */
export async function* readBeirExpansions(file: string, signal?: AbortSignal): AsyncGenerator<ForeignTexts> {
  for await (const record of readForeignJsonl(file, { id: '_id', text: 'text' }, signal)) {
    yield record.texts.length > 1 ? { ...record, texts: record.texts.slice(1) } : record;
  }
}

function pick<T>(
  row: Record<string, unknown>,
  what: keyof FieldNames,
  fields: FieldNames,
  schema: z.ZodType<T>,
  place: { file: string; line: number },
): T {
  const named = fields[what];
  const name = named ?? USUAL[what].find((one) => Object.hasOwn(row, one));
  if (name === undefined || !Object.hasOwn(row, name)) {
    const names = Object.keys(row).slice(0, 12).join(', ');
    throw new DataError(named === undefined ? `no field holds the ${what}` : `the field ${named} is missing`, {
      ...place,
      fix: `Name the fields with --fields id=NAME,text=NAME; this line has ${names === '' ? 'none' : names}.`,
    });
  }
  const parsed = schema.safeParse(row[name]);
  if (parsed.success) return parsed.data;
  throw new DataError(`${name}: ${parsed.error.issues[0]?.message ?? 'is not valid'}`, {
    ...place,
    fix: `The ${what} is ${what === 'id' ? 'a string or a number' : 'a string, or a list of strings'}.`,
  });
}
