import type { Scores as Evaluation, ShownTest } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { runApi } from './words.tsx';

type ShownArm = Evaluation['judgements'][number]['arms'][number];

/** What each arm scored, by each judge, and the tests between them. */
export function Scores({ name, stage }: { name: string; stage: string }) {
  const path = runApi(name, `/evaluation?stage=${encodeURIComponent(stage)}`);
  const { data, error } = useLoad((signal) => get<Evaluation>(path, { signal }), [path]);
  return (
    <>
      <Notice error={error} />
      {data && (
        <p class="soft">
          {data.queries.toLocaleString('en')} test queries of <Text value={data.dataset} />,{' '}
          {data.documents.toLocaleString('en')} documents
        </p>
      )}
      {data?.judgements.map(({ judge, measures, arms, tests }) => (
        <section key={judge}>
          <h2>
            Judged by <Text value={judge} />
          </h2>
          <Table
            label={`Arms, judged by ${judge}`}
            columns={armColumns(measures)}
            rows={arms}
            keyOf={({ name: arm }) => arm}
          />
          <h3 class="between">Tests by {data.measure}</h3>
          <TestTable
            label={`Tests, judged by ${judge}`}
            tests={tests}
            nameOf={(test) => `${test.arm} against ${test.baseline}`}
          />
        </section>
      ))}
    </>
  );
}

function armColumns(measures: readonly string[]): Column<ShownArm>[] {
  return [
    { key: 'name', label: 'Arm', cell: ({ name }) => <Text value={name} />, sort: ({ name }) => name },
    { key: 'alpha', label: 'Alpha', align: 'end', width: '5rem', cell: ({ alpha }) => alpha ?? '', isExtra: true },
    ...measures.map((measure, at) => ({
      ...{ key: `measure ${measure}`, label: measure, align: 'end' as const, isExtra: at > 0 },
      cell: ({ measures: values }: ShownArm) => values[measure]?.toFixed(4) ?? '',
      sort: ({ measures: values }: ShownArm) => values[measure] ?? -1,
    })),
    {
      key: 'words',
      label: 'Words',
      align: 'end',
      width: '5.5rem',
      cell: ({ words }) => words.toFixed(1),
      isExtra: true,
    },
  ];
}

interface TestTableProps<T extends ShownTest> {
  label: string;
  tests: readonly T[];
  nameOf: (test: T) => string;
  /** Shown before the change. */
  more?: readonly Column<T>[];
}

/** Paired tests: the change with its interval, p, how many queries gained and lost, and what it shows. */
export function TestTable<T extends ShownTest>({ label, tests, nameOf, more = [] }: TestTableProps<T>) {
  const columns: Column<T>[] = [
    { key: 'name', label: 'Compared', cell: (test) => <Text value={nameOf(test)} /> },
    ...more,
    {
      ...{ key: 'delta', label: 'Change', align: 'end', width: '6rem' },
      cell: ({ delta }) => signed(delta),
      sort: ({ delta }) => delta,
    },
    {
      ...{ key: 'interval', label: '95 % interval', align: 'end', width: '12rem', isExtra: true },
      cell: ({ interval: [low, high] }) => `${signed(low)} to ${signed(high)}`,
    },
    {
      ...{ key: 'p', label: 'p (Holm)', align: 'end', width: '6.5rem', isExtra: true },
      cell: ({ holm }) => (holm < 0.0001 ? '< 0.0001' : holm.toFixed(4)),
      sort: ({ holm }) => holm,
    },
    {
      ...{ key: 'queries', label: 'Helped, hurt', align: 'end', width: '8.5rem', isExtra: true },
      cell: ({ helped, hurt }) => `${helped}, ${hurt}`,
    },
    {
      ...{ key: 'verdict', label: 'Verdict', width: '12rem' },
      cell: ({ verdict }) => (
        <span class={`shown ${verdict.kind}`} title={verdict.reason}>
          {verdict.name}
        </span>
      ),
    },
  ];
  return <Table label={label} columns={columns} rows={tests} keyOf={nameOf} />;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
}
