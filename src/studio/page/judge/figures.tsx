import type { ArmFigures, JudgeFigures } from '../../shapes/judge.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Notice } from '../components/notice.tsx';
import { percent } from './words.ts';

interface FiguresProps {
  address: string;
  /** Undefined: all together. */
  judge: string | undefined;
  version: number;
  /** While somebody judges: whether the figures are wanted, and how to say so. */
  hiding?: { isHidden: boolean; toggle: () => void } | undefined;
}

/** The quality of each search by the grades so far. One who judges sees it on demand alone: who leads would sway the next grade. */
export function Figures({ address, judge, version, hiding }: FiguresProps) {
  const { data, error, reload } = useLoad(
    (signal) =>
      get<JudgeFigures>(`${address}/figures${judge ? `?judge=${encodeURIComponent(judge)}` : ''}`, { signal }),
    [address, judge, version],
  );
  const isThere = data !== undefined && data.queries > 0;
  return (
    <section class="card judge-figures" aria-label="Figures so far">
      <Notice error={error} onRetry={reload} />
      {data?.queries === 0 && <p class="soft">The first grade brings the first figures.</p>}
      {isThere && hiding?.isHidden && <Hidden data={data} />}
      {isThere && !hiding?.isHidden && <Shown data={data} />}
      {isThere && hiding && (
        <div class="actions">
          <Button onClick={hiding.toggle}>{hiding.isHidden ? 'Show the figures' : 'Hide the figures'}</Button>
        </div>
      )}
    </section>
  );
}

/** How much is judged, without a word on which search is better. */
function Hidden({ data: { arms, measure, queries } }: { data: JudgeFigures }) {
  const least = Math.min(...arms.map(({ judged }) => judged));
  return (
    <>
      <p>
        Judged at {measure.split('@')[1]}: <strong>{percent(least)}</strong> of the first results or more, in each
        search, over {queries === 1 ? '1 query' : `${queries} queries`}.
      </p>
      <p class="hint">What the searches score is hidden while you judge, so that it does not sway you.</p>
    </>
  );
}

function Shown({ data }: { data: JudgeFigures }) {
  const { measure, arms, pairs, notes, queries } = data;
  return (
    <>
      <table class="judge-arms">
        <caption>
          {measure} over {queries === 1 ? '1 query' : `${queries} queries, with 95 % intervals`}
        </caption>
        <thead>
          <tr>
            <th scope="col">Search</th>
            <th scope="col">Mean</th>
            <th scope="col">Judged at {measure.split('@')[1]}</th>
          </tr>
        </thead>
        <tbody>
          {arms.map((arm) => (
            <Arm key={arm.name} arm={arm} isAlone={queries === 1} />
          ))}
        </tbody>
      </table>
      {pairs.map(({ retriever, sentence, decision }) => (
        <p key={retriever} class={`judge-sentence ${decision.replaceAll(' ', '-')}`}>
          {sentence}
        </p>
      ))}
      {notes.map((note) => (
        <p key={note} class="hint">
          {note}
        </p>
      ))}
    </>
  );
}

/** @param isAlone of one query there is no interval: that of a bootstrap would be a point, as if nothing were uncertain */
function Arm({ arm: { name, mean, interval, judged }, isAlone }: { arm: ArmFigures; isAlone: boolean }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        <strong>{mean.toFixed(3)}</strong>
        {!isAlone && (
          <span class="soft">
            [{interval[0].toFixed(3)}, {interval[1].toFixed(3)}]
          </span>
        )}
      </td>
      <td>{percent(judged)}</td>
    </tr>
  );
}
