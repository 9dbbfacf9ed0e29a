import { z } from 'zod';
import { duplicateId, IdSet, idSchema, readJsonl } from '../../files/index.ts';
import { contentKey } from '../../system/index.ts';
import { type EmptyBecause, writtenFacts } from './alignment-records.ts';
import { echoQuerySchema } from './echo.ts';

/** A document of a training row. The id, if there is one, is the document's id in its corpus. */
export interface RetrieverPassage {
  id?: string | undefined;
  text: string;
}

/** One line of `retriever.jsonl`: a query, what an LLM wrote for it, and relevant and irrelevant documents. */
export interface RetrieverRow {
  id: string;
  /** Empty if the row holds only the pseudo-document. */
  query: string;
  expansions: string[];
  positives: RetrieverPassage[];
  negatives: RetrieverPassage[];
  /** A teacher's score for each document, for distillation. */
  scores?: { positives: number[]; negatives: number[] } | undefined;
  /** Why there are no expansions, if that is known. */
  emptyBecause?: EmptyBecause | undefined;
}

/** The layouts in which training rows are published. */
export const RETRIEVER_LAYOUTS = ['llm-qe', 'LLM-QE', 'ExpandR', 'triples'] as const;
export type RetrieverLayout = (typeof RETRIEVER_LAYOUTS)[number];

const score = z.number().refine(Number.isFinite, 'expected a finite number');
const passageSchema = z.object({ id: idSchema.optional(), text: z.string() });
const texts = z.union([z.string().transform((text) => [text]), z.array(z.string())], {
  error: 'expected a text, or a list of texts',
});

/** A row in this project's own layout, which is the one that is written. */
export const retrieverRowSchema: z.ZodType<RetrieverRow> = z
  .object({
    id: idSchema.optional(),
    query: z.string(),
    expansions: z.array(z.string()).default([]),
    positives: z.array(passageSchema),
    negatives: z.array(passageSchema).default([]),
    scores: z.object({ positives: z.array(score), negatives: z.array(score) }).optional(),
    emptyBecause: writtenFacts.emptyBecause,
  })
  .transform((row, context) => {
    for (const side of ['positives', 'negatives'] as const) {
      const [scores, documents] = [row.scores?.[side].length ?? row[side].length, row[side].length];
      if (scores === documents) continue;
      const message = `${scores} scores for ${documents} documents`;
      context.addIssue({ code: 'custom', path: ['scores', side], message });
    }
    return { ...row, id: row.id ?? idOf(row.query, row.expansions, row.positives, row.negatives) };
  });

/** LLM-QE's published rows: `query` is only the pseudo-document. */
const llmQeSchema = z
  .object({ id: idSchema.optional(), query: z.string(), pos: texts, neg: texts.default([]) })
  .transform(({ id, query, pos, neg }) => rowOf({ id, query: '', expansions: [query] }, pos, neg));

/** ExpandR's rows: query and pseudo-document are separate. */
const expandrSchema = z
  .object({ id: idSchema.optional(), query: z.string(), pseudo_doc: texts, pos: texts, neg: texts.default([]) })
  .transform(({ id, query, pseudo_doc, pos, neg }) => rowOf({ id, query, expansions: pseudo_doc }, pos, neg));

/** Triples, and rows of the Echo data, whose passages may be lists and whose query may come with an instruction. */
const anyTripleSchema = z
  .object({ id: idSchema.optional(), query: echoQuerySchema, positive: texts, negative: texts.default([]) })
  .transform(({ id, query, positive, negative }) => rowOf({ id, query, expansions: [] }, positive, negative));

const SCHEMAS: Record<RetrieverLayout, z.ZodType<RetrieverRow>> = {
  'llm-qe': retrieverRowSchema,
  'LLM-QE': llmQeSchema,
  ExpandR: expandrSchema,
  triples: anyTripleSchema,
};

/** A row in any layout, which is recognised by fields that only that layout has. */
const anyRowSchema = z.looseObject({}).transform((row, context): { row: RetrieverRow; hasId: boolean } => {
  if (!['positives', 'pos', 'positive'].some((name) => name in row)) {
    context.addIssue({
      code: 'custom',
      message: 'not a training row: the field positives (or pos, or positive) is missing',
    });
    return z.NEVER;
  }
  const parsed = SCHEMAS[layoutOf(row)].safeParse(row);
  if (parsed.success) return { row: parsed.data, hasId: row.id !== undefined };
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});

/** Returns a row's layout, recognised by its fields. Unknown fields count as this project's own layout. */
export function layoutOf(row: Readonly<Record<string, unknown>>): RetrieverLayout {
  if ('positives' in row) return 'llm-qe';
  if ('pseudo_doc' in row) return 'ExpandR';
  if ('pos' in row) return 'LLM-QE';
  return 'positive' in row ? 'triples' : 'llm-qe';
}

/**
 * Reads training rows as a stream. Each row may have this project's layout, LLM-QE's, ExpandR's, or be a triple or a row of
 * the Echo data: its fields decide. A row without an id gets one derived from its content, so equal rows share it (`isRepeated`).
 *
 * @throws DataError that names the line of a row without a known layout, or of a second row with an id
 */
export async function* readRetrieverRows(
  file: string,
  signal?: AbortSignal,
): AsyncGenerator<{ row: RetrieverRow; isRepeated: boolean }> {
  const seen = new IdSet();
  for await (const { value, line } of readJsonl(file, anyRowSchema, signal)) {
    const { row, hasId } = value;
    const isRepeated = !seen.add(row.id);
    if (isRepeated && hasId) throw duplicateId(file, line, row.id, 'row');
    yield { row, isRepeated };
  }
}

/** What stands for a row's query wherever queries are compared: its text; without one, its expansions. */
export function queryTextOf({ query, expansions }: Pick<RetrieverRow, 'query' | 'expansions'>): string {
  return (query.trim() === '' ? expansions.join('\n') : query).trim();
}

function rowOf(
  { id, ...side }: Pick<RetrieverRow, 'query' | 'expansions'> & { id: string | undefined },
  positives: readonly string[],
  negatives: readonly string[],
): RetrieverRow {
  const passages = (some: readonly string[]): RetrieverPassage[] => some.map((text) => ({ text }));
  const row = { ...side, positives: passages(positives), negatives: passages(negatives) };
  return { id: id ?? idOf(row.query, row.expansions, row.positives, row.negatives), ...row };
}

function idOf(...content: unknown[]): string {
  return contentKey(content).slice(0, 16);
}
