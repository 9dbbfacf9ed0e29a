import { useEffect, useRef, useState } from 'preact/hooks';
import type { TryExpand, TryTexts, TryWritten } from '../../shapes/try.ts';
import { stream } from '../client/events.ts';

/** The expansions of an arm as they stand. */
export interface Writing {
  state: 'none' | 'writing' | 'written' | 'stopped' | 'failed';
  /** // [samples] */
  texts: readonly string[];
  error: unknown;
  /** What the server told at the end. */
  facts: TryWritten | undefined;
}

export interface ArmWriting extends Writing {
  stop: () => void;
  retry: () => void;
}

const NONE: Writing = { state: 'none', texts: [], error: undefined, facts: undefined };

/**
 * Lets an arm write the expansions of a query, and follows its texts. Another query, writer or prompt begins anew; leaving the screen
 * ends the request. Fewer expansions are the first of those that are there.
 */
export function useWriting(asked: TryExpand | undefined): ArmWriting {
  const [writing, setWriting] = useState<Writing>(NONE);
  const [turn, setTurn] = useState(0);
  const stop = useRef<AbortController | undefined>(undefined);
  const done = useRef<{ key: string; written: TryWritten } | undefined>(undefined);
  const key = asked && JSON.stringify([asked.query, asked.writer, asked.prompt]);
  const samples = asked?.samples ?? 0;
  useEffect(() => {
    if (asked === undefined) {
      setWriting(NONE);
      return;
    }
    const before = done.current;
    if (before !== undefined && before.key === key && before.written.texts.length >= samples) {
      const texts = before.written.texts.slice(0, samples);
      setWriting({ state: 'written', texts, error: undefined, facts: before.written });
      return;
    }
    const own = new AbortController();
    stop.current = own;
    setWriting({ ...NONE, state: 'writing' });
    const follow = async () => {
      for await (const { event, data } of stream('/api/try/expand', asked, own.signal)) {
        if (own.signal.aborted) return;
        const { texts } = data as TryTexts;
        const written = event === 'written' ? (data as TryWritten) : undefined;
        if (written !== undefined) done.current = { key: key!, written };
        setWriting({ state: written ? 'written' : 'writing', texts, error: undefined, facts: written });
      }
    };
    follow().catch((error: unknown) => {
      if (!own.signal.aborted) setWriting((known) => ({ ...known, state: 'failed', error }));
    });
    return () => own.abort();
  }, [key, samples, turn]);
  return {
    ...writing,
    stop() {
      stop.current?.abort();
      setWriting((known) => (known.state === 'writing' ? { ...known, state: 'stopped' } : known));
    },
    retry: () => setTurn((known) => known + 1),
  };
}
