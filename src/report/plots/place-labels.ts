/** A point, and the name to write beside it; lengths in pixels. */
export interface NamedPlace {
  x: number;
  y: number;
  /** Width of the name. */
  width: number;
}

export interface PlacedLabel {
  /** Where the name begins, ends or has its middle, as the anchor says. */
  x: number;
  /** The middle of its height. */
  y: number;
  anchor: 'start' | 'middle' | 'end';
  /** Whether the name is so far from its point that a line must join them. */
  apart: boolean;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Height of a name, and its distance from the point and from other names. */
const [HEIGHT, GAP] = [13, 4];
/** Distance of the boxes along a line. */
const STEP = 4;
/** Distances from the point's edge to try, the nearest first. */
const DISTANCES = [0, 10, 22, 36, 52, 70, 90];
/** Directions to try: right, left, above, below, and the diagonals. */
const DIRECTIONS = [
  [1, 0],
  [-1, 0],
  [0, -1],
  [0, 1],
  [1, -1],
  [1, 1],
  [-1, -1],
  [-1, 1],
] as const;

export interface PlacingOptions {
  /** Names stay inside. */
  area: Box;
  /** Size of the points. */
  radius: number;
  /** Corners of a line to keep clear of. */
  line?: readonly { x: number; y: number }[] | undefined;
}

/**
 * Finds a place for each name where it overlaps neither a point, the line nor another name, and stays inside the area: the nearest one, in
 * a fixed order.
 * @returns the labels in the order of the points; undefined if one of them has no such place
 */
export function placeLabels(
  points: readonly NamedPlace[],
  { area, radius, line = [] }: PlacingOptions,
): PlacedLabel[] | undefined {
  const dots = points.map(({ x, y }) => boxAround(x, y, 2 * radius, 2 * radius));
  const taken: Box[] = [...dots, ...boxesAlong(line)];
  const placed: PlacedLabel[] = [];
  for (const point of points) {
    const found = candidates(point, radius).find((label) => {
      const box = boxOf(label, point.width);
      return isInside(box, area) && taken.every((other) => !overlaps(box, other));
    });
    if (found === undefined) return undefined;
    taken.push(boxOf(found, point.width));
    placed.push(found);
  }
  return placed;
}

function candidates({ x, y }: NamedPlace, radius: number): PlacedLabel[] {
  return DISTANCES.flatMap((distance) =>
    DIRECTIONS.map(([right, down]): PlacedLabel => {
      const away = radius + GAP + distance;
      const anchor = right > 0 ? 'start' : right < 0 ? 'end' : 'middle';
      return { x: x + right * away, y: y + down * (away + HEIGHT / 2), anchor, apart: distance > 0 };
    }),
  );
}

function boxOf({ x, y, anchor }: PlacedLabel, width: number): Box {
  const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2;
  return { left, right: left + width, top: y - HEIGHT / 2, bottom: y + HEIGHT / 2 };
}

/** Small boxes along a line, which names keep clear of. */
function boxesAlong(line: readonly { x: number; y: number }[]): Box[] {
  return line.slice(1).flatMap((to, at) => {
    const from = line[at]!;
    const steps = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / STEP);
    return Array.from({ length: steps }, (_none, step) => {
      const share = step / steps;
      return boxAround(from.x + share * (to.x - from.x), from.y + share * (to.y - from.y), STEP, STEP);
    });
  });
}

function boxAround(x: number, y: number, width: number, height: number): Box {
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
}

function isInside(box: Box, area: Box): boolean {
  return box.left >= area.left && box.right <= area.right && box.top >= area.top && box.bottom <= area.bottom;
}

function overlaps(one: Box, other: Box): boolean {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}
