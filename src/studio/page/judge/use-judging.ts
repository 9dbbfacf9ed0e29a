import { useEffect, useRef, useState } from 'preact/hooks';
import type { EntryKept, JudgeDocument, JudgeProgress, JudgeQuery, JudgeSession, Undone } from '../../shapes/judge.ts';
import { useLoad } from '../client/load.ts';
import { get, send } from '../client/request.ts';

/** What a judge says of a document. */
export type Said = { grade: number } | { skip: true } | { note: string };

/** A query's results while they are judged. */
export interface JudgingState {
  query: JudgeQuery | undefined;
  error: unknown;
  /** The place of the document that the keys act on. */
  current: number;
  /** Over all queries. */
  progress: JudgeProgress;
  /** Of this query. */
  own: JudgeProgress;
  /** Grows with what is kept. */
  version: number;
  /** Says something of the current document, or of one at a place. @returns whether it was the last open one of the query */
  say: (said: Said, at?: number) => boolean;
  /** @returns the query whose judgement was taken back */
  undo: () => Promise<number | undefined>;
  goTo: (at: number) => void;
  move: (by: number) => void;
  reload: () => void;
}

interface Options {
  session: JudgeSession;
  address: string;
  judge: string;
  row: number | undefined;
}

/**
 * Shows a judgement at once, and sends it; judgements are sent one after another, in order. If one cannot be kept, that is said, and
 * the query is loaded again as the studio has it.
 */
export function useJudging({ session, address, judge, row }: Options): JudgingState {
  const loaded = useLoad(
    async (signal) =>
      row === undefined
        ? undefined
        : get<JudgeQuery>(`${address}/queries/${row}?judge=${encodeURIComponent(judge)}`, { signal }),
    [address, judge, row],
  );
  const [query, setQuery] = useState<JudgeQuery>();
  const [current, setCurrent] = useState(0);
  const [kept, setKept] = useState<EntryKept>({ version: session.version, progress: session.progress });
  const [error, setError] = useState<unknown>();
  const sending = useRef<Promise<unknown>>(Promise.resolve());
  const wanted = useRef<string | undefined>(undefined);
  useEffect(() => {
    const { data } = loaded;
    if (data === undefined) return;
    setQuery(data);
    const named = data.documents.findIndex(({ id }) => id === wanted.current);
    wanted.current = undefined;
    if (named >= 0) setCurrent(named);
    else if (data.row !== query?.row) setCurrent(Math.max(0, data.documents.findIndex(isOpen)));
  }, [loaded.data]);
  useEffect(() => {
    if (session.version >= kept.version) setKept({ version: session.version, progress: session.progress });
  }, [session]);
  const inTurn = <T extends EntryKept>(work: () => Promise<T>): Promise<T | undefined> => {
    const done = sending.current.then(work).then(
      (answer) => {
        setKept(answer);
        setError(undefined);
        return answer;
      },
      (fault: unknown) => {
        setError(fault);
        loaded.reload();
        return undefined;
      },
    );
    sending.current = done;
    return done;
  };
  const say = (said: Said, at = current): boolean => {
    const document = query?.documents[at];
    if (document === undefined || query!.row !== row) return false;
    const documents = query!.documents.map((one, place) => (place === at ? heard(one, said) : one));
    setQuery({ ...query!, documents });
    void inTurn(() => send<EntryKept>('POST', `${address}/entries`, { judge, row, document: document.id, ...said }));
    if ('note' in said) return false;
    const next = nextOpen(documents, at);
    setCurrent(next ?? at);
    return next === undefined;
  };
  const undo = async () => {
    const answer = await inTurn(() => send<Undone>('POST', `${address}/undo`, { judge }));
    wanted.current = answer?.undone?.document;
    if (answer?.undone !== undefined && answer.undone.row === row) loaded.reload();
    return answer?.undone?.row;
  };
  const goTo = (at: number) => setCurrent(Math.min((query?.documents.length ?? 1) - 1, Math.max(0, at)));
  const isShown = query !== undefined && query.row === row;
  return {
    ...{ query: isShown ? query : undefined, error: error ?? loaded.error, current, say, undo, goTo },
    ...{ progress: kept.progress, version: kept.version, own: progressOf(isShown ? query.documents : []) },
    move: (by) => goTo(current + by),
    reload: () => {
      setError(undefined);
      loaded.reload();
    },
  };
}

function heard(document: JudgeDocument, said: Said): JudgeDocument {
  if ('grade' in said) return { ...document, grade: said.grade, isSkipped: false };
  if ('note' in said) return { ...document, note: said.note };
  return { ...document, grade: undefined, isSkipped: true };
}

function isOpen({ grade, isSkipped }: JudgeDocument): boolean {
  return grade === undefined && !isSkipped;
}

function nextOpen(documents: readonly JudgeDocument[], at: number): number | undefined {
  const places = [...documents.keys()];
  return [...places.slice(at + 1), ...places.slice(0, at)].find((place) => isOpen(documents[place]!));
}

function progressOf(documents: readonly JudgeDocument[]): JudgeProgress {
  const judged = documents.filter(({ grade }) => grade !== undefined).length;
  return { documents: documents.length, judged, skipped: documents.filter(({ isSkipped }) => isSkipped).length };
}
