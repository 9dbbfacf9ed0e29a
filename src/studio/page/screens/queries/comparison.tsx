import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ListedEvaluation, QueryComparison } from '../../../shapes/queries.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Button } from '../../components/button.tsx';
import { Field, Select } from '../../components/field.tsx';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { place, setParams } from '../../shell/place.ts';
import { Effect } from './effect.tsx';
import { ExportMenu } from './export-menu.tsx';
import { count, score, signed } from './numbers.ts';
import { QueryDetail } from './query-detail.tsx';
import { inOrder, matching, type Row, rowsOf, UNCHANGED, type View } from './rows.ts';
import { Slices } from './slices.tsx';
import { Waterfall } from './waterfall.tsx';

interface ComparisonProps {
  evaluations: readonly ListedEvaluation[];
  evaluation: string;
}

/** What the address chooses; the rest is chosen by the server. */
const CHOICES = ['a', 'b', 'measure', 'depth'] as const;

export function Comparison({ evaluations, evaluation }: ComparisonProps) {
  const { params } = place.value;
  const asked = new URLSearchParams({ evaluation });
  for (const name of CHOICES) if (params.has(name)) asked.set(name, params.get(name)!);
  const address = asked.toString();
  const load = (signal: AbortSignal) => get<QueryComparison>(`/api/queries/comparison?${address}`, { signal });
  const { data, error, isLoading, reload } = useLoad(load, [address]);
  // An older answer stays while the next one is on its way, but not one of another evaluation.
  const shown = data?.evaluation === evaluation ? data : undefined;
  return (
    <>
      <Choices evaluations={evaluations} evaluation={evaluation} shown={shown} />
      <Notice error={error} onRetry={reload} />
      {isLoading && shown === undefined && (
        <p class="soft" role="status">
          Reading the runs…
        </p>
      )}
      {shown !== undefined && <Compared data={shown} address={address} />}
    </>
  );
}

function Choices({ evaluations, evaluation, shown }: ComparisonProps & { shown: QueryComparison | undefined }) {
  const ids = evaluations.map(({ id }) => id);
  const known = ids.includes(evaluation) ? ids : [evaluation, ...ids];
  const arms = shown?.arms.map(({ name }) => [name, name] as const) ?? [];
  const other = { a: undefined, b: undefined, measure: undefined, query: undefined, slice: undefined };
  const change = (changes: Record<string, string | undefined>) => setParams({ slice: undefined, ...changes });
  return (
    <div class="fields choices">
      <Select
        label="Evaluation"
        value={evaluation}
        options={known.map((id) => [id, id] as const)}
        onChange={(id) => setParams({ ...other, evaluation: id })}
      />
      {shown !== undefined && (
        <>
          <Select label="A, the baseline" value={shown.a} options={arms} onChange={(a) => change({ a, b: shown.b })} />
          <Select label="B" value={shown.b} options={arms} onChange={(b) => change({ a: shown.a, b })} />
          {shown.measures.length > 0 && (
            <Select
              label="Measure"
              value={shown.measure}
              options={shown.measures.map((name) => [name, name] as const)}
              onChange={(measure) => change({ measure })}
            />
          )}
        </>
      )}
    </div>
  );
}

function Compared({ data, address }: { data: QueryComparison; address: string }) {
  const { params } = place.value;
  const query = params.get('query') ?? undefined;
  const view: View = data.before === null || params.get('view') === 'rankings' ? 'rankings' : 'changes';
  const [filter, setFilter] = useState('');
  const all = useMemo(() => rowsOf(data), [data]);
  const slice = data.slices.find(({ kind, name }) => params.get('slice') === `${kind}: ${name}`);
  const rows = useMemo(() => {
    const members = slice && new Set(slice.rows);
    return matching(inOrder(members === undefined ? all : all.filter(({ at }) => members.has(at)), view), filter);
  }, [all, slice, view, filter]);
  const open = (row: Row) => setParams({ query: row.id });
  const list = useRef<HTMLDivElement>(null);
  const last = useRef<string | undefined>(undefined);
  useEffect(() => {
    // Back from a query: the reader goes on where the list was left.
    if (query === undefined && last.current !== undefined) focusQuery(list.current, last.current);
    last.current = query;
  }, [query]);
  return (
    <>
      {query !== undefined && <QueryDetail {...{ query, rows, comparison: data, address }} />}
      <div ref={list} hidden={query !== undefined}>
        {data.notes.map((note) => (
          <p key={note} class="soft">
            <Text value={note} />
          </p>
        ))}
        {data.effect !== null && <Effect effect={data.effect} comparison={data} />}
        {data.before !== null && rows.length > 0 && (
          <Waterfall rows={view === 'changes' ? rows : inOrder(rows, 'changes')} comparison={data} onOpen={open} />
        )}
        <ExportMenu comparison={data} address={address} />
        <QueryList {...{ data, rows, view, filter, setFilter, open }} all={all.length} slice={slice?.name} />
        {data.slices.length > 0 && <Slices comparison={data} />}
      </div>
    </>
  );
}

/** The row of the query is not drawn if it is out of sight; then the table itself is focused. */
function focusQuery(list: HTMLElement | null, id: string): void {
  const rows = [...(list?.querySelectorAll<HTMLElement>('[data-query]') ?? [])];
  const cell = rows.find((one) => one.dataset.query === id);
  (cell?.closest('button') ?? list?.querySelector<HTMLElement>('.rows'))?.focus();
}

interface QueryListProps {
  data: QueryComparison;
  rows: readonly Row[];
  all: number;
  view: View;
  slice?: string | undefined;
  filter: string;
  setFilter: (filter: string) => void;
  open: (row: Row) => void;
}

function QueryList({ data, rows, all, view, slice, filter, setFilter, open }: QueryListProps) {
  const columns = useMemo(() => columnsOf(data), [data]);
  return (
    <section class="part" aria-labelledby="queries-heading">
      <h2 id="queries-heading">All queries</h2>
      <div class="bar">
        <div class="actions">
          {data.before !== null && (
            <Button pressed={view === 'changes'} onClick={() => setParams({ view: undefined })}>
              By change
            </Button>
          )}
          {data.overlap !== null && (
            <Button pressed={view === 'rankings'} onClick={() => setParams({ view: 'rankings' })}>
              Most different rankings first
            </Button>
          )}
          {slice !== undefined && (
            <Button onClick={() => setParams({ slice: undefined })}>
              Only: <Text value={slice} /> ×
            </Button>
          )}
        </div>
        <Field label="Filter" type="search" placeholder="text or id" value={filter} onInput={setFilter} />
      </div>
      {view === 'rankings' && (
        <p class="soft">
          The less the rankings have in common, the more a judgement tells. Overlap is rank-biased (p {data.persistence}
          , to depth {data.depth}): 1 for equal rankings, 0 for nothing in common.
        </p>
      )}
      <p class="soft" role="status">
        {rows.length === all ? `${count(all)} queries` : `${count(rows.length)} of ${count(all)} queries`}
      </p>
      <Table label="Queries" columns={columns} rows={rows} keyOf={({ id }) => id} onOpen={open} />
    </section>
  );
}

function columnsOf({ before, overlap, a, b }: QueryComparison): Column<Row>[] {
  const value = (key: 'before' | 'after', label: string): Column<Row> => ({
    ...{ key, label, align: 'end', width: '8rem', isExtra: true },
    cell: (row) => score(row[key]!),
    sort: (row) => row[key]!,
  });
  return [
    {
      ...{ key: 'query', label: 'Query' },
      cell: ({ id, label }) => (
        <span data-query={id}>
          <Text value={label} />
        </span>
      ),
      sort: ({ label }) => label.toLowerCase(),
    },
    ...(before === null
      ? []
      : [
          value('before', a === b ? 'A' : 'A, before'),
          value('after', 'B, after'),
          {
            ...{ key: 'change', label: 'Change', align: 'end' as const, width: '6.5rem' },
            cell: ({ change }: Row) => <span class={direction(change!)}>{signed(change!)}</span>,
            sort: ({ change }: Row) => change!,
          },
        ]),
    ...(overlap === null
      ? []
      : [
          {
            ...{ key: 'overlap', label: 'Overlap', align: 'end' as const, width: '6.5rem', isExtra: before !== null },
            cell: (row: Row) => row.overlap!.toFixed(3),
            sort: (row: Row) => row.overlap!,
          },
        ]),
  ];
}

/** The class that colours a change. */
export function direction(change: number): string {
  return change > UNCHANGED ? 'gain' : change < -UNCHANGED ? 'loss' : '';
}
