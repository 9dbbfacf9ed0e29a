import { describe, expect, it } from 'vitest';
import { UsageError } from '../../system/index.ts';
import { parseQueryRepeats, type QueryRepeats, repeatQuery } from './query-text.ts';

describe('the text of an expanded query', () => {
  const times = (query: string, texts: string[], repeats: QueryRepeats) =>
    repeatQuery(query, texts, repeats).split(query).length - 1;

  it('is the query five times, then the expansions', () => {
    expect(repeatQuery('q', ['one', 'two'])).toBe('q q q q q one two');
    expect(repeatQuery('q', ['one'], 1)).toBe('q one');
    expect(repeatQuery('q', ['one'], 0)).toBe('one');
  });

  it('is the query alone without expansions, or with blank ones', () => {
    expect(repeatQuery('q', [])).toBe('q');
    expect(repeatQuery('q', ['', ' \n'], 'characters:6')).toBe('q');
  });

  it('repeats it once for each expansion that is not blank', () => {
    expect(repeatQuery('q', ['one', ' ', 'two'], 'per-text')).toBe('q q one two');
  });

  it('repeats it as MuGI does: by characters, blanks between texts included', () => {
    // 2 x 30 + 1 = 61 characters; floor(61 / 5) = 12, floor(12 / 6) = 2.
    expect(times('query', ['x'.repeat(30), 'x'.repeat(30)], 'characters:6')).toBe(2);
    // 60 + 59 + 1 = 120: floor(120 / 5) = 24, / 6 = 4; one character less gives 3.
    expect(times('query', ['x'.repeat(60), 'x'.repeat(59)], 'characters:6')).toBe(4);
    expect(times('query', ['x'.repeat(59), 'x'.repeat(59)], 'characters:6')).toBe(3);
    // An emoji is one character, as in Python.
    expect(times('query', ['😀'.repeat(60), '😀'.repeat(59)], 'characters:6')).toBe(4);
    // A text that is short does not drop the query.
    expect(times('query', ['short'], 'characters:6')).toBe(1);
  });

  it('repeats it as ThinkQE does: by words', () => {
    // 13 words, a query of 2: 13 / (2 x 3) = 2.2.
    expect(times('two words', ['a '.repeat(6), 'b '.repeat(7)], 'words:3')).toBe(2);
    expect(times('two words', ['a b'], 'words:3')).toBe(1);
  });

  it('refuses other numbers of repeats', () => {
    for (const repeats of [-1, 2.5, 'characters:0', 'pages:3', '', 'characters:'] as QueryRepeats[]) {
      expect(() => repeatQuery('q', ['e'], repeats), String(repeats)).toThrow(UsageError);
    }
    expect(parseQueryRepeats('7')).toBe(7);
    expect(parseQueryRepeats('words:2.5')).toBe('words:2.5');
  });
});
