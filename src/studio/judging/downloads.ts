import { beirQrelsLines, trecQrelsLines } from '../../data/index.ts';
import { qrelsOf } from './figures.ts';
import type { JudgingSession } from './session.ts';

/** The files that a session can be taken away as: name and content. */
export const DOWNLOADS = {
  'qrels.trec': (session: JudgingSession, judge: string | undefined) =>
    asText(trecQrelsLines('qrels.trec', qrelsOf(session, judge))),
  'qrels.tsv': (session: JudgingSession, judge: string | undefined) =>
    asText(beirQrelsLines('qrels.tsv', qrelsOf(session, judge))),
  'notes.csv': (session: JudgingSession, judge: string | undefined) => asText(noteLines(session, judge), '\r\n'),
} as const;
export type DownloadName = keyof typeof DOWNLOADS;

function* noteLines({ ledger, settings, readyRows }: JudgingSession, judge: string | undefined): Generator<string> {
  yield 'judge,query_id,query,document_id,grade,note';
  for (const one of judge === undefined ? ledger.judges : [judge]) {
    for (const row of readyRows) {
      const { id, text } = settings.queries[row]!;
      for (const document of ledger.documentsOf(one, row)) {
        const { grade, note } = ledger.opinion(one, row, document);
        if (note !== '') yield [one, id, text, document, `${grade ?? ''}`, note].map(csvCell).join(',');
      }
    }
  }
}

/**
 * Quotes a cell (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it, so that a hostile text cannot
 * compute there.
 */
function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function asText(lines: Iterable<string>, end = '\n'): string {
  return [...lines].map((line) => `${line}${end}`).join('');
}
