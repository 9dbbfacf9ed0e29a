import { describe, expect, it } from 'vitest';
import { evaluateRun } from './evaluate-run.ts';
import { DocumentNumbers, Hits, TypedRun } from './hits.ts';

const ids = ['a', 'b', 'c'];
const hits = new Hits(
  [
    { numbers: Uint32Array.of(2, 0), scores: Float32Array.of(0.5, 0.25) },
    { numbers: new Uint32Array(0), scores: new Float32Array(0) },
    { numbers: Uint32Array.of(1), scores: Float64Array.of(0.1) },
  ],
  (number) => ids[number]!,
);
const rows = [
  [
    { id: 'c', score: 0.5 },
    { id: 'a', score: 0.25 },
  ],
  [],
  [{ id: 'b', score: 0.1 }],
];

describe('hits as typed arrays', () => {
  it('are read like an array of arrays', () => {
    expect(hits.length).toBe(3);
    expect([...hits]).toEqual(rows);
    expect([0, 1, 2, -1].map((row) => hits.at(row))).toEqual([...rows, rows[2]]);
    expect(hits.at(3)).toBeUndefined();
  });

  it('make a run that reads like a map', () => {
    const run = new TypedRun(['q', 'empty', 'p'], hits);
    const map = new Map(['q', 'empty', 'p'].map((query, row) => [query, rows[row]!]));
    expect(new Map(run)).toEqual(map);
    expect(run.size).toBe(3);
    expect([...run.keys()]).toEqual([...map.keys()]);
    expect([...run.values()]).toEqual([...map.values()]);
    expect([...run.entries()]).toEqual([...map.entries()]);
    expect(run.get('p')).toEqual(rows[2]);
    expect([run.get('other'), run.has('other'), run.has('empty')]).toEqual([undefined, false, true]);
    const seen: unknown[] = [];
    run.forEach((list, query) => {
      seen.push([query, list]);
    });
    expect(seen).toEqual([...map]);
  });

  it('are scored as objects are', () => {
    const qrels = new Map([
      ['q', new Map([['a', 1]])],
      ['p', new Map([['c', 1]])],
      ['empty', new Map([['c', 2]])],
    ]);
    const typed = evaluateRun(qrels, new TypedRun(['q', 'empty', 'p'], hits));
    expect(typed).toEqual(
      evaluateRun(qrels, new Map([...new TypedRun(['q', 'empty', 'p'], hits)].map(([query, list]) => [query, list]))),
    );
    expect(typed.perQuery.get('q')!.recip_rank).toBe(0.5);
  });
});

describe('document numbers', () => {
  it('count from 0 in the order in which ids come, and give ids back', () => {
    const numbers = new DocumentNumbers();
    expect(['x', 'y', 'x', '__proto__', ''].map((id) => numbers.number(id))).toEqual([0, 1, 0, 2, 3]);
    expect([0, 1, 2, 3].map((number) => numbers.id(number))).toEqual(['x', 'y', '__proto__', '']);
    expect(numbers.size).toBe(4);
  });

  it('continue in another map when one is full', () => {
    const numbers = new DocumentNumbers(2);
    const ids = ['a', 'b', 'c', 'd', 'e'];
    expect(ids.map((id) => numbers.number(id))).toEqual([0, 1, 2, 3, 4]);
    expect(ids.map((id) => numbers.number(id))).toEqual([0, 1, 2, 3, 4]);
    expect(ids.map((id) => numbers.find(id))).toEqual([0, 1, 2, 3, 4]);
    expect(numbers.find('f')).toBeUndefined();
    expect(numbers.size).toBe(5);
  });
});
