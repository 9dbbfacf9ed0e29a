import { describe, expect, it } from 'vitest';
import { changePlot } from './change-plot.ts';

const plot = (changes: readonly number[]) =>
  changePlot(
    changes.map((change, at) => ({ text: `q${at}`, before: 0.5, after: 0.5 + change })),
    'nDCG@10',
  ).text;
/** The larger one of the two pictures. */
const broad = (text: string) => text.slice(0, text.indexOf('</svg>'));
const count = (text: string, kind: string) => (text.match(new RegExp(`<rect class="${kind}"`, 'g')) ?? []).length;

describe('the plot of changes', () => {
  it('gives each query a bar if there is room', () => {
    const text = broad(plot([0.2, -0.1, 0.1]));
    expect([count(text, 'gain'), count(text, 'loss')]).toEqual([2, 1]);
    expect(text).toContain('<title>q0 (0.500 to 0.700)</title>');
  });

  it('never mixes gains, losses and unchanged queries in one bar', () => {
    const changes = Array.from({ length: 5000 }, (_, at) => (at < 17 ? 0.3 : at < 4900 ? 0 : -0.2));
    const text = broad(plot(changes));
    expect([count(text, 'gain'), count(text, 'same'), count(text, 'loss')]).toEqual([2, 1, 7]);
    expect(text).toContain('<title>queries 1 to 16: +0.3000 to +0.3000</title>');
    expect(text).toContain('<title>queries 18 to 4900: unchanged</title>');
  });

  it('draws the mean of the queries of a bar', () => {
    const two = broad(plot(Array.from({ length: 640 }, (_, at) => (at % 2 === 0 ? 0.4 : 0.4))));
    const one = broad(plot([0.4]));
    const height = (text: string) => /<rect class="gain"[^>]* height="([\d.]+)"/.exec(text)![1];
    expect(height(two)).toBe(height(one));
  });

  it('does not grow with the number of queries, and works for very many', () => {
    const changes = Array.from({ length: 200_000 }, (_, at) => Math.sin(at));
    expect(plot(changes).match(/<rect/g)!.length).toBeLessThan(450);
  });

  it('works without queries', () => {
    expect(plot([])).toContain('<svg');
  });
});
