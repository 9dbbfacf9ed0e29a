import { expect, it } from 'vitest';
import { describeSelfRetrieval, judgesItselfRelevant, relevantSelves } from './self-retrieval.ts';

it('the queries that judge the document of their own id relevant are listed', () => {
  const qrels = new Map([
    ['1', new Map([['1', 1]])],
    ['2', new Map([['1', 1]])],
    ['3', new Map([['3', 0]])],
    ['4', new Map([['4', -1]])],
    ['5', new Map(Object.entries({ 6: 1, 5: 3 }))],
  ]);
  expect([...relevantSelves(qrels)]).toEqual(['1', '5']);
  expect(judgesItselfRelevant('6', undefined)).toBe(false);
});

it('the rule is printed with the score', () => {
  const said = (dropped: boolean, kept: number) => describeSelfRetrieval({ dropped, kept, queries: 7 });
  expect(said(true, 0)).toBe('a document with the id of the query is left out');
  expect(said(true, 2)).toBe(
    'a document with the id of the query is left out, but kept for 2 of 7 queries, which judge it relevant',
  );
  expect(said(false, 2)).toBe('a document with the id of the query is kept');
});
