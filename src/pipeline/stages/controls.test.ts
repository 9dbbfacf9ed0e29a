import { describe, expect, it } from 'vitest';
import type { Topics } from '../../evaluate/index.ts';
import {
  equalLengths,
  foreignExpansions,
  meanWords,
  planControls,
  repeatedQuery,
  withoutQueryTerms,
} from './controls.ts';

function topics(...queries: [text: string, ...expansions: string[]][]): Topics {
  return {
    dataset: 'toy',
    split: 'test',
    queries: queries.map(([text, ...expansions], at) => ({ id: `q${at}`, text, expansions })),
    qrels: new Map(),
  };
}
const texts = ({ queries }: Topics) => queries.map(({ expansions }) => expansions);

const SAWS = topics(
  ['What is a saw?', 'A saw is a tool for sawing wood.', 'Saws cut.'],
  ['boats', 'large ships'],
  ['birds', 'small'],
);

describe('controls', () => {
  it('repeat the query to the length of each expansion', () => {
    expect(texts(repeatedQuery(SAWS))).toEqual([
      ['What is a saw? What is a saw?', 'What is'],
      ['boats boats'],
      ['birds'],
    ]);
  });

  it('give each query the expansions of another one, and none its own', () => {
    const foreign = foreignExpansions(SAWS, 7);
    expect(texts(foreign).flat().sort()).toEqual(texts(SAWS).flat().sort());
    for (const [at, { expansions }] of foreign.queries.entries()) {
      expect(expansions).not.toEqual(SAWS.queries[at]!.expansions);
    }
    expect(texts(foreignExpansions(SAWS, 7))).toEqual(texts(foreign));
  });

  it('omit the texts of another query if there is no other', () => {
    const planned = (...all: Topics[]) => {
      const arm = (name: string) => ({ name, dev: undefined, test: all });
      return planControls(arm('zeroShot'), arm('aligned'), 7).map(({ name }) => name);
    };
    expect(planned(SAWS, SAWS)).toContain("another query's");
    expect(planned(SAWS)).toHaveLength(6);
    expect(planned(topics(['boats', 'large ships']))).toEqual(
      planned(SAWS).filter((name) => name !== "another query's"),
    );
  });

  it('cut both arms to the words of the shorter one, query by query', () => {
    const other = topics(['What is a saw?', 'one two three'], ['boats', 'a b c d'], ['birds']);
    const [a, b] = equalLengths(SAWS, other);
    expect(texts(a)).toEqual([['A saw', 'Saws cut.'], ['large ships'], ['small']]);
    expect(texts(b)).toEqual([['one two'], ['a b'], []]);
  });

  it("delete the query's own words in every form, and no others", () => {
    expect(texts(withoutQueryTerms(SAWS))).toEqual([['A is a tool for wood.', 'cut.'], ['large ships'], ['small']]);
    expect(texts(withoutQueryTerms(topics(['saws', 'A saw'])))).toEqual([['A']]);
  });

  it('omit an expansion if nothing is left of it', () => {
    expect(texts(withoutQueryTerms(topics(['saw', 'saw saws'])))).toEqual([[]]);
  });

  it('count words', () => {
    expect(meanWords(SAWS)).toBeCloseTo((8 + 2 + 2 + 1) / 4, 12);
    expect(meanWords(topics(['x']))).toBe(0);
    expect(meanWords(topics(['x', ' two\n  words ']))).toBe(2);
  });
});
