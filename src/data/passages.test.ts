import { describe, expect, it } from 'vitest';
import { documentOfPassage, parsePassages, passageDocuments, passageId, splitPassages } from './passages.ts';

const numbers = (count: number) => Array.from({ length: count }, (_none, at) => `w${at}`).join(' ');

describe('splitPassages', () => {
  const textsOf = (text: string, words: number, overlap: number) =>
    splitPassages(text, { words, overlap }).map(({ start, end }) => text.slice(start, end));

  it('repeats the last words of the passage before, and ends with the text', () => {
    expect(textsOf(numbers(7), 4, 1)).toEqual(['w0 w1 w2 w3', 'w3 w4 w5 w6']);
    expect(textsOf(numbers(8), 4, 1)).toEqual(['w0 w1 w2 w3', 'w3 w4 w5 w6', 'w6 w7']);
    expect(textsOf(numbers(8), 4, 0)).toEqual(['w0 w1 w2 w3', 'w4 w5 w6 w7']);
  });

  it('leaves a short text whole, with its blanks, and an empty one', () => {
    expect(textsOf('  a\tb \n', 2, 1)).toEqual(['  a\tb \n']);
    expect(textsOf('', 2, 1)).toEqual(['']);
  });

  it('counts characters as words where a script has no blanks', () => {
    expect(textsOf('東京は大きい', 3, 1)).toEqual(['東京は', 'は大き', 'きい']);
    expect(textsOf('see 東京 now', 2, 0)).toEqual(['see 東', '京 now']);
  });

  it('covers every word of any text', () => {
    for (let count = 1; count < 40; count++) {
      for (const [words, overlap] of [
        [1, 0],
        [3, 2],
        [5, 0],
        [7, 3],
      ] as const) {
        const covered = new Set(textsOf(numbers(count), words, overlap).flatMap((text) => text.split(' ')));
        expect(covered.size).toBe(count);
      }
    }
  });
});

it('names passages so that no document has their id', () => {
  expect(documentOfPassage(passageId('doc-1', 12))).toEqual({ id: 'doc-1', passage: 12 });
});

it('puts the title before each passage', async () => {
  const found = [];
  const documents = [{ id: 'a', title: 'T', text: 'x y z' }];
  for await (const one of passageDocuments(documents, { words: 2, overlap: 1 })) found.push(one);
  expect(found).toEqual([
    { id: 'a 0', title: 'T', text: 'x y' },
    { id: 'a 1', title: 'T', text: 'y z' },
  ]);
});

it('reads words and overlap', () => {
  expect(parsePassages('200/50')).toEqual({ words: 200, overlap: 50 });
  expect(parsePassages('200')).toEqual({ words: 200, overlap: 0 });
  for (const wrong of ['', '0', '50/50', '1/2', 'a/b', '200/50/1', '-1', '1e3']) {
    expect(() => parsePassages(wrong)).toThrow(/does not say how to divide/);
  }
});
