import type { ArmFigures, JudgeFigures } from '../../shapes/judge.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Notice } from '../components/notice.tsx';
import { percent } from './words.ts';

/** The quality of each search by the grades so far. @param judge undefined: all together */
export function Figures({ address, judge, version }: { address: string; judge: string | undefined; version: number }) {
  const { data, error, reload } = useLoad(
    (signal) =>
      get<JudgeFigures>(`${address}/figures${judge ? `?judge=${encodeURIComponent(judge)}` : ''}`, { signal }),
    [address, judge, version],
  );
  return (
    <section class="card judge-figures" aria-label="Figures so far">
      <Notice error={error} onRetry={reload} />
      {data?.queries === 0 && <p class="soft">The first grade brings the first figures.</p>}
      {data !== undefined && data.queries > 0 && <Shown data={data} />}
    </section>
  );
}

function Shown({ data }: { data: JudgeFigures }) {
  const { measure, arms, pairs, notes, queries } = data;
  return (
    <>
      <table class="judge-arms">
        <caption>
          {measure} over {queries === 1 ? '1 query' : `${queries} queries`}, with 95 % intervals
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
            <Arm key={arm.name} arm={arm} />
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

function Arm({ arm: { name, mean, interval, judged } }: { arm: ArmFigures }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        <strong>{mean.toFixed(3)}</strong>
        <span class="soft">
          [{interval[0].toFixed(3)}, {interval[1].toFixed(3)}]
        </span>
      </td>
      <td>{percent(judged)}</td>
    </tr>
  );
}
