import { describe, expect, it } from 'vitest';
import { rarityFeatures, scoreFeatures, textFeatures, vectorFeatures, writtenFeatures } from './features.ts';

describe('features of a text', () => {
  it.each([
    ['What is a vineyard?', { words: Math.log(5), question: 1, identifiers: 0, quoted: 0, entities: 0 }],
    ['vineyard', { words: Math.log(2), question: 0, identifiers: 0, quoted: 0, entities: 0 }],
    ['mayors of Paris and Rome', { question: 0, entities: 2 / 4 }],
    ['the "exact phrase" here', { quoted: 1 }],
    ["don't or won't", { quoted: 0 }],
    ['readFile snake_case a/b std::move f(x) RFC2616 3d v1.2', { identifiers: 1 }],
    ['plain words, a colon: and 2019.', { identifiers: 0 }],
    ['Est-ce un vin ?', { question: 1 }],
    ['whatever works', { question: 0 }],
    ['', { words: 0, question: 0, identifiers: 0, quoted: 0, entities: 0 }],
  ])('%j', (text, expected) => {
    expect(textFeatures(text)).toMatchObject(expected);
  });

  it('take no longer than an instant for hostile texts', () => {
    const started = performance.now();
    for (const hostile of ['(', '“', "'", '`', 'a_', 'a1-', '::', '/'])
      textFeatures(hostile.repeat(200_000 / hostile.length));
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('features of terms, scores and expansions', () => {
  it('tell how rare the terms are', () => {
    expect(rarityFeatures([2, undefined, 4, undefined])).toEqual({ meanIdf: 3, highestIdf: 4, unknownTerms: 0.5 });
    expect(rarityFeatures([undefined])).toEqual({ unknownTerms: 1 });
    expect(rarityFeatures([])).toEqual({});
  });

  it('tell how far the first hit is ahead of the tenth, or of the last', () => {
    expect(scoreFeatures([4, 3.5, 3, 3, 3, 3, 3, 3, 3, 1, 0.5])).toEqual({ firstScore: 4, gapToTenth: 0.75 });
    expect(scoreFeatures([-2, -3])).toEqual({ firstScore: -2, gapToTenth: 0.5 });
    expect(scoreFeatures([0])).toEqual({ firstScore: 0, gapToTenth: 0 });
    expect(scoreFeatures([])).toEqual({});
  });

  it('tell how much of the query is in its expansions', () => {
    const found = writtenFeatures('The red wine, red', ['a RED grape', 'wine is made of it']);
    expect(found.coverage).toBeCloseTo(2 / 3, 12);
    expect(found.expansionWords).toBeCloseTo(Math.log(1 + (3 + 5) / 2), 12);
    expect(writtenFeatures('a', [])).toEqual({});
  });
});

describe('features of vectors', () => {
  it('are the cosine to the mean, and how the expansions differ', () => {
    // The mean of (4, 0) and (0, 2) is (2, 1); their cosine to one another is 0.
    const { cosine, spread } = vectorFeatures(Float32Array.of(3, 0), Float32Array.of(4, 0, 0, 2));
    expect(cosine).toBeCloseTo(2 / Math.sqrt(5), 6);
    expect(spread).toBeCloseTo(1, 6);
    // Pairs of three: cosines 1, 0, 0.
    const three = vectorFeatures(Float32Array.of(1, 0), Float32Array.of(1, 0, 5, 0, 0, 1));
    expect(three.spread).toBeCloseTo(2 / 3, 6);
  });

  it('lack the spread of a single expansion, and everything without one', () => {
    expect(vectorFeatures(Float32Array.of(1, 0), Float32Array.of(0, 2))).toEqual({ cosine: 0, spread: undefined });
    expect(vectorFeatures(Float32Array.of(1, 0), new Float32Array(0))).toEqual({});
    expect(vectorFeatures(Float32Array.of(0, 0), Float32Array.of(0, 2)).cosine).toBe(0);
  });
});
