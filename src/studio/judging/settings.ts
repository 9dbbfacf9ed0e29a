import { z } from 'zod';
import { idSchema } from '../../files/index.ts';
import { RequestError } from '../../serve/index.ts';

/** Grades are 0 (not relevant) to 3 (perfectly relevant), as in TREC's deep learning tracks. */
export const GRADES = 4;
/** More are no work for people. */
export const MOST_QUERIES = 1000;
/** Longest query, in characters. */
const LONGEST_QUERY = 4000;

/** The name of a session is that of its folder. */
export const sessionName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,59}$/, 'use up to 60 letters (a to z), digits, dots, dashes and underscores');

/** A judge's name is shown, and part of downloads. */
export const judgeName = z
  .string()
  .trim()
  .min(1, 'say who judges')
  .max(60)
  .regex(/^[^\p{Cc}\p{Cf}]*$/u, 'leave out characters that cannot be seen');

const retrievers = z
  .array(z.enum(['dense', 'bm25', 'rrf']))
  .min(1, 'choose at least one search')
  .transform((names) => [...new Set(names)]);

/** What a new session is asked for. */
export const newSessionSchema = z.object({
  name: sessionName,
  corpus: z.string().min(1),
  queries: z.discriminatedUnion('from', [
    z.object({ from: z.literal('corpus'), most: z.int().min(1).max(MOST_QUERIES) }),
    z.object({ from: z.literal('text'), text: z.string() }),
  ]),
  retrievers,
  expand: z.boolean().default(true),
  depth: z.int().min(1).max(100).default(10),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31)
    .default(42),
});

/** A query of a session. */
export const judgedQuerySchema = z.object({ id: idSchema, text: z.string() });
export type JudgedQuery = z.output<typeof judgedQuerySchema>;

/** `session.json`: what a session is, written once. */
export const sessionSettingsSchema = z.object({
  format: z.literal(1),
  corpus: z.string(),
  retrievers,
  expand: z.boolean(),
  depth: z.number(),
  seed: z.number(),
  queries: z.array(judgedQuerySchema).min(1).max(MOST_QUERIES),
});
export type SessionSettings = z.output<typeof sessionSettingsSchema>;

/**
 * Reads queries from lines of text: a query each, after its id and a tab if the line has one. Others are named `own-1` and so on.
 * @throws RequestError that names the line
 */
export function parseQueries(text: string): JudgedQuery[] {
  const queries = new Map<string, string>();
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const tab = line.indexOf('\t');
    const id = (tab < 0 ? `own-${queries.size + 1}` : line.slice(0, tab)).trim();
    const query = line.slice(tab + 1).trim();
    const fault = faultOf(id, query, queries);
    if (fault !== undefined) {
      throw new RequestError(400, `line ${at + 1} of the queries: ${fault}`, { fix: 'Correct it, and send it again.' });
    }
    queries.set(id, query);
  }
  const fix = `Write one query per line, up to ${MOST_QUERIES}.`;
  if (queries.size === 0) throw new RequestError(400, 'there is no query', { fix });
  return [...queries].map(([id, query]) => ({ id, text: query }));
}

function faultOf(id: string, query: string, before: ReadonlyMap<string, string>): string | undefined {
  if (query === '') return 'there is no query behind the tab';
  if (query.length > LONGEST_QUERY) return `it is longer than ${LONGEST_QUERY} characters`;
  if (before.size >= MOST_QUERIES) return `there are more than ${MOST_QUERIES}`;
  if (before.has(id)) return `the id ${JSON.stringify(id.slice(0, 60))} occurs twice`;
  return idSchema.safeParse(id).success ? undefined : 'its id cannot be used';
}
