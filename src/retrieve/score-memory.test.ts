import { expect, it } from 'vitest';
import { ScoreMemory } from './score-memory.ts';

const sized = (bytes: number) => Promise.resolve({ bytes });

it('forgets the least recently used above its limit', async () => {
  const memory = new ScoreMemory(10);
  await memory.keep('a', sized(4));
  await memory.keep('b', sized(4));
  void memory.get('a');
  await memory.keep('c', sized(4));
  expect(['a', 'b', 'c'].filter((key) => memory.get(key) !== undefined)).toEqual(['a', 'c']);
});

it('keeps one that is larger than its limit, until the next', async () => {
  const memory = new ScoreMemory(10);
  await memory.keep('a', sized(40));
  expect(memory.get('a')).toBeDefined();
  await memory.keep('b', sized(4));
  expect([memory.get('a'), await memory.get('b')]).toEqual([undefined, { bytes: 4 }]);
});

it('remembers no failure', async () => {
  const memory = new ScoreMemory(10);
  await expect(memory.keep('a', Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(memory.get('a')).toBeUndefined();
});
