import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

export interface Column<T> {
  key: string;
  label: string;
  cell: (row: T) => ComponentChildren;
  /** What to sort by; without it the column cannot be sorted. */
  sort?: ((row: T) => string | number) | undefined;
  align?: 'end' | undefined;
  /** Any CSS width. */
  width?: string | undefined;
  /** Left out on a phone. */
  isExtra?: boolean | undefined;
}

interface TableProps<T> {
  /** For those who cannot see it. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** Makes the first cell of each row a button. */
  onOpen?: ((row: T) => void) | undefined;
}

/** As in style.css: all rows are equally high, so that the place of a row is known without drawing those before it. */
const ROW_HEIGHT = 36;
/** Rows drawn beyond each edge, so that scrolling shows no gap. */
const MARGIN = 12;

interface Order {
  key: string;
  isDown: boolean;
}

/**
 * A table that draws only the rows in view, so that 10,000 scroll as 20 do. Columns sort by their heading; arrow keys move from row
 * to row. Screen readers are told the number of all rows and the place of each.
 */
export function Table<T>({ label, columns, rows, keyOf, onOpen }: TableProps<T>) {
  const frame = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [order, setOrder] = useState<Order>();
  const sorted = useMemo(() => inOrder(rows, columns, order), [rows, columns, order]);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setHeight(entry!.contentRect.height));
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.min(Math.floor(top / ROW_HEIGHT), sorted.length) - MARGIN);
  const last = Math.min(sorted.length, Math.ceil((top + height) / ROW_HEIGHT) + MARGIN);
  return (
    <section
      class="rows"
      ref={frame}
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard (WCAG 2.1.1)
      tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={(event) => moveByKey(event, frame.current!, sorted.length)}
    >
      <table aria-rowcount={sorted.length + 1} aria-label={label}>
        <colgroup>
          {columns.map(({ key, width, isExtra }) => (
            <col key={key} class={isExtra ? 'extra' : undefined} style={width === undefined ? undefined : { width }} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <Heading key={column.key} column={column} order={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          <Gap rows={first} />
          {sorted.slice(first, last).map((row, at) => (
            <tr key={keyOf(row)} aria-rowindex={first + at + 2} data-row={first + at}>
              {columns.map(({ key, cell, align, isExtra }, column) => (
                <td key={key} class={classes(align, isExtra)}>
                  {onOpen && column === 0 ? (
                    <button type="button" class="link" onClick={() => onOpen(row)}>
                      {cell(row)}
                    </button>
                  ) : (
                    cell(row)
                  )}
                </td>
              ))}
            </tr>
          ))}
          <Gap rows={sorted.length - last} />
        </tbody>
      </table>
    </section>
  );
}

function Heading<T>({
  column,
  order,
  onOrder,
}: {
  column: Column<T>;
  order: Order | undefined;
  onOrder: (order: Order) => void;
}) {
  const { key, label, sort, align, isExtra } = column;
  const isOrdered = order?.key === key;
  if (sort === undefined) {
    return (
      <th scope="col" class={classes(align, isExtra)}>
        {label}
      </th>
    );
  }
  return (
    <th
      scope="col"
      class={classes(align, isExtra)}
      aria-sort={isOrdered ? (order.isDown ? 'descending' : 'ascending') : 'none'}
    >
      <button type="button" class="sort" onClick={() => onOrder({ key, isDown: isOrdered ? !order.isDown : false })}>
        {label}
        <span aria-hidden="true">{isOrdered ? (order.isDown ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  );
}

/** Stands for the rows that are not drawn. */
function Gap({ rows }: { rows: number }) {
  if (rows <= 0) return null;
  return (
    <tr class="gap">
      <td style={{ height: `${rows * ROW_HEIGHT}px` }} />
    </tr>
  );
}

function classes(align: 'end' | undefined, isExtra: boolean | undefined): string | undefined {
  return [align, isExtra && 'extra'].filter(Boolean).join(' ') || undefined;
}

function inOrder<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order | undefined): readonly T[] {
  const by = columns.find(({ key }) => key === order?.key)?.sort;
  if (by === undefined) return rows;
  const sign = order!.isDown ? -1 : 1;
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0));
  return keyed.map(({ row }) => row);
}

const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };

/** Moves the focus to the button of another row, which may not be drawn yet. */
function moveByKey(event: KeyboardEvent, frame: HTMLElement, count: number): void {
  const from = (event.target as Element).closest('[data-row]')?.getAttribute('data-row');
  const step = STEPS[event.key];
  if (from == null || step === undefined) return;
  event.preventDefault();
  const to = Math.min(count - 1, Math.max(0, Number(from) + step));
  const place = (to + 1) * ROW_HEIGHT;
  if (place - ROW_HEIGHT < frame.scrollTop) frame.scrollTop = place - ROW_HEIGHT;
  if (place + ROW_HEIGHT > frame.scrollTop + frame.clientHeight)
    frame.scrollTop = place + ROW_HEIGHT - frame.clientHeight;
  // The row is drawn after the scroll event, in the next frame but one.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => frame.querySelector<HTMLElement>(`[data-row="${to}"] button`)?.focus()),
  );
}
