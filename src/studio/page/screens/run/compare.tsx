import type { RunDifference } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { TestTable } from './scores.tsx';
import { runAddress, runApi } from './words.tsx';

type ComparedArm = RunDifference['arms'][number];
type Setting = RunDifference['settings'][number];

const MEANS: readonly Column<ComparedArm>[] = [
  { key: 'a', label: 'A', align: 'end', width: '5.5rem', cell: ({ meanA }) => meanA.toFixed(4), isExtra: true },
  { key: 'b', label: 'B', align: 'end', width: '5.5rem', cell: ({ meanB }) => meanB.toFixed(4), isExtra: true },
];

const SETTINGS: readonly Column<Setting>[] = [
  { key: 'name', label: 'Setting', cell: ({ name }) => <Text value={name} />, sort: ({ name }) => name },
  { key: 'a', label: 'A', cell: ({ a }) => (a === undefined ? 'none' : <Text value={a} />) },
  { key: 'b', label: 'B', cell: ({ b }) => (b === undefined ? 'none' : <Text value={b} />) },
];

/** Two runs: what differs in their settings, and whether one is better. */
export function Compare({ a, b }: { a: string; b: string }) {
  const path = runApi(a, `/against?other=${encodeURIComponent(b)}`);
  const { data, error, reload } = useLoad((signal) => get<RunDifference>(path, { signal }), [path]);
  return (
    <>
      <p class="back">
        <a href="/runs">All runs</a>
      </p>
      <div class="title">
        <h1>Two runs compared</h1>
        <p class="run-facts">
          <span>
            A:{' '}
            <a href={runAddress(a)}>
              <Text value={a} />
            </a>
          </span>
          <span>
            B:{' '}
            <a href={runAddress(b)}>
              <Text value={b} />
            </a>
          </span>
        </p>
      </div>
      <Notice error={error} onRetry={reload} />
      {data && <Difference data={data} />}
    </>
  );
}

function Difference({ data: { settings, same, why, measure, queries, alone, arms } }: { data: RunDifference }) {
  return (
    <>
      <section>
        <h2>Scores</h2>
        {why !== undefined && (
          <p>
            <Text value={why} />
          </p>
        )}
        {why === undefined && (
          <>
            <p class="soft">
              {measure} of B minus A, over the {queries.toLocaleString('en')} test queries of both
              {alone > 0 && `; ${alone.toLocaleString('en')} are in only one of them`}
            </p>
            <TestTable label="Scores of both runs" tests={arms} nameOf={({ arm }) => arm} more={MEANS} />
          </>
        )}
      </section>
      <section>
        <h2>Settings that differ</h2>
        {settings.length === 0 && <p>None: all {same.toLocaleString('en')} are the same.</p>}
        {settings.length > 0 && (
          <>
            <p class="soft">{same.toLocaleString('en')} others are the same.</p>
            <Table label="Settings that differ" columns={SETTINGS} rows={settings} keyOf={({ name }) => name} />
          </>
        )}
      </section>
    </>
  );
}
