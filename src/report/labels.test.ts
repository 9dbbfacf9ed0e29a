import { expect, it } from 'vitest';
import { byteSize, labelOf, valueInWords } from './labels.ts';

it.each([
  ['zeroShot', 'zero-shot'],
  ['zeroShot, equal length', 'zero-shot, equal length'],
  [
    'cut to the words of the shorter of zeroShot and aligned',
    'cut to the words of the shorter of zero-shot and aligned',
  ],
  ['sft', 'SFT'],
  ['lowerCase', 'lower case'],
  ['dpo.maxLength', 'DPO: max length'],
  ['reward.weights.rank-gold', 'reward: weights: rank-gold'],
  ['topP', 'top-p'],
  ['dense + expansion', 'dense + expansion'],
  ['SHA-256', 'SHA-256'],
])('%s is called %s', (name, label) => {
  expect(labelOf(name)).toBe(label);
});

it.each([
  ['lowerCase', 'false', 'no'],
  ['normalize', 'true', 'yes'],
  ['memory', '25769803776', '25.8 GB'],
  ['bytes', '999', '999 bytes'],
  ['model', '', 'none'],
  ['seed', '42', '42'],
  ['memory', 'unknown', 'unknown'],
])('%s %s reads %s', (name, value, words) => {
  expect(valueInWords(name, value)).toBe(words);
});

it('gives sizes a unit', () => {
  expect([0, 1000, 1.5e6, 2e12, 3e15].map(byteSize)).toEqual(['0 bytes', '1.0 kB', '1.5 MB', '2.0 TB', '3000.0 TB']);
});
