import { useState } from 'preact/hooks';
import type { RunPage } from '../../../shapes/runs.ts';
import { useEvents } from '../../client/events.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Notice } from '../../components/notice.tsx';
import { Text } from '../../components/text.tsx';
import { Overview } from './overview.tsx';
import { runApi, State } from './words.tsx';

/** A run: its stages as they go, and what they made. */
export function Run({ name }: { name: string }) {
  const { data, error, reload } = useLoad((signal) => get<RunPage>(runApi(name), { signal }));
  const [latest, setLatest] = useState<RunPage>();
  const run = latest ?? data;
  // A finished run stays as it is; a stopped one may be resumed by another process.
  const isFollowed = run !== undefined && run.state !== 'finished';
  useEvents(isFollowed ? runApi(name, '/live') : undefined, { run: (page: RunPage) => setLatest(page) });
  return (
    <>
      <p class="back">
        <a href="/runs">All runs</a>
      </p>
      <div class="title">
        <h1>
          <Text value={name} />
        </h1>
        {run && (
          <p class="facts">
            <State run={run} />
            {run.hasReport && (
              <a href={runApi(name, '/report')} target="_blank" rel="noreferrer">
                Report
              </a>
            )}
          </p>
        )}
      </div>
      <Notice error={error} onRetry={reload} />
      {run && <Overview run={run} />}
    </>
  );
}
