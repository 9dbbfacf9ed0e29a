import { type Context, Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { choose } from '../evaluations/choose.ts';
import { compareQueriesOf } from '../evaluations/comparison.ts';
import { EXPORTS, type ExportName, exportOf } from '../evaluations/exports.ts';
import { listEvaluations } from '../evaluations/list-evaluations.ts';
import { viewQuery } from '../evaluations/query-view.ts';
import { EvaluationShelf } from '../evaluations/shelf.ts';
import { readQuery } from '../http/request.ts';
import type { EvaluationList, QueryComparison, QueryView } from '../shapes/queries.ts';
import type { Studio } from '../studio.ts';

const name = z.string().min(1).max(1000);
const asked = {
  evaluation: name.describe('id of the evaluation'),
  a: name.optional(),
  b: name.optional(),
  measure: z.string().max(50).optional(),
};
const comparisonSchema = z.object({
  ...asked,
  persistence: z.coerce.number().min(0.5).max(0.99).default(0.9),
  depth: z.coerce.number().int().min(10).max(100).default(100),
});
const querySchema = z.object({ ...asked, id: name, top: z.coerce.number().int().min(1).max(100).default(10) });
const exportSchema = z.object(asked);
const exportName = z.enum(Object.keys(EXPORTS) as [ExportName, ...ExportName[]]);
/** Lines of a file are sent in pieces of about so many characters. */
const PIECE = 2 ** 16;

/** `/api/queries`: evaluations, query by query. */
export function queriesApi({ options, corpora }: Studio): Hono {
  const app = new Hono();
  const shelf = new EvaluationShelf(
    options.runs,
    [...corpora.values()].map(({ path }) => path),
  );
  app.get('/', async (context) => {
    const evaluations = await listEvaluations(options.runs);
    return context.json({
      folder: options.runs,
      evaluations: evaluations.map(({ id, kind, changedAt }) => ({ id, kind, changedAt })),
    } satisfies EvaluationList);
  });
  app.get('/comparison', async (context) => {
    const { evaluation, persistence, depth, ...rest } = readQuery(context, comparisonSchema);
    const opened = await shelf.open(evaluation);
    return context.json((await compareQueriesOf(opened, rest, { persistence, depth })) satisfies QueryComparison);
  });
  app.get('/query', async (context) => {
    const { evaluation, ...rest } = readQuery(context, querySchema);
    return context.json((await viewQuery(await shelf.open(evaluation), rest)) satisfies QueryView);
  });
  app.get('/export/:name', async (context) => {
    const parsed = exportName.safeParse(context.req.param('name'));
    if (!parsed.success) return context.notFound();
    const { evaluation, ...rest } = readQuery(context, exportSchema);
    const opened = await shelf.open(evaluation);
    return download(context, parsed.data, await exportOf(opened, choose(opened, rest), parsed.data));
  });
  return app;
}

/** Answers with a file to keep. Its name is ours, and the browser is told not to guess its type. */
function download(context: Context, which: ExportName, pieces: Iterable<string>): Response {
  const { type, file } = EXPORTS[which];
  context.header('content-type', `${type}; charset=utf-8`);
  context.header('content-disposition', `attachment; filename="${file}"`);
  return stream(context, async (out) => {
    let piece = '';
    for (const text of pieces) {
      piece += text;
      if (piece.length < PIECE) continue;
      await out.write(piece);
      piece = '';
    }
    await out.write(piece);
  });
}
