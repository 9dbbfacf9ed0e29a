import type { ListedRun, RunList as Runs } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Button } from '../../components/button.tsx';
import { Command, Empty } from '../../components/empty.tsx';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { goTo } from '../../shell/place.ts';
import { useShortcuts } from '../../shell/shortcuts.ts';
import { RunChoice } from './run-choice.tsx';
import { duration, moment, runAddress, State } from './words.tsx';

/** The form for a new run. */
const NEW_RUN = '/runs?recipe=demo';

const COLUMNS: readonly Column<ListedRun>[] = [
  {
    key: 'name',
    label: 'Run',
    cell: ({ name }) => (
      <a href={runAddress(name)}>
        <Text value={name} />
      </a>
    ),
    sort: ({ name }) => name,
  },
  {
    ...{ key: 'state', label: 'State', width: '8rem' },
    cell: (run) => <State run={run} />,
    sort: ({ state }) => state,
  },
  {
    ...{ key: 'stages', label: 'Stages', align: 'end', width: '7rem', isExtra: true },
    cell: ({ stages }) =>
      stages.length === 0 ? '–' : `${stages.filter(({ finished }) => finished).length} of ${stages.length}`,
    sort: ({ stages }) => stages.length,
  },
  {
    ...{ key: 'time', label: 'Time', align: 'end', width: '7rem', isExtra: true },
    cell: (run) => (run.stages.length === 0 ? '–' : duration(secondsOf(run))),
    sort: secondsOf,
  },
  {
    ...{ key: 'changed', label: 'Last change', align: 'end', width: '8.5rem', isExtra: true },
    cell: ({ changedAt }) => moment(changedAt),
    sort: ({ changedAt }) => changedAt,
  },
];

/** All runs of the folder, with their states. */
export function RunList() {
  const { data, error, reload } = useLoad((signal) => get<Runs>('/api/runs', { signal }));
  useShortcuts([{ keys: 'n', what: 'begin a new run', run: () => goTo(NEW_RUN) }]);
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        <div class="run-facts">
          <a href={NEW_RUN}>New run</a>
          <Button onClick={reload}>Refresh</Button>
        </div>
      </div>
      <Notice error={error} onRetry={reload} />
      {data?.runs.length === 0 && (
        <Empty title="No runs yet">
          <p>
            The folder <Text value={data.folder} /> holds no run. This command makes one, with a small LLM and a real
            data set:
          </p>
          <Command>npx llm-qe demo</Command>
          <p>
            Or <a href={NEW_RUN}>start one from a recipe</a>.
          </p>
        </Empty>
      )}
      {data !== undefined && data.runs.length > 0 && (
        <>
          <Table label="Runs" columns={COLUMNS} rows={data.runs} keyOf={({ name }) => name} />
          {data.runs.length > 1 && <RunChoice names={data.runs.map(({ name }) => name)} />}
        </>
      )}
    </>
  );
}

function secondsOf({ stages }: ListedRun): number {
  return stages.reduce((sum, { seconds }) => sum + seconds, 0);
}
