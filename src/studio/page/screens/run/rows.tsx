import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Rows } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Field } from '../../components/field.tsx';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { place, setParams } from '../../shell/place.ts';

interface PagedRowsProps<T> {
  label: string;
  /** Address of the rows, with its own parameters. */
  path: string;
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  /** What is shown of a row that is opened. */
  detail: (row: T) => ComponentChildren;
}

/** Waits until somebody stops typing: a filter reads a whole file. */
const TYPING_MS = 300;

/** A list of any length: pages of it in a table, a filter over all of it, and each row as a whole in a dialog. The address names both. */
export function PagedRows<T>({ label, path, columns, keyOf, detail }: PagedRowsProps<T>) {
  const { params } = place.value;
  const [from, filter] = [Number(params.get('first')) || 0, params.get('filter') ?? ''];
  const [typed, setTyped] = useState(filter);
  const [opened, setOpened] = useState<T>();
  const address = `${path}${path.includes('?') ? '&' : '?'}first=${from}&filter=${encodeURIComponent(filter)}`;
  const { data, error, isLoading, reload } = useLoad((signal) => get<Rows<T>>(address, { signal }), [address]);
  useEffect(() => {
    if (typed === filter) return;
    const timer = setTimeout(() => setParams({ filter: typed, first: undefined }, { replace: true }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, filter]);
  return (
    <>
      <div class="finder">
        <Field label={`Find in ${label.toLowerCase()}`} type="search" value={typed} onInput={setTyped} />
        {data && <Pager rows={data} isLoading={isLoading} />}
      </div>
      <Notice error={error} onRetry={reload} />
      {data && <Table {...{ label, columns, keyOf }} rows={data.rows} onOpen={setOpened} />}
      <Dialog title={label} open={opened !== undefined} onClose={() => setOpened(undefined)}>
        {opened !== undefined && detail(opened)}
      </Dialog>
    </>
  );
}

function Pager({ rows: { total, from, rows, isCut }, isLoading }: { rows: Rows<unknown>; isLoading: boolean }) {
  const last = from + rows.length;
  const shown = total === 0 ? 'Nothing found' : `${format(from + 1)} to ${format(last)} of ${format(total)}`;
  const step = Math.max(100, rows.length);
  return (
    <div class="pager">
      <span class="soft" role="status">
        {isLoading ? 'Loading' : `${shown}${isCut ? ' found first' : ''}`}
      </span>
      <Button disabled={from === 0} onClick={() => setParams({ first: Math.max(0, from - step) || undefined })}>
        Previous
      </Button>
      <Button disabled={last >= total} onClick={() => setParams({ first: last })}>
        Next
      </Button>
    </div>
  );
}

function format(count: number): string {
  return count.toLocaleString('en');
}
