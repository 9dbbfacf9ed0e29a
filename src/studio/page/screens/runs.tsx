import type { ListedRun, RunList } from '../../shapes/runs.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Command, Empty } from '../components/empty.tsx';
import { Notice } from '../components/notice.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Text } from '../components/text.tsx';

const STATES: Record<ListedRun['state'], string> = {
  running: 'running',
  finished: 'finished',
  stopped: 'stopped',
  unknown: 'on another machine',
};

const COLUMNS: readonly Column<ListedRun>[] = [
  { key: 'name', label: 'Run', cell: ({ name }) => <Text value={name} />, sort: ({ name }) => name },
  {
    ...{ key: 'state', label: 'State', width: '9.5rem' },
    cell: ({ state, faults }) => (
      <span class={`state ${state}`} title={faults.join('\n')}>
        {faults.length > 0 ? 'damaged' : STATES[state]}
      </span>
    ),
    sort: ({ state }) => state,
  },
  {
    ...{ key: 'stages', label: 'Stages', align: 'end', width: '7rem', isExtra: true },
    cell: ({ stages }) => `${stages.filter(({ finished }) => finished).length} of ${stages.length}`,
    sort: ({ stages }) => stages.length,
  },
  {
    ...{ key: 'time', label: 'Time', align: 'end', width: '7rem', isExtra: true },
    cell: (run) => duration(secondsOf(run)),
    sort: secondsOf,
  },
  {
    ...{ key: 'changed', label: 'Last change', align: 'end', width: '8.5rem' },
    cell: ({ changedAt }) => moment(changedAt),
    sort: ({ changedAt }) => changedAt,
  },
];

/** All runs of the folder, with their states. */
export default function Runs() {
  const { data, error, reload } = useLoad((signal) => get<RunList>('/api/runs', { signal }));
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        <Button onClick={reload}>Refresh</Button>
      </div>
      <Notice error={error} onRetry={reload} />
      {data?.runs.length === 0 && (
        <Empty title="No runs yet">
          <p>
            The folder <Text value={data.folder} /> holds no run. This command makes one, with a small LLM and a real
            data set:
          </p>
          <Command>npx llm-qe demo</Command>
        </Empty>
      )}
      {data !== undefined && data.runs.length > 0 && (
        <Table label="Runs" columns={COLUMNS} rows={data.runs} keyOf={({ name }) => name} />
      )}
    </>
  );
}

function secondsOf({ stages }: ListedRun): number {
  return stages.reduce((sum, { seconds }) => sum + seconds, 0);
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function moment(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString('en-GB', {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
}
