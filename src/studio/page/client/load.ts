import { useEffect, useState } from 'preact/hooks';

/** What was loaded, or why not. While it is loaded again, the last data stay. */
export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  isLoading: boolean;
  reload: () => void;
}

/** Loads something when a component is first shown, and again when one of `inputs` changes; an older answer never replaces a newer one. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[] = []): Loaded<T> {
  const [state, setState] = useState<{ data: T | undefined; error: unknown; isLoading: boolean }>({
    ...{ data: undefined, error: undefined, isLoading: true },
  });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setState((known) => ({ ...known, isLoading: true }));
    load(stop.signal).then(
      (data) => {
        if (!stop.signal.aborted) setState({ data, error: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (!stop.signal.aborted) setState((known) => ({ ...known, error, isLoading: false }));
      },
    );
    return () => stop.abort();
  }, [...inputs, turn]);
  return { ...state, reload: () => setTurn((known) => known + 1) };
}
