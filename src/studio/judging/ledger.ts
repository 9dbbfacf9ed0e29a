import { z } from 'zod';
import type { JudgeProgress } from '../shapes/judge.ts';
import { GRADES, judgeName } from './settings.ts';

const place = { at: z.string(), judge: judgeName, row: z.int().min(0), document: z.string().min(1) };

/** A line of `judgements.jsonl`. Nothing is ever changed in it: an undo is a line, too. */
export const entrySchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('grade'),
    ...place,
    grade: z
      .int()
      .min(0)
      .max(GRADES - 1),
  }),
  z.object({ kind: z.literal('skip'), ...place }),
  z.object({ kind: z.literal('note'), ...place, note: z.string() }),
  /** A document that no arm found joins the query's. */
  z.object({ kind: z.literal('found'), ...place, text: z.string(), isCut: z.boolean() }),
  /** Takes back the entry with this number, from 0. */
  z.object({ kind: z.literal('undo'), at: z.string(), judge: judgeName, entry: z.int().min(0) }),
]);
export type Entry = z.output<typeof entrySchema>;
type Statement = Exclude<Entry, { kind: 'undo' | 'found' }>;

/** What a judge says of a document. */
export interface Opinion {
  grade?: number | undefined;
  isSkipped: boolean;
  note: string;
}

/** A document that a judge found by words. */
export interface FoundText {
  id: string;
  text: string;
  isCut: boolean;
}

const NONE: Opinion = { isSkipped: false, note: '' };

/**
 * What the entries of a journal say together. A later grade replaces an earlier one of the same judge; an undone entry never was.
 */
export class Ledger {
  readonly #entries: Entry[] = [];
  readonly #undone = new Set<number>();
  /** Numbers of the statements that stand, in order: judge → row → document. */
  readonly #statements = new Map<string, Map<number, Map<string, number[]>>>();
  readonly #found = new Map<number, Map<string, FoundText>>();

  /** Number of entries. */
  get size(): number {
    return this.#entries.length;
  }

  get judges(): string[] {
    return [...this.#statements.keys()];
  }

  add(entry: Entry): void {
    const number = this.#entries.push(entry) - 1;
    if (entry.kind === 'undo') this.#takeBack(entry.entry);
    else if (entry.kind === 'found') this.#find(entry);
    else this.#numbers(entry.judge, entry.row, entry.document).push(number);
  }

  /** Returns the number and the entry that this judge's next undo takes back. */
  lastOf(judge: string): { number: number; entry: Statement } | undefined {
    for (let number = this.#entries.length - 1; number >= 0; number--) {
      const entry = this.#entries[number]!;
      if (entry.judge !== judge || entry.kind === 'undo' || entry.kind === 'found') continue;
      if (!this.#undone.has(number)) return { number, entry };
    }
    return undefined;
  }

  opinion(judge: string, row: number, document: string): Opinion {
    const numbers = this.#statements.get(judge)?.get(row)?.get(document);
    return numbers === undefined ? NONE : numbers.map((one) => this.#entries[one]!).reduce(heard, NONE);
  }

  /** Documents of a query with something said about them by a judge. */
  documentsOf(judge: string, row: number): string[] {
    return [...(this.#statements.get(judge)?.get(row)?.keys() ?? [])];
  }

  /** Grades of a judge for a query. */
  gradesOf(judge: string, row: number): Map<string, number> {
    const grades = new Map<string, number>();
    for (const document of this.documentsOf(judge, row)) {
      const { grade } = this.opinion(judge, row, document);
      if (grade !== undefined) grades.set(document, grade);
    }
    return grades;
  }

  foundOf(row: number): FoundText[] {
    return [...(this.#found.get(row)?.values() ?? [])];
  }

  /** How far a judge is with the documents of a query. */
  progressOf(judge: string, row: number, documents: readonly string[]): JudgeProgress {
    const progress = { documents: documents.length, judged: 0, skipped: 0 };
    const known = this.#statements.get(judge)?.get(row);
    if (known === undefined) return progress;
    for (const document of documents) {
      const { grade, isSkipped } = this.opinion(judge, row, document);
      if (grade !== undefined) progress.judged++;
      else if (isSkipped) progress.skipped++;
    }
    return progress;
  }

  #takeBack(number: number): void {
    const entry = this.#entries[number];
    if (entry === undefined || entry.kind === 'undo' || entry.kind === 'found') return;
    this.#undone.add(number);
    const numbers = this.#numbers(entry.judge, entry.row, entry.document);
    const at = numbers.indexOf(number);
    if (at >= 0) numbers.splice(at, 1);
  }

  #find({ row, document, text, isCut }: Extract<Entry, { kind: 'found' }>): void {
    const found = this.#found.get(row) ?? new Map<string, FoundText>();
    found.set(document, { id: document, text, isCut });
    this.#found.set(row, found);
  }

  #numbers(judge: string, row: number, document: string): number[] {
    const rows = this.#statements.get(judge) ?? new Map<number, Map<string, number[]>>();
    this.#statements.set(judge, rows);
    const documents = rows.get(row) ?? new Map<string, number[]>();
    rows.set(row, documents);
    const numbers = documents.get(document) ?? [];
    documents.set(document, numbers);
    return numbers;
  }
}

/** A grade ends a skip, and a skip takes back a grade; a note leaves both. */
function heard(before: Opinion, entry: Entry): Opinion {
  if (entry.kind === 'grade') return { ...before, grade: entry.grade, isSkipped: false };
  if (entry.kind === 'skip') return { note: before.note, isSkipped: true };
  return entry.kind === 'note' ? { ...before, note: entry.note } : before;
}
