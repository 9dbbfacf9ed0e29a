import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { shellWord, shortPath } from './shell-word.ts';

it.each(['plain', 'two words', 'a "quoted" $HOME `date`', "it's", "it's $5!", 'back\\slash', 'a;b|c&d', '*', ''])(
  'a shell reads %j unchanged',
  (word) => {
    expect(execFileSync('sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' })).toBe(word);
  },
);

it('shortens paths inside the current folder', () => {
  expect(shortPath(resolve('runs/demo'))).toBe('runs/demo');
  expect(shortPath('/elsewhere/runs')).toBe('/elsewhere/runs');
});
