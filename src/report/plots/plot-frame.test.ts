import { describe, expect, it } from 'vitest';
import { type PlotAxis, PlotFrame, type PlotOptions, stepLabel } from './plot-frame.ts';

const SIZE = { width: 420, height: 220, label: 'a plot' };

interface Label {
  x: number;
  y: number;
  anchor: string;
  words: string;
}

function labelsOf(options: Partial<PlotOptions> & { x: PlotAxis; y: PlotAxis }): Label[] {
  const { text } = new PlotFrame({ ...SIZE, ...options }).draw([]);
  const found = text.matchAll(/<text class="axis" x="([\d.-]+)" y="([\d.-]+)" text-anchor="(\w+)">([^<]*)</g);
  return [...found].map(([, x, y, anchor, words]) => ({ x: Number(x), y: Number(y), anchor: anchor!, words: words! }));
}

/** Labels beside the plot and below it. */
function ticks(x: PlotAxis, y: PlotAxis): { beside: string[]; below: string[] } {
  const words = (anchor: string) => labelsOf({ x, y }).filter((label) => label.anchor === anchor);
  return { beside: words('end').map((one) => one.words), below: words('middle').map((one) => one.words) };
}

const UNIT = { from: 0, to: 1 };

describe('the frame of a plot', () => {
  it('widens the y axis to round ticks, and leaves the x axis as it is', () => {
    const { beside, below } = ticks({ from: 1, to: 236, whole: true }, { from: 0.3803, to: 0.7081 });
    expect(beside).toEqual(['0.3', '0.4', '0.5', '0.6', '0.7', '0.8']);
    expect(below).toEqual(['50', '100', '150', '200']);
    const frame = new PlotFrame({ ...SIZE, x: { from: 1, to: 236 }, y: { from: 0.3803, to: 0.7081 } });
    expect(frame.y(0.8)).toBeLessThan(frame.y(0.7081));
    expect(frame.x(236)).toBe(420 - 16);
  });

  it('has ticks at 1, 2 and 5 on a logarithmic axis, or at powers of ten, and a place for 0', () => {
    const log = (from: number, to: number, zero = false) => ticks({ from, to, log: true, zero }, UNIT).below;
    expect(log(0.4, 3.3)).toEqual(['0.2', '0.5', '1', '2', '5']);
    expect(log(3, 3)).toEqual(['2', '5']);
    expect(log(0.9, 2800)).toEqual(['1', '10', '100', '1,000']);
    expect(log(120, 900, true)).toEqual(['0', '100', '200', '500', '1,000']);
    const frame = new PlotFrame({ ...SIZE, x: { from: 1, to: 100, log: true, zero: true }, y: UNIT });
    expect(frame.x(10) - frame.x(1)).toBeCloseTo(frame.x(100) - frame.x(10), 9);
    expect(frame.x(0)).toBe(frame.area.left);
    expect(frame.x(1)).toBeGreaterThan(frame.x(0));
  });

  it('uses whole numbers for counts', () => {
    expect(ticks({ from: 0, to: 3, whole: true }, { from: 0, to: 2, whole: true })).toEqual({
      beside: ['0', '1', '2'],
      below: ['0', '1', '2', '3'],
    });
  });

  it('writes changes with their sign', () => {
    expect(ticks(UNIT, { from: -0.31, to: 0.31, signed: true }).beside).toEqual([
      ...['\u22120.4', '\u22120.2', '0', '+0.2', '+0.4'],
    ]);
  });

  it.each([
    ['one value', 12_345, 12_345],
    ['zero alone', 0, 0],
    ['tiny values', 0, 9e-7],
    ['large negative values', -98_765_432, -12_345_678],
    ['values that differ in the last digit', 0.1 + 0.2, 0.3],
  ])('has distinct labels that are not cut off: %s', (_name, from, to) => {
    const labels = labelsOf({ x: { from, to }, y: { from, to } });
    expect(labels.every(({ words }) => !words.includes('NaN'))).toBe(true);
    for (const anchor of ['middle', 'end']) {
      const words = labels.filter((label) => label.anchor === anchor).map((label) => label.words);
      expect(words.length).toBeGreaterThan(0);
      expect(new Set(words).size).toBe(words.length);
    }
    for (const { x, anchor, words } of labels) {
      // At least six of the picture's units for a character.
      const left = anchor === 'end' ? x - 6 * words.length : x - 3 * words.length;
      expect(left).toBeGreaterThanOrEqual(0);
      expect(anchor === 'end' ? x : x + 3 * words.length).toBeLessThanOrEqual(420);
    }
  });

  it('keeps labels below the plot apart', () => {
    const below = labelsOf({ x: { from: 1_000_000, to: 1_000_350 }, y: UNIT }).filter(
      ({ anchor }) => anchor === 'middle',
    );
    expect(below.length).toBeGreaterThan(1);
    below.slice(1).forEach(({ x, words }, at) => {
      expect(x - below[at]!.x).toBeGreaterThan(6 * words.length);
    });
  });

  it('keeps the name of a mark off the title and inside the picture', () => {
    const at = (value: number) =>
      labelsOf({ x: UNIT, y: { ...UNIT, title: 'queries' }, mark: { value, name: 'threshold' } }).find(
        ({ words }) => words === 'threshold',
      )!.x;
    expect(at(0)).toBeGreaterThan(6 * 'queries'.length + 3 * 'threshold'.length);
    expect(at(1)).toBeLessThanOrEqual(420 - 3 * 'threshold'.length);
    expect(at(0)).toBeLessThan(at(0.5));
  });
});

describe('the label of a step', () => {
  it('has the digits that the step needs', () => {
    expect([stepLabel(0.30000000000000004, 0.1), stepLabel(-1.5, 0.05), stepLabel(7000, 1000)]).toEqual([
      ...['0.3', '\u22121.50', '7,000'],
    ]);
    expect(stepLabel(2e-7, 1e-7)).toBe('2e\u22127');
  });
});
