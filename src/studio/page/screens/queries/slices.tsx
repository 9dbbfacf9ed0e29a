import { useMemo } from 'preact/hooks';
import type { QueryComparison, QuerySlice } from '../../../shapes/queries.ts';
import { type Column, Table } from '../../components/table.tsx';
import { Text } from '../../components/text.tsx';
import { setParams } from '../../shell/place.ts';
import { count, score, signed } from './numbers.ts';

const changeOf = ({ before, after }: QuerySlice) => after - before;

const COLUMNS: readonly Column<QuerySlice>[] = [
  {
    ...{ key: 'name', label: 'Slice' },
    cell: ({ kind, name }) => <Text value={`${kind}: ${name}`} />,
    sort: ({ kind, name }) => `${kind}: ${name}`,
  },
  {
    ...{ key: 'queries', label: 'Queries', align: 'end', width: '6rem' },
    cell: ({ rows }) => count(rows.length),
    sort: ({ rows }) => rows.length,
  },
  {
    ...{ key: 'helped', label: 'Helped, hurt', align: 'end', width: '8rem', isExtra: true },
    cell: ({ helped, hurt }) => `${count(helped)}, ${count(hurt)}`,
    sort: ({ helped, hurt }) => helped - hurt,
  },
  {
    ...{ key: 'before', label: 'A', align: 'end', width: '6rem', isExtra: true },
    cell: ({ before }) => score(before),
    sort: ({ before }) => before,
  },
  {
    ...{ key: 'after', label: 'B', align: 'end', width: '6rem', isExtra: true },
    cell: ({ after }) => score(after),
    sort: ({ after }) => after,
  },
  {
    ...{ key: 'change', label: 'Mean change', align: 'end', width: '7.5rem' },
    cell: (slice) => (
      <span class={changeOf(slice) > 0 ? 'gain' : changeOf(slice) < 0 ? 'loss' : ''}>{signed(changeOf(slice))}</span>
    ),
    sort: changeOf,
  },
];

/** Where expansion helps and where it hurts; a slice that is chosen filters the list of queries. */
export function Slices({ comparison: { slices } }: { comparison: QueryComparison }) {
  const rows = useMemo(() => [...slices], [slices]);
  return (
    <section class="part" aria-labelledby="slices-heading">
      <h2 id="slices-heading">Kinds of queries</h2>
      <p class="soft">Choose one to see its queries alone. The fewer queries, the more chance moves their mean.</p>
      <Table
        label="Slices"
        columns={COLUMNS}
        rows={rows}
        keyOf={({ kind, name }) => `${kind}: ${name}`}
        onOpen={({ kind, name }) => {
          setParams({ slice: `${kind}: ${name}` });
          document.getElementById('queries-heading')?.scrollIntoView();
        }}
      />
    </section>
  );
}
