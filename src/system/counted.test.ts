import { expect, test } from 'vitest';
import { counted } from './counted.ts';

test.each([
  [counted(0, 'row'), '0 rows'],
  [counted(1, 'row'), '1 row'],
  [counted(1200, 'query'), '1,200 queries'],
  [counted(1, 'row has', 'rows have'), '1 row has'],
  [counted(2, 'row has', 'rows have'), '2 rows have'],
])('%s', (written, expected) => {
  expect(written).toBe(expected);
});
