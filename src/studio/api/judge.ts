import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { RequestError } from '../../serve/index.ts';
import { readBody, readQuery } from '../http/request.ts';
import { agreementOf } from '../judging/agreement.ts';
import { DOWNLOADS, type DownloadName } from '../judging/downloads.ts';
import { figuresOf } from '../judging/figures.ts';
import { cut } from '../judging/pool.ts';
import type { JudgingSession } from '../judging/session.ts';
import { fileOfQueries, JudgingSessions } from '../judging/sessions.ts';
import { GRADES, judgeName, newSessionSchema } from '../judging/settings.ts';
import type {
  EntryKept,
  FoundDocuments,
  JudgeAgreement,
  JudgeFigures,
  JudgeOverview,
  JudgeQuery,
  JudgeSession,
  Undone,
} from '../shapes/judge.ts';
import type { Studio } from '../studio.ts';

const LONGEST_NOTE = 4000;
/** Documents that a search by words shows. */
const MOST_FOUND = 20;

const row = z.int().min(0);
const rowText = z.coerce.number().pipe(row);
const optionalJudge = z.object({ judge: judgeName.optional() });
const byJudge = z.object({ judge: judgeName });
const place = { judge: judgeName, row, document: z.string().min(1) };
const entry = z.union([
  z.strictObject({
    ...place,
    grade: z
      .int()
      .min(0)
      .max(GRADES - 1),
  }),
  z.strictObject({ ...place, skip: z.literal(true) }),
  z.strictObject({ ...place, note: z.string().max(LONGEST_NOTE) }),
]);
const search = z.object({ row: rowText, words: z.string().trim().min(1, 'write a word').max(1000) });

/** `/api/judge`: sessions, their queries, judgements, and what follows from them. */
export function judgeApi(studio: Studio): Hono {
  const app = new Hono();
  const sessions = new JudgingSessions(studio);
  const sessionOf = (context: Context) => sessions.get(context.req.param('name')!);
  app.get('/', async (context) => context.json((await overview(studio, sessions)) satisfies JudgeOverview));
  app.post('/sessions', async (context) => {
    const session = await sessions.create(await readBody(context, newSessionSchema));
    return context.json(describe(session, undefined) satisfies JudgeSession, 201);
  });
  app.get('/sessions/:name', async (context) => {
    const { judge } = readQuery(context, optionalJudge);
    return context.json(describe(await sessionOf(context), judge) satisfies JudgeSession);
  });
  app.post('/sessions/:name/prepare', async (context) => {
    const session = await sessionOf(context);
    sessions.prepare(session);
    return context.json(describe(session, undefined) satisfies JudgeSession);
  });
  app.get('/sessions/:name/queries/:row', async (context) => {
    const { judge } = readQuery(context, byJudge);
    const at = rowText.catch(-1).parse(context.req.param('row'));
    return context.json((await queryOf(await sessionOf(context), at, judge)) satisfies JudgeQuery);
  });
  app.post('/sessions/:name/entries', async (context) => {
    const { judge, row: at, document, ...said } = await readBody(context, entry);
    const session = await sessionOf(context);
    await session.say(judge, at, document, said);
    return context.json(kept(session, judge) satisfies EntryKept);
  });
  app.post('/sessions/:name/undo', async (context) => {
    const { judge } = await readBody(context, byJudge);
    const session = await sessionOf(context);
    const undone = await session.undo(judge);
    return context.json({ ...kept(session, judge), undone } satisfies Undone);
  });
  app.get('/sessions/:name/figures', async (context) => {
    const { judge } = readQuery(context, optionalJudge);
    return context.json(figuresOf(await sessionOf(context), judge) satisfies JudgeFigures);
  });
  app.get('/sessions/:name/agreement', async (context) => {
    return context.json(agreementOf(await sessionOf(context)) satisfies JudgeAgreement);
  });
  app.get('/sessions/:name/find', async (context) => {
    const asked = readQuery(context, search);
    return context.json((await find(studio, await sessionOf(context), asked)) satisfies FoundDocuments);
  });
  app.post('/sessions/:name/found', async (context) => {
    const { judge, row: at, document } = await readBody(context, z.object(place));
    const session = await sessionOf(context);
    const index = await studio.index(session.settings.corpus);
    await session.addFound(judge, at, document, cut(await index.text(document)));
    return context.json(kept(session, judge) satisfies EntryKept);
  });
  app.get('/sessions/:name/download/:file', async (context) => {
    const { judge } = readQuery(context, optionalJudge);
    return download(context, await sessionOf(context), context.req.param('file'), judge);
  });
  return app;
}

async function overview(studio: Studio, sessions: JudgingSessions): Promise<JudgeOverview> {
  const corpora = await Promise.all(
    [...studio.corpora.values()].map(async ({ name, path }) => {
      return { name, hasQueries: (await fileOfQueries(path)) !== undefined };
    }),
  );
  return { folder: sessions.folder, corpora, sessions: await sessions.list() };
}

/** @param judge whose progress is told; undefined: that of nobody */
function describe(session: JudgingSession, judge = ''): JudgeSession {
  const { name, settings, ledger, isPreparing, fault, readyRows } = session;
  const { corpus, retrievers, expand, depth } = settings;
  const judged = (one: string) => readyRows.reduce((sum, at) => sum + ledger.gradesOf(one, at).size, 0);
  return {
    ...{ name, corpus, retrievers, expand, depth, fault, preparing: isPreparing, prepared: readyRows.length },
    ...{ queries: session.list(judge), progress: session.progress(judge), version: ledger.size },
    judges: ledger.judges.map((one) => ({ name: one, judged: judged(one) })),
  };
}

function kept(session: JudgingSession, judge: string): EntryKept {
  return { version: session.ledger.size, progress: session.progress(judge) };
}

async function queryOf(session: JudgingSession, at: number, judge: string): Promise<JudgeQuery> {
  const documents = await session.documents(at, judge);
  const { id, text } = session.settings.queries[at]!;
  return { row: at, id, text, documents };
}

/** Searches the corpus by words, whatever the arms of the session are. */
async function find(
  studio: Studio,
  session: JudgingSession,
  { row: at, words }: z.output<typeof search>,
): Promise<FoundDocuments> {
  const pooled = new Set(session.documentsOf(at));
  const index = await studio.index(session.settings.corpus);
  const hits = await index.firstPass.search(words, { kind: 'bm25', top: MOST_FOUND, signal: studio.signal });
  const documents = await Promise.all(
    hits.map(async ({ id }) => ({ id, text: cut(await index.text(id)).text, isPooled: pooled.has(id) })),
  );
  return { documents };
}

function download(context: Context, session: JudgingSession, file: string, judge: string | undefined): Response {
  if (!Object.hasOwn(DOWNLOADS, file)) {
    const fix = `Choose one of ${Object.keys(DOWNLOADS).join(', ')}.`;
    throw new RequestError(404, 'there is no such download', { fix });
  }
  const text = DOWNLOADS[file as DownloadName](session, judge);
  const type = file.endsWith('.csv') ? 'text/csv' : 'text/plain';
  return context.body(text, 200, {
    'content-type': `${type}; charset=utf-8`,
    'content-disposition': `attachment; filename="${session.name}-${file}"`,
  });
}
