import type { QueryComparison } from '../../../shapes/queries.ts';
import { visible } from '../../components/text.tsx';

/** A query of the comparison. */
export interface Row {
  /** Its place in the columns. */
  at: number;
  id: string;
  /** Its text, or its id if that is not known. */
  label: string;
  before: number | undefined;
  after: number | undefined;
  change: number | undefined;
  overlap: number | undefined;
}

export type View = 'changes' | 'rankings';

/** Changes up to this size count as none, as in the tests. */
export const UNCHANGED = 1e-9;

export function rowsOf({ ids, texts, before, after, overlap }: QueryComparison): Row[] {
  return ids.map((id, at) => {
    const [one, other] = [before?.[at], after?.[at]];
    return {
      ...{ at, id, label: texts[at] || id, before: one, after: other, overlap: overlap?.[at] },
      change: one === undefined || other === undefined ? undefined : other - one,
    };
  });
}

/** From the largest gain to the largest loss, or those first whose rankings have least in common. */
export function inOrder(rows: readonly Row[], view: View): Row[] {
  const key = (row: Row) => (view === 'changes' ? -(row.change ?? 0) : (row.overlap ?? 1));
  return [...rows].sort((a, b) => key(a) - key(b));
}

/** Those whose text or id holds what is looked for, in any case. */
export function matching(rows: readonly Row[], filter: string): readonly Row[] {
  const wanted = filter.trim().toLowerCase();
  if (wanted === '') return rows;
  return rows.filter(({ label, id }) => label.toLowerCase().includes(wanted) || id.toLowerCase().includes(wanted));
}

/** A label that fits a line. */
export function shortLabel({ label }: Pick<Row, 'label'>, most = 120): string {
  const text = visible(label);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
