import { expect, test } from 'vitest';
import { z } from 'zod';
import { shortList } from '../short-list.ts';
import { embeddingsBody, expandBody, searchBody, teiBody } from './schemas.ts';

test('of a list that is too long, no more items are looked at than it may have, and one', () => {
  let looks = 0;
  const item = z.custom(() => ++looks > 0);
  expect(shortList(item, 3).safeParse(Array(1_000_000).fill('a')).success).toBe(false);
  expect(looks).toBeLessThanOrEqual(4);
  expect(shortList(item, 3).parse(['a', 'b', 'c'])).toEqual(['a', 'b', 'c']);
});

test.each([
  ['embeddings', embeddingsBody, 'input'],
  ['embeddings', embeddingsBody, 'expansions'],
  ['TEI', teiBody, 'inputs'],
  ['expand', expandBody, 'expansions'],
  ['search', searchBody, 'expansions'],
])('a body of many wrong items costs few issues: %s %#', (_name, body, field) => {
  const wrong = Array(100_000).fill(['', 0, null]).flat();
  const { error } = body.safeParse({ input: 'a', inputs: 'a', query: 'a', [field]: wrong });
  expect(error!.issues[0]!.path).toEqual([field, ...error!.issues[0]!.path.slice(1)]);
  expect(JSON.stringify(error!.issues).length).toBeLessThan(1_000_000);
});
