import { useState } from 'preact/hooks';
import type { Scores as Evaluation, ShownTest } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { runApi } from './words.tsx';

type ShownArm = Evaluation['judgements'][number]['arms'][number];

/** What each arm scored, by each judge, and the tests between them. @param stage undefined: of a run without stages */
export function Scores({ name, stage }: { name: string; stage?: string | undefined }) {
  const path = runApi(name, `/evaluation${stage === undefined ? '' : `?stage=${encodeURIComponent(stage)}`}`);
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
        <section key={judge ?? ''}>
          <h2>
            <Text value={judge === undefined ? 'Searches' : `Judged by ${judge}`} />
          </h2>
          <Table
            label={judge === undefined ? 'Searches' : `Arms, judged by ${judge}`}
            columns={armColumns(data.measure, measures, arms)}
            rows={arms}
            keyOf={({ name: arm }) => arm}
          />
          <AllMeasures measures={measures} arms={arms} />
          <h3 class="between">Tests by {data.measure}</h3>
          <TestTable
            label={judge === undefined ? 'Tests' : `Tests, judged by ${judge}`}
            tests={tests}
            nameOf={(test) => `${test.arm} against ${test.baseline}`}
          />
        </section>
      ))}
    </>
  );
}

/** Those that papers print. An evaluation has forty; side by side no heading could be read. */
const HEADLINES = ['nDCG@10', 'Recall@100', 'MRR@10', 'MAP@100'];

function headlinesOf(main: string, measures: readonly string[]): string[] {
  if (measures.length <= HEADLINES.length + 1) return [...measures];
  return [...new Set([main, ...HEADLINES])].filter((name) => measures.includes(name));
}

/** A row for each measure: there are many more of them than arms. */
function AllMeasures({ measures, arms }: { measures: readonly string[]; arms: readonly ShownArm[] }) {
  if (measures.length <= HEADLINES.length + 1) return null;
  return (
    <details class="more">
      <summary>All {measures.length} measures</summary>
      <div class="scrolled">
        <table class="tests" aria-label="All measures">
          <thead>
            <tr>
              <th scope="col">Measure</th>
              {arms.map(({ name }) => (
                <th key={name} scope="col" class="end">
                  <Text value={name} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {measures.map((measure) => (
              <tr key={measure}>
                <th scope="row">
                  <Text value={measure} />
                </th>
                {arms.map(({ name, measures: values }) => (
                  <td key={name} class="end">
                    {values[measure]?.toFixed(4) ?? ''}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** Alpha and words are told by an alignment alone. A phone has room for the measure of the tests. */
function armColumns(main: string, measures: readonly string[], arms: readonly ShownArm[]): Column<ShownArm>[] {
  const columns: Column<ShownArm>[] = [
    { key: 'name', label: 'Arm', cell: ({ name }) => <Text value={name} />, sort: ({ name }) => name },
    { key: 'alpha', label: 'Alpha', align: 'end', width: '5rem', cell: ({ alpha }) => alpha ?? '', isExtra: true },
    ...headlinesOf(main, measures).map((measure) => ({
      ...{ key: `measure ${measure}`, label: measure, align: 'end' as const, isExtra: measure !== main },
      cell: ({ measures: values }: ShownArm) => values[measure]?.toFixed(4) ?? '',
      sort: ({ measures: values }: ShownArm) => values[measure] ?? -1,
    })),
    {
      key: 'words',
      label: 'Words',
      align: 'end',
      width: '5.5rem',
      cell: ({ words }) => words!.toFixed(1),
      isExtra: true,
    },
  ];
  const isTold = arms.every(({ words }) => words !== undefined);
  return columns.filter(({ key }) => isTold || (key !== 'alpha' && key !== 'words'));
}

interface TestTableProps<T extends ShownTest> {
  label: string;
  tests: readonly T[];
  nameOf: (test: T) => string;
  /** Shown before the change. */
  more?: readonly Pick<Column<T>, 'key' | 'label' | 'cell'>[];
}

/** Paired tests: the change with its interval, p, how many queries gained and lost, and what it shows. They are few, so words may wrap. */
export function TestTable<T extends ShownTest>({ label, tests, nameOf, more = [] }: TestTableProps<T>) {
  return (
    <div class="scrolled">
      <table class="tests" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">Compared</th>
            {more.map((column) => (
              <th key={column.key} scope="col" class="end extra">
                {column.label}
              </th>
            ))}
            <th scope="col" class="end">
              Change, 95 % interval
            </th>
            <th scope="col" class="end extra">
              {tests.every(({ holm }) => holm !== undefined) ? 'p (Holm)' : 'p'}
            </th>
            <th scope="col" class="end extra">
              Helped, hurt
            </th>
            <th scope="col">Verdict</th>
          </tr>
        </thead>
        <tbody>
          {tests.map((test) => (
            <Test key={nameOf(test)} {...{ test, name: nameOf(test), more }} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Test<T extends ShownTest>({ test, name, more }: { test: T; name: string } & Pick<TestTableProps<T>, 'more'>) {
  const { delta, interval, helped, hurt, verdict } = test;
  const p = test.holm ?? test.p;
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <tr>
        <th scope="row">
          <Text value={name} />
        </th>
        {more!.map(({ key, cell }) => (
          <td key={key} class="end extra">
            {cell(test)}
          </td>
        ))}
        <td class="end">
          <strong>{signed(delta)}</strong>{' '}
          <span class="soft interval">
            {signed(interval[0])} to {signed(interval[1])}
          </span>
        </td>
        <td class="end extra">{p < 0.0001 ? '< 0.0001' : p.toFixed(4)}</td>
        <td class="end extra">
          {helped.toLocaleString('en')}, {hurt.toLocaleString('en')}
        </td>
        <td>
          <button type="button" class="link" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            <span class={`shown ${verdict.kind}`}>{verdict.name}</span>
          </button>
        </td>
      </tr>
      {isOpen && (
        <tr class="reason">
          <td colSpan={6 + more!.length}>
            <p class="soft">{verdict.reason}</p>
          </td>
        </tr>
      )}
    </>
  );
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
}
