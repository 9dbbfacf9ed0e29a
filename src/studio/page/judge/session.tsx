import { useEffect, useState } from 'preact/hooks';
import type { JudgeSession } from '../../shapes/judge.ts';
import { useLoad } from '../client/load.ts';
import { get, send } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Field } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { Progress } from '../components/progress.tsx';
import { place, setParams } from '../shell/place.ts';
import { Agreement } from './agreement.tsx';
import { Judging } from './judging.tsx';
import { Results } from './results.tsx';

const VIEWS = { judge: 'Judge', results: 'Results', agreement: 'Agreement' } as const;
type View = keyof typeof VIEWS;
const POLL_MS = 1000;

/** One session: who judges, how far it is, and its three views. */
export function Session({ name }: { name: string }) {
  const judge = place.value.params.get('judge') ?? localStorage.getItem('judge') ?? '';
  const address = `/api/judge/sessions/${encodeURIComponent(name)}`;
  const { data, error, reload } = useLoad(
    (signal) => get<JudgeSession>(`${address}${judge && `?judge=${encodeURIComponent(judge)}`}`, { signal }),
    [name, judge],
  );
  usePolling(data?.preparing === true, reload);
  const shown = (place.value.params.get('view') ?? 'judge') as View;
  return (
    <>
      <div class="title">
        <h1>Judge</h1>
        <span class="soft judge-name">
          <a href="/judge">all sessions</a> / {name}
        </span>
        <nav class="judge-views" aria-label="Views of the session">
          {(Object.keys(VIEWS) as View[]).map((view) => (
            <Button
              key={view}
              kind="quiet"
              pressed={view === shown}
              onClick={() => setParams({ view: view === 'judge' ? undefined : view })}
            >
              {VIEWS[view]}
            </Button>
          ))}
        </nav>
      </div>
      <Notice error={error} onRetry={reload} />
      {data !== undefined && <Preparation session={data} address={address} onChange={reload} />}
      {data !== undefined && shown === 'results' && <Results session={data} address={address} />}
      {data !== undefined && shown === 'agreement' && <Agreement address={address} />}
      {data !== undefined &&
        shown === 'judge' &&
        (judge === '' ? (
          <WhoJudges session={data} />
        ) : (
          <Judging key={judge} {...{ session: data, address, judge, reload }} />
        ))}
    </>
  );
}

function usePolling(isOn: boolean, poll: () => void): void {
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(poll, POLL_MS);
    return () => clearInterval(timer);
  }, [isOn]);
}

interface PreparationProps {
  session: JudgeSession;
  address: string;
  onChange: () => void;
}

/** How far the search for the results is, if it is not done. */
function Preparation({ session, address, onChange }: PreparationProps) {
  const { prepared, queries, preparing, fault } = session;
  const [error, setError] = useState<unknown>();
  if (prepared === queries.length) return null;
  const goOn = () => send('POST', `${address}/prepare`, {}).then(onChange, setError);
  const told = fault && new Error(`The search for results ended: ${fault.message}`);
  return (
    <div class="card judge-preparation">
      <Notice error={error ?? told} fix={fault?.fix} />
      <Progress label="Queries searched" done={prepared} total={queries.length} unit="queries" />
      {!preparing && <Button onClick={() => void goOn()}>Continue the search</Button>}
    </div>
  );
}

/** Asks for the judge's name, which each judgement carries. */
function WhoJudges({ session: { judges } }: { session: JudgeSession }) {
  const [name, setName] = useState('');
  const choose = (one: string) => {
    localStorage.setItem('judge', one.trim());
    setParams({ judge: one.trim() });
  };
  return (
    <form
      class="card judge-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() !== '') choose(name);
      }}
    >
      <h2>Who judges?</h2>
      <Field
        label="Your name"
        value={name}
        onInput={setName}
        hint="Judgements are kept by name, so that two people can be compared"
      />
      <div class="actions">
        <Button type="submit" kind="primary">
          Start judging
        </Button>
        {judges.map((one) => (
          <Button key={one.name} onClick={() => choose(one.name)}>
            {one.name} ({one.judged})
          </Button>
        ))}
      </div>
    </form>
  );
}
