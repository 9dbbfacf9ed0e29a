import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readQueries } from '../../data/index.ts';
import { JUDGING_FOLDER } from '../../pipeline/index.ts';
import { createExpander, RequestError } from '../../serve/index.ts';
import { DataError, isThere, makeFolder, Random, systemFault, UsageError } from '../../system/index.ts';
import type { ListedSession } from '../shapes/judge.ts';
import type { Studio } from '../studio.ts';
import { Warm } from '../warm.ts';
import { poolQuery } from './pool.ts';
import { JudgingSession, journalOf, type PoolQuery, readSessionSettings } from './session.ts';
import { type JudgedQuery, MOST_QUERIES, type newSessionSchema, parseQueries, sessionName } from './settings.ts';

type NewSession = ReturnType<typeof newSessionSchema.parse>;

/** The judging sessions of a studio: folders beside its runs. Each is opened when it is first asked for, and closed with the studio. */
export class JudgingSessions {
  readonly folder: string;
  readonly #studio: Studio;
  readonly #open = new Map<string, Warm<JudgingSession>>();
  #isClosed = false;

  constructor(studio: Studio) {
    this.#studio = studio;
    this.folder = join(studio.options.runs, JUDGING_FOLDER);
    studio.closeFirst(() => this.close());
  }

  /** The last changed first. Folders that are no sessions are left out. */
  async list(): Promise<ListedSession[]> {
    const found = await readdir(this.folder, { withFileTypes: true }).catch(() => []);
    const named = found.filter((one) => one.isDirectory() && sessionName.safeParse(one.name).success);
    const sessions = await Promise.all(named.map(({ name }) => this.#describe(name)));
    return sessions.filter((one) => one !== undefined).sort((a, b) => b.changedAt - a.changedAt);
  }

  /** @throws RequestError if there is none; what {@link JudgingSession.open} throws */
  async get(name: string): Promise<JudgingSession> {
    const folder = this.#folderOf(name);
    if (this.#isClosed || folder === undefined || !(await isThere(folder))) {
      throw new RequestError(404, 'there is no such session', { fix: 'Go back to the list of sessions.' });
    }
    const known = this.#open.get(name) ?? new Warm(() => JudgingSession.open(name, folder));
    this.#open.set(name, known);
    return known.open();
  }

  /** Begins a session and searches its queries in the background. @throws RequestError; DataError for a broken file of queries */
  async create(asked: NewSession): Promise<JudgingSession> {
    const { name, corpus, retrievers, expand, depth, seed } = asked;
    const queries = await this.#queriesOf(asked);
    const folder = this.#folderOf(name)!;
    await makeFolder(this.folder);
    // Two tabs may ask for one name: the folder can be made only once.
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw systemFault(error, folder);
      throw new RequestError(409, `there is a session ${name}`, { fix: 'Choose another name, or open it.' });
    });
    await JudgingSession.create(folder, { format: 1, corpus, retrievers, expand, depth, seed, queries });
    const session = await this.get(name);
    this.prepare(session);
    return session;
  }

  /** Searches the queries that are not searched yet, in the background. @throws RequestError if the corpus is not open here */
  prepare(session: JudgingSession): void {
    const { settings } = session;
    this.#studio.corpus(settings.corpus);
    if (session.isPreparing || session.readyRows.length === settings.queries.length) return;
    const { progress, signal } = this.#studio.options;
    const task = progress.task(`searching for ${session.name}`, settings.queries.length, 'queries');
    void session.prepare(this.#pool(settings.expand), signal, () => task.advance()).finally(() => task.done());
  }

  /** Closes what is open: a preparation stops, and can be continued. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const one of this.#open.values()) await one.close();
  }

  /**
   * Expansions are written anew, and not taken from the cache: their time is what a searcher would wait for.
   */
  #pool(expand: boolean): PoolQuery {
    const studio = this.#studio;
    const { prompt, sampling, samples, seed } = studio.options;
    const expander = new Warm(async () => {
      const [encoder, generator] = [await studio.encoder.open(), await studio.generator.open()];
      return createExpander({ ...{ encoder, generator, prompt, sampling, samples, seed }, store: false });
    });
    return async (query, settings, signal) => {
      const index = await studio.index(settings.corpus);
      return poolQuery(query, settings, { index, expander: expand ? await expander.open() : undefined, signal });
    };
  }

  async #queriesOf({ corpus, queries, seed }: NewSession): Promise<JudgedQuery[]> {
    const { path } = this.#studio.corpus(corpus);
    if (queries.from === 'text') return parseQueries(queries.text);
    const file = await fileOfQueries(path);
    if (file === undefined) {
      const fix = 'Write the queries yourself.';
      throw new RequestError(404, `the corpus ${corpus} has no file of queries`, { fix });
    }
    const all = [...(await readQueries(file, this.#studio.signal)).values()].filter(({ text }) => text.trim() !== '');
    const rows = new Random(seed).shuffle([...all.keys()]).slice(0, Math.min(queries.most, MOST_QUERIES));
    return rows.sort((a, b) => a - b).map((row) => ({ id: all[row]!.id, text: all[row]!.text }));
  }

  async #describe(name: string): Promise<ListedSession | undefined> {
    const folder = join(this.folder, name);
    try {
      const { corpus, queries, retrievers } = await readSessionSettings(folder);
      const { mtimeMs } = await stat(journalOf(folder)).catch(() => stat(folder));
      return { name, corpus, queries: queries.length, retrievers, changedAt: mtimeMs };
    } catch (error) {
      if (error instanceof DataError || error instanceof UsageError) return undefined;
      throw error;
    }
  }

  /** Undefined for what cannot be the name of a session. */
  #folderOf(name: string): string | undefined {
    return sessionName.safeParse(name).success ? join(this.folder, name) : undefined;
  }
}

/** The queries beside a corpus in BEIR's layout; undefined if there are none. */
export async function fileOfQueries(path: string): Promise<string | undefined> {
  for (const name of ['queries.jsonl', 'queries.jsonl.gz']) {
    const file = join(path, name);
    if (await isThere(file)) return file;
  }
  return undefined;
}
