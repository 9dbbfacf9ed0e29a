import { describe, expect, it } from 'vitest';
import { isEntityLike, slicesOf } from './query-slices.ts';

const many = (text: string, count: number, before = 0.5, after = 0.6) =>
  Array.from({ length: count }, () => ({ text, before, after }));

describe('slicesOf', () => {
  it('takes the means of the parts of each division, in its order', () => {
    const queries = [
      ...many('what is a very long river of europe', 10, 0.2, 0.4),
      ...many('river rhine', 20, 0.5, 0.5),
    ];
    expect(slicesOf(queries)).toEqual([
      { kind: 'words in the query', name: '1 to 3', queries: 20, before: 0.5, after: 0.5 },
      {
        kind: 'words in the query',
        name: '8 to 15',
        queries: 10,
        before: expect.closeTo(0.2, 9),
        after: expect.closeTo(0.4, 9),
      },
      expect.objectContaining({ kind: 'question word', name: 'none', queries: 20 }),
      expect.objectContaining({ kind: 'question word', name: 'what', queries: 10 }),
    ]);
  });

  it('puts small parts together, last, and leaves out a division into one part', () => {
    const queries = [...many('what is it', 12), ...many('who is it', 3), ...many('why is it', 2)];
    expect(slicesOf(queries).map(({ kind, name, queries: size }) => [kind, name, size])).toEqual([
      ['question word', 'what', 12],
      ['question word', 'other', 5],
    ]);
  });

  it('tells scripts apart', () => {
    const queries = [...many('река европы', 10), ...many('欧洲 的 河流', 10), ...many('a river', 10)];
    const scripts = slicesOf(queries).filter(({ kind }) => kind === 'script');
    expect(scripts.map(({ name }) => name).sort()).toEqual(['Cyrillic', 'Han', 'Latin']);
  });

  it.each([
    ['capital of France', true],
    ['error E1234', true],
    ['"to be or not"', true],
    ['what does NASA do', true],
    ['the getName method', true],
    ['Capital of a country', false],
    ['how do birds fly', false],
  ])('%j names something: %s', (text, expected) => {
    expect(isEntityLike(text)).toBe(expected);
  });
});
