import { describe, expect, it } from 'vitest';
import { glossWords, isOffensive, splitGloss } from './gloss.ts';

describe('splitGloss', () => {
  it('separates the examples from a definition of several parts', () => {
    expect(splitGloss('a saw; cuts metal; "he sawed; it broke"; "a blunt saw"  ')).toEqual({
      definition: 'a saw; cuts metal',
      examples: ['he sawed; it broke', 'a blunt saw'],
    });
  });

  it('keeps the source with its example', () => {
    expect(splitGloss('a fault; "the fault is not in our stars"- Shakespeare').examples).toEqual([
      'the fault is not in our stars - Shakespeare',
    ]);
  });

  it('leaves quotes inside a definition where they are', () => {
    expect(splitGloss('a demand especially in the phrase "the call of duty"')).toEqual({
      definition: 'a demand especially in the phrase "the call of duty"',
      examples: [],
    });
  });

  it('cuts an example that follows a colon', () => {
    expect(splitGloss('a complete range: "a gamut of emotions"')).toEqual({
      definition: 'a complete range',
      examples: ['a gamut of emotions'],
    });
  });

  it('returns an empty definition if there are only examples', () => {
    expect(splitGloss('"only this"').definition).toBe('');
  });
});

it('treats glosses as equal that differ only in case, punctuation and articles', () => {
  expect(glossWords('The act of (a) Saw')).toEqual(glossWords('act of saw'));
});

it('distinguishes glosses that mark a slur from those about an attack', () => {
  expect(isOffensive({ definition: '(ethnic slur) offensive term for somebody', examples: [] })).toBe(true);
  expect(isOffensive({ definition: 'an offensive move in a sport or game', examples: [] })).toBe(false);
});
