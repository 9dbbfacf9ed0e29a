import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cohenKappa } from './cohen-kappa.ts';

interface Golden {
  name: string;
  first: number[];
  second: number[];
  kappa: number | null;
  weighted: number | null;
}

/** From scikit-learn: reference/kappa_goldens.py. */
const goldens = JSON.parse(readFileSync(new URL('goldens/kappa.json', import.meta.url), 'utf8')) as Golden[];

describe("Cohen's kappa", () => {
  it.each(goldens)('is that of scikit-learn: $name', ({ first, second, kappa, weighted }) => {
    const found = cohenKappa(first, second, 4);
    for (const [own, theirs] of [
      [found.kappa, kappa],
      [found.weighted, weighted],
    ]) {
      if (theirs === null) expect(own).toBeUndefined();
      else expect(own).toBeCloseTo(theirs!, 6);
    }
  });

  it('counts equal grades, and who gave what', () => {
    const { items, equal, table } = cohenKappa([0, 0, 3, 2], [0, 1, 3, 3], 4);
    expect({ items, equal }).toEqual({ items: 4, equal: 0.5 });
    expect(table).toEqual([
      [1, 1, 0, 0],
      [0, 0, 0, 0],
      [0, 0, 0, 1],
      [0, 0, 0, 1],
    ]);
  });

  it('is unknown without a common item', () => {
    expect(cohenKappa([], [], 4)).toMatchObject({ items: 0, equal: 0, kappa: undefined, weighted: undefined });
  });

  it('refuses lists of two lengths, and what is no grade', () => {
    expect(() => cohenKappa([1], [], 4)).toThrow('cannot pair 1 grades with 0');
    for (const grade of [4, -1, 0.5, Number.NaN]) expect(() => cohenKappa([grade], [0], 4)).toThrow('is no grade');
  });
});
