import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { TryRank, TryRankings } from '../../shapes/try.ts';
import { send } from '../client/request.ts';

/** Rankings, and what was asked for them. While newer ones are awaited, the last stay. */
export interface RankingsState {
  shown: { asked: TryRank; rankings: TryRankings } | undefined;
  error: unknown;
  isPending: boolean;
}

/**
 * Ranks whenever what is asked for changes. One request is under way at a time; when it is answered, the latest wish goes next, so that
 * a slider is followed as fast as the server answers and no request queues behind others.
 */
export function useRankings(asked: TryRank | undefined): RankingsState & { retry: () => void } {
  const [state, setState] = useState<RankingsState>({ shown: undefined, error: undefined, isPending: false });
  const [turn, setTurn] = useState(0);
  const latest = useRef<{ asked: TryRank | undefined; isBusy: boolean; leave: AbortController } | undefined>(undefined);
  latest.current ??= { asked: undefined, isBusy: false, leave: new AbortController() };
  // Before the screen is painted: an effect of the other kind would ask a frame later.
  useLayoutEffect(() => {
    const wish = latest.current!;
    wish.asked = asked;
    if (asked === undefined) {
      setState({ shown: undefined, error: undefined, isPending: false });
      return;
    }
    setState((known) => ({ ...known, isPending: true }));
    if (!wish.isBusy) void follow(wish, setState);
  }, [asked && JSON.stringify(asked), turn]);
  useEffect(() => () => latest.current!.leave.abort(), []);
  return { ...state, retry: () => setTurn((known) => known + 1) };
}

async function follow(
  wish: { asked: TryRank | undefined; isBusy: boolean; leave: AbortController },
  setState: (change: RankingsState | ((known: RankingsState) => RankingsState)) => void,
): Promise<void> {
  wish.isBusy = true;
  try {
    for (let asked = wish.asked; asked !== undefined; ) {
      const own = asked;
      const answer = await send<TryRankings>('POST', '/api/try/rank', own, { signal: wish.leave.signal }).then(
        (rankings) => ({ rankings }),
        (error: unknown) => ({ error }),
      );
      if (wish.leave.signal.aborted) return;
      const isLast = wish.asked === own;
      if ('rankings' in answer) {
        const { rankings } = answer;
        if (wish.asked !== undefined) {
          setState({ shown: { asked: own, rankings }, error: undefined, isPending: !isLast });
        }
      } else setState((known) => ({ ...known, error: isLast ? answer.error : undefined, isPending: !isLast }));
      asked = isLast ? undefined : wish.asked;
    }
  } finally {
    wish.isBusy = false;
  }
}
