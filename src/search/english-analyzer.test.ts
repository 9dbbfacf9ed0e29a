import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { analyzeEnglish, splitWords } from './english-analyzer.ts';

const golden: { terms: [text: string, terms: string[]][] } = JSON.parse(
  await readFile(new URL('./goldens/bm25.json', import.meta.url), 'utf8'),
);

describe('English analysis', () => {
  it.each(golden.terms)("gives Lucene's terms of %j", (text, terms) => {
    expect(analyzeEnglish(text)).toEqual(terms);
  });

  it('takes time in proportion to the length, whatever the text', () => {
    for (const unit of ['a', '_', 'a_', '1,', "a'", '😀\u200d', '🇩', 'é\u0301', '\u0301', 'א"', 'a.b', '中']) {
      const started = performance.now();
      splitWords(unit.repeat(200_000));
      expect(performance.now() - started, unit).toBeLessThan(2000);
    }
  });
});
