import { UsageError } from '../system/index.ts';

/** How far two judges agree beyond chance. */
export interface Agreement {
  /** Number of items that both graded. */
  items: number;
  /** Fraction of items with equal grades. */
  equal: number;
  /** Cohen's kappa; undefined if both give one grade throughout, because chance alone then explains everything. */
  kappa: number | undefined;
  /** Kappa whose disagreements weigh as much as the grades are apart (linear weights): 0 against 3 is worse than 2 against 3. */
  weighted: number | undefined;
  /** How often the first gave grade i and the second grade j // [grades, grades] */
  table: number[][];
}

/**
 * Cohen's kappa of two judges (Cohen 1960; linear weights: Cohen 1968), as in scikit-learn's `cohen_kappa_score`.
 * @param first grades from 0 to `grades` - 1 // [items]
 * @param second the other judge's grades of the same items, in the same order // [items]
 * @throws UsageError if the lengths differ, or a grade is none
 */
export function cohenKappa(first: readonly number[], second: readonly number[], grades: number): Agreement {
  if (first.length !== second.length) {
    throw new UsageError(`cannot pair ${first.length} grades with ${second.length}`, {
      fix: 'Pass one grade per item and judge.',
    });
  }
  const table = Array.from({ length: grades }, () => new Array<number>(grades).fill(0));
  for (const [item, a] of first.entries()) {
    const b = second[item]!;
    for (const grade of [a, b])
      if (!Number.isInteger(grade) || grade < 0 || grade >= grades) throw noGrade(grade, grades);
    table[a]![b]!++;
  }
  const items = first.length;
  const equal = items === 0 ? 0 : table.reduce((sum, row, grade) => sum + row[grade]!, 0) / items;
  const plain = kappaOf(table, items, (a, b) => (a === b ? 0 : 1));
  return { items, equal, kappa: plain, weighted: kappaOf(table, items, (a, b) => Math.abs(a - b)), table };
}

/** 1 - observed disagreement / disagreement by chance. @param cost of a disagreement */
function kappaOf(
  table: readonly (readonly number[])[],
  items: number,
  cost: (a: number, b: number) => number,
): number | undefined {
  const rows = table.map((row) => row.reduce((sum, count) => sum + count, 0));
  const columns = table.map((_row, b) => table.reduce((sum, row) => sum + row[b]!, 0));
  let [observed, byChance] = [0, 0];
  for (const [a, row] of table.entries()) {
    for (const [b, count] of row.entries()) {
      observed += cost(a, b) * count;
      byChance += (cost(a, b) * rows[a]! * columns[b]!) / items;
    }
  }
  return byChance > 0 ? 1 - observed / byChance : undefined;
}

function noGrade(grade: number, grades: number): UsageError {
  return new UsageError(`${grade} is no grade`, { fix: `Pass whole numbers from 0 to ${grades - 1}.` });
}
