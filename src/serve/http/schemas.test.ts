import { expect, test } from 'vitest';
import { embeddingsBody, expandBody, searchBody, teiBody } from './schemas.ts';

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
