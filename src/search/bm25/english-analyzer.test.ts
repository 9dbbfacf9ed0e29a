import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import { Random } from '../../system/index.ts';
import { analyzeEnglish, splitWords } from './english-analyzer.ts';

const golden: { terms: [text: string, terms: string[]][] } = JSON.parse(
  await readFile(new URL('../goldens/bm25.json', import.meta.url), 'utf8'),
);

describe('English analysis', () => {
  it.each(golden.terms)("gives Lucene's terms of %j", (text, terms) => {
    expect(analyzeEnglish(text)).toEqual(terms);
  });

  it('splits a text in ASCII as any other', () => {
    const random = new Random(3);
    const characters = [
      'a',
      'Z',
      '0',
      '9',
      '_',
      '.',
      ',',
      ':',
      ';',
      "'",
      '"',
      '#',
      '*',
      '-',
      ' ',
      '\t',
      '\0',
      '\u007f',
    ];
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: random.below(14) }, () => characters[random.below(characters.length)]).join('');
      // With a word that is not in ASCII, the whole text takes the general way.
      expect([...splitWords(text)], text).toEqual([...splitWords(`${text} é`)].slice(0, -1));
    }
    const long = `${'b'.repeat(600)} ${'_'.repeat(300)} a`;
    expect([...splitWords(long)]).toEqual([...splitWords(`${long} é`)].slice(0, -1));
  });

  it('takes time in proportion to the length, whatever the text', async () => {
    for (const unit of ['a', '_', 'a_', '1,', "a'", '😀\u200d', '🇩', 'é\u0301', '\u0301', 'א"', 'a.b', '中']) {
      const seconds = await cpuSeconds(() => {
        for (const _word of splitWords(unit.repeat(200_000)));
        for (let round = 0; round < 3; round++) for (const _word of splitWords(unit.repeat(65_536 / unit.length)));
      });
      expect(seconds, unit).toBeLessThan(2);
    }
  });

  it('does not overflow on words of a million characters', () => {
    for (const unit of ['a', '1,', 'a_', '_', 'é\u0301', 'א"', 'カ', 'ก', '\u{10400}', '\u0301', ' ', "'"]) {
      let words = 0;
      let longest = 0;
      for (const word of splitWords(unit.repeat(1_000_000 / unit.length))) {
        words++;
        longest = Math.max(longest, word.length);
      }
      expect(longest, unit).toBeLessThanOrEqual(255);
      if (unit === 'a') expect(words).toBe(Math.ceil(1_000_000 / 255));
    }
  });

  it('finds the same words wherever a long text is cut into stretches', () => {
    const sentence = `The river's lamps_x 3,141.5 can't \u{1f600}\u200d\u{1f600} ${'b'.repeat(300)} \u{10400}\u{10401}t 中文 café\u0301s. `;
    const once = [...splitWords(sentence)];
    const count = Math.ceil(200_000 / sentence.length);
    for (const shift of [0, 1, 2, 7, 100]) {
      const all = [...splitWords(' '.repeat(shift) + sentence.repeat(count))];
      expect(all).toEqual(Array.from({ length: count }, () => once).flat());
    }
  });
});
