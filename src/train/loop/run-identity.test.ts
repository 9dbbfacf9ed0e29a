import { expect, test } from 'vitest';
import { canonicalJson, sha256 } from '../../system/index.ts';
import { hashList } from './run-identity.ts';

test('a list has the hash of its lines, and takes one member at a time', () => {
  const seen: string[] = [];
  function* members() {
    for (const id of ['a', 'b']) {
      seen.push(`take ${id}`);
      yield { text: id, id };
    }
  }
  const hash = hashList(members(), (member) => {
    seen.push(`write ${member.id}`);
    return canonicalJson(member);
  });
  expect(hash).toBe(sha256('{"id":"a","text":"a"}\n{"id":"b","text":"b"}\n'));
  expect(seen).toEqual(['take a', 'write a', 'take b', 'write b']);
});
