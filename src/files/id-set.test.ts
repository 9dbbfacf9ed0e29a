import { describe, expect, it } from 'vitest';
import { IdSet } from './id-set.ts';

describe('IdSet', () => {
  it('distinguishes new ids from known ones while it grows', () => {
    const set = new IdSet();
    const count = 300_000;
    for (let at = 0; at < count; at++) if (!set.add(`doc-${at}`)) expect.fail(`doc-${at} is new`);
    expect(set.size).toBe(count);
    for (let at = 0; at < count; at++) if (set.add(`doc-${at}`)) expect.fail(`doc-${at} is not new`);
    for (let at = count; at < 2 * count; at++) if (set.has(`doc-${at}`)) expect.fail(`doc-${at} is not there`);
    expect(set.size).toBe(count);
  });

  it('distinguishes ids that differ in one character, in order, in case or in length', () => {
    const ids = ['', ' ', 'a', 'b', 'ab', 'ba', 'aa', 'aaa', 'A', 'a\0', '\0a', 'é', 'e\u0301', '\u{1f600}', '0', '00'];
    const set = new IdSet();
    expect(ids.map((id) => set.add(id))).toEqual(ids.map(() => true));
    expect(ids.map((id) => set.has(id))).toEqual(ids.map(() => true));
    expect(set.has('B')).toBe(false);
  });

  it('spreads short numeric ids and long shared prefixes without a false match', () => {
    const set = new IdSet();
    const prefix = 'https://example.org/a/long/shared/prefix/'.repeat(5);
    for (let at = 0; at < 100_000; at++) {
      if (!set.add(String(at)) || !set.add(prefix + at)) expect.fail(`a false match at ${at}`);
    }
    expect(set.size).toBe(200_000);
  });
});
