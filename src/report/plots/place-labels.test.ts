import { describe, expect, it } from 'vitest';
import { type NamedPlace, type PlacedLabel, placeLabels } from './place-labels.ts';

const AREA = { left: 40, right: 360, top: 10, bottom: 300 };
const HEIGHT = 13;

function boxOf({ x, y, anchor }: PlacedLabel, width: number) {
  const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2;
  return { left, right: left + width, top: y - HEIGHT / 2, bottom: y + HEIGHT / 2 };
}

describe('placeLabels', () => {
  it('writes a name right of a point that stands alone', () => {
    const [label] = placeLabels([{ x: 100, y: 100, width: 50 }], { area: AREA, radius: 6 })!;
    expect(label).toEqual({ x: 110, y: 100, anchor: 'start', apart: false });
  });

  it('writes it left of a point at the right edge, and clear of a line', () => {
    const options = { area: AREA, radius: 6 };
    expect(placeLabels([{ x: 350, y: 100, width: 50 }], options)![0]).toMatchObject({ x: 340, anchor: 'end' });
    const line = [
      { x: 100, y: 100 },
      { x: 300, y: 100 },
    ];
    expect(placeLabels([{ x: 100, y: 100, width: 50 }], { ...options, line })![0]).toMatchObject({ anchor: 'end' });
  });

  it('lets crowded names overlap neither one another nor a point, and keeps them inside', () => {
    const points = Array.from({ length: 15 }, (_, at): NamedPlace => {
      return { x: 250 + 7 * (at % 5), y: 150 + 9 * Math.floor(at / 5), width: 30 + 4 * at };
    });
    const labels = placeLabels(points, { area: AREA, radius: 5 })!;
    const boxes = [
      ...labels.map((label, at) => boxOf(label, points[at]!.width)),
      ...points.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 })),
    ];
    labels.forEach((_label, at) => {
      const box = boxes[at]!;
      expect(box.left >= AREA.left && box.right <= AREA.right && box.top >= AREA.top).toBe(true);
      const hit = boxes.findIndex(
        (other, place) =>
          place !== at &&
          box.left < other.right &&
          other.left < box.right &&
          box.top < other.bottom &&
          other.top < box.bottom,
      );
      expect(hit, `name ${at}`).toBe(-1);
    });
  });

  it('finds no place where there is none', () => {
    const points = Array.from({ length: 60 }, (): NamedPlace => ({ x: 200, y: 150, width: 120 }));
    expect(placeLabels(points, { area: AREA, radius: 5 })).toBeUndefined();
  });
});
