import { useEffect, useRef, useState } from 'preact/hooks';
import type { PlannedRun, RecipeForm } from '../../../shapes/recipes.ts';
import { stream } from '../../client/events.ts';
import { send } from '../../client/request.ts';
import { Button } from '../../components/button.tsx';
import { Notice } from '../../components/notice.tsx';
import { goTo } from '../../shell/place.ts';
import { runAddress } from '../run/words.tsx';
import { areAllGiven, Consents } from './consents.tsx';
import { Plan } from './plan.tsx';

interface StartProps {
  form: RecipeForm;
  isFaulty: boolean;
  /** Why no run can be started. */
  why: string | undefined;
}

/** Plans what the form says, and starts exactly what was planned. */
export function Start({ form, isFaulty, why }: StartProps) {
  const [planned, setPlanned] = useState<{ plan: PlannedRun; of: string }>();
  const [error, setError] = useState<unknown>();
  const [working, setWorking] = useState<AbortController>();
  const text = JSON.stringify(form);
  const plan = async () => {
    const stop = new AbortController();
    setWorking(stop);
    setError(undefined);
    try {
      for await (const { event, data } of stream('/api/recipes/plan', form, stop.signal)) {
        if (event === 'plan') setPlanned({ plan: data as PlannedRun, of: text });
      }
    } catch (fault) {
      if (!stop.signal.aborted) setError(fault);
    }
    setWorking(undefined);
  };
  useStopOnLeave(working);
  const isCurrent = planned?.of === text;
  return (
    <section class="part" aria-label="Plan and start">
      <h2>Plan</h2>
      <p>Checks all inputs and estimates the cost, as --plan does. Nothing is run or downloaded.</p>
      <div class="actions">
        <Button
          kind={isCurrent ? 'plain' : 'primary'}
          disabled={isFaulty || working !== undefined}
          onClick={() => void plan()}
        >
          Plan
        </Button>
        {working && <Button onClick={() => working.abort()}>Cancel</Button>}
      </div>
      <p role="status" class="soft">
        {working && 'Planning: data and models are looked at.'}
        {isFaulty && 'Something in the form is wrong: see the fields.'}
        {planned && !isCurrent && !working && 'The form has changed since the plan: plan it again.'}
      </p>
      <Notice error={error} />
      {planned && isCurrent && (
        <>
          <Plan plan={planned.plan} />
          {why === undefined ? <StartButton key={planned.plan.id} plan={planned.plan} /> : <p>{why}</p>}
        </>
      )}
    </section>
  );
}

/** A plan that nobody waits for is given up. */
function useStopOnLeave(working: AbortController | undefined): void {
  const latest = useRef(working);
  latest.current = working;
  useEffect(() => () => latest.current?.abort(), []);
}

function StartButton({ plan }: { plan: PlannedRun }) {
  const { id, run, consents, obstacles } = plan;
  const [given, setGiven] = useState<string[]>([]);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const start = async () => {
    setBusy(true);
    setError(undefined);
    await send('POST', '/api/recipes/start', { id, confirmed: given }).then(() => goTo(runAddress(run)), setError);
    setBusy(false);
  };
  return (
    <>
      <Consents consents={consents} given={given} onChange={setGiven} />
      <Notice error={error} />
      <div class="actions">
        <Button
          kind="primary"
          disabled={isBusy || obstacles.length > 0 || !areAllGiven(consents, given)}
          onClick={() => void start()}
        >
          Start
        </Button>
      </div>
      <p class="soft">
        It runs as a process of its own: it goes on if this page or the studio is closed, and can be stopped and
        resumed.
      </p>
    </>
  );
}
