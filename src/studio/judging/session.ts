import { join } from 'node:path';
import { Journal, readJsonFile, readJsonFileIfThere } from '../../files/index.ts';
import { RequestError } from '../../serve/index.ts';
import {
  DataError,
  deriveSeed,
  isAbort,
  LlmQeError,
  Random,
  throwIfAborted,
  writeDurably,
} from '../../system/index.ts';
import type { JudgeDocument, JudgeProgress, ListedQuery } from '../shapes/judge.ts';
import { type Entry, entrySchema, Ledger } from './ledger.ts';
import { type Pooled, type PooledArm, pooledSchema } from './pool.ts';
import { type JudgedQuery, type SessionSettings, sessionSettingsSchema } from './settings.ts';

const SETTINGS_FILE = 'session.json';
const JOURNAL_FILE = 'judgements.jsonl';

/** What is in memory of a query's results; the texts stay on disk. */
interface Prepared {
  arms: PooledArm[];
  expansion: Pick<NonNullable<Pooled['expansion']>, 'state' | 'reason' | 'milliseconds'> | undefined;
  documents: string[];
}

/** Searches a query in all arms. */
export type PoolQuery = (query: JudgedQuery, settings: SessionSettings, signal: AbortSignal) => Promise<Pooled>;

/** The parts of an entry that a judge decides on; the time and the number are added. */
export type Said = { grade: number } | { skip: true } | { note: string };

/**
 * A judging session is a folder: `session.json` (what it is), `pool/N.json` (the results of query N) and `judgements.jsonl`, to which
 * every judgement is appended and flushed before it is answered. Any moment may be the last of the process; opened again, the
 * session is as it was. One process at a time has it open.
 */
export class JudgingSession {
  readonly name: string;
  readonly folder: string;
  readonly settings: SessionSettings;
  readonly ledger = new Ledger();
  readonly #journal: Journal<Entry>;
  readonly #prepared: (Prepared | undefined)[];
  readonly #stop = new AbortController();
  /** The last entry under way; the next waits for it. */
  #tail: Promise<void> = Promise.resolve();
  #preparing: Promise<void> | undefined;
  #fault: { message: string; fix: string } | undefined;

  private constructor(name: string, folder: string, settings: SessionSettings, journal: Journal<Entry>) {
    [this.name, this.folder, this.settings, this.#journal] = [name, folder, settings, journal];
    this.#prepared = settings.queries.map(() => undefined);
    for (const entry of journal.records) this.ledger.add(entry);
  }

  /** Writes a new session. The folder must be there and empty. @throws ResourceError */
  static async create(folder: string, settings: SessionSettings): Promise<void> {
    await writeDurably(join(folder, SETTINGS_FILE), `${JSON.stringify(settings, undefined, 2)}\n`);
  }

  /** @throws DataError for a damaged file; ResourceError if another process has the session open */
  static async open(name: string, folder: string): Promise<JudgingSession> {
    const settings = await readSessionSettings(folder);
    const journal = await Journal.open(join(folder, JOURNAL_FILE), entrySchema);
    try {
      const session = new JudgingSession(name, folder, settings, journal);
      for (const row of settings.queries.keys()) {
        const pooled = await readJsonFileIfThere(session.#fileOf(row), pooledSchema, broken(session.#fileOf(row)));
        if (pooled !== undefined) session.#learn(row, pooled);
      }
      return session;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  get isPreparing(): boolean {
    return this.#preparing !== undefined;
  }

  /** Why the preparation ended before its end. */
  get fault(): { message: string; fix: string } | undefined {
    return this.#fault;
  }

  /** The rows of the queries whose results are there. */
  get readyRows(): number[] {
    return [...this.#prepared.keys()].filter((row) => this.#prepared[row] !== undefined);
  }

  /** @throws RequestError if its results are not there yet, or there is no such query */
  prepared(row: number): Prepared {
    const prepared = this.#prepared[row];
    if (prepared !== undefined) return prepared;
    const isThere = row < this.#prepared.length;
    throw new RequestError(isThere ? 409 : 404, isThere ? 'this query is not searched yet' : 'there is no such query', {
      fix: isThere ? 'Wait, or continue the preparation.' : 'Go back to the list of queries.',
    });
  }

  /** Searches the queries that were not searched yet, in the background; a query is judged as soon as it is there. */
  prepare(pool: PoolQuery, signal: AbortSignal, onQuery: () => void): Promise<void> {
    const either = AbortSignal.any([signal, this.#stop.signal]);
    this.#fault = undefined;
    this.#preparing ??= this.#prepareAll(pool, either, onQuery)
      .catch((error: unknown) => {
        if (!isAbort(error)) this.#fault = faultOf(error);
      })
      .finally(() => {
        this.#preparing = undefined;
      });
    return this.#preparing;
  }

  /** The pooled results and what was found by words, in an order that is one judge's own and tells nothing of the arms. */
  async documents(row: number, judge: string): Promise<JudgeDocument[]> {
    this.prepared(row);
    const pooled = await readJsonFile(this.#fileOf(row), pooledSchema, broken(this.#fileOf(row)));
    const { seed, queries } = this.settings;
    const shuffled = new Random(deriveSeed(seed, queries[row]!.id, judge)).shuffle([...pooled.documents]);
    const tell = (document: Pooled['documents'][number], isFound: boolean): JudgeDocument => ({
      ...document,
      ...this.ledger.opinion(judge, row, document.id),
      isFound,
    });
    return [
      ...shuffled.map((document) => tell(document, false)),
      ...this.ledger.foundOf(row).map((document) => tell(document, true)),
    ];
  }

  /** Keeps what a judge says of a document that is among the query's. Once it resolves, it is on the disk. @throws RequestError */
  async say(judge: string, row: number, document: string, said: Said): Promise<void> {
    if (!this.holds(row, document)) {
      const fix = 'Reload the page, or add the document by a search.';
      throw new RequestError(404, 'this document is not among the results of the query', { fix });
    }
    const place = { at: now(), judge, row, document };
    await this.#keep(() => {
      if ('grade' in said) return { kind: 'grade', ...place, grade: said.grade };
      return 'note' in said ? { kind: 'note', ...place, note: said.note } : { kind: 'skip', ...place };
    });
  }

  /** Adds a document that no arm found to a query. */
  async addFound(judge: string, row: number, document: string, text: { text: string; isCut: boolean }): Promise<void> {
    await this.#keep(() =>
      this.holds(row, document) ? undefined : { kind: 'found', at: now(), judge, row, document, ...text },
    );
  }

  /** Takes back this judge's last statement that stands, in whatever tab it was made. */
  async undo(judge: string): Promise<{ row: number; document: string } | undefined> {
    let last: ReturnType<Ledger['lastOf']>;
    await this.#keep(() => {
      last = this.ledger.lastOf(judge);
      return last && { kind: 'undo', at: now(), judge, entry: last.number };
    });
    return last && { row: last.entry.row, document: last.entry.document };
  }

  /** Whether a document is among those of a query. */
  holds(row: number, document: string): boolean {
    return this.documentsOf(row).includes(document);
  }

  /** Ids of the documents to judge for a query. */
  documentsOf(row: number): string[] {
    return [...this.prepared(row).documents, ...this.ledger.foundOf(row).map(({ id }) => id)];
  }

  list(judge: string): ListedQuery[] {
    return this.settings.queries.map(({ id, text }, row) => {
      const isReady = this.#prepared[row] !== undefined;
      const progress = isReady ? this.ledger.progressOf(judge, row, this.documentsOf(row)) : NOTHING;
      return { row, id, text, isReady, ...progress };
    });
  }

  progress(judge: string): JudgeProgress {
    return this.list(judge).reduce(
      (sum, { documents, judged, skipped }) => ({
        documents: sum.documents + documents,
        judged: sum.judged + judged,
        skipped: sum.skipped + skipped,
      }),
      NOTHING,
    );
  }

  /** Stops a preparation, which the next opening can continue, and releases the folder. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#preparing;
    await this.#journal.close();
  }

  async #prepareAll(pool: PoolQuery, signal: AbortSignal, onQuery: () => void): Promise<void> {
    for (const [row, query] of this.settings.queries.entries()) {
      if (this.#prepared[row] === undefined) {
        throwIfAborted(signal);
        const pooled = await pool(query, this.settings, signal);
        await writeDurably(this.#fileOf(row), `${JSON.stringify(pooled)}\n`);
        this.#learn(row, pooled);
      }
      onQuery();
    }
  }

  /**
   * Appends an entry and flushes it. Entries are decided on one after another, since an undo depends on those before; memory follows
   * the disk, so that what could not be written was not said.
   */
  async #keep(decide: () => Entry | undefined): Promise<void> {
    const kept = this.#tail.then(async () => {
      const entry = decide();
      if (entry === undefined) return;
      await this.#journal.append(entry);
      this.ledger.add(entry);
    });
    this.#tail = kept.catch(() => {});
    await kept;
    await this.#journal.flush();
  }

  #learn(row: number, { arms, expansion, documents }: Pooled): void {
    this.#prepared[row] = { arms, expansion, documents: documents.map(({ id }) => id) };
  }

  #fileOf(row: number): string {
    return join(this.folder, 'pool', `${row}.json`);
  }
}

const NOTHING: JudgeProgress = { documents: 0, judged: 0, skipped: 0 };

/** @throws DataError if it is missing or damaged */
export function readSessionSettings(folder: string): Promise<SessionSettings> {
  const file = join(folder, SETTINGS_FILE);
  return readJsonFile(file, sessionSettingsSchema, broken(file));
}

/** The file whose time tells when a session last changed. */
export function journalOf(folder: string): string {
  return join(folder, JOURNAL_FILE);
}

function broken(file: string) {
  return (cause: unknown) =>
    new DataError('is damaged', { file, fix: 'Restore it from a copy, or begin another session.', cause });
}

function faultOf(error: unknown): { message: string; fix: string } {
  if (error instanceof LlmQeError || error instanceof RequestError) return { message: error.message, fix: error.fix };
  return { message: 'the preparation failed', fix: 'See what `llm-qe studio` printed, and continue.' };
}

function now(): string {
  return new Date().toISOString();
}
