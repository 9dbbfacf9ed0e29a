import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { HintingLog } from './hinting-log.ts';

type Logged = Parameters<HintingLog['write']>[0];
const LATE = ['fallback', 'too slow'];
const PARTIAL = ['partial', 'too slow'];
const HIT = ['hit'];

test.each<[string, string[][], number]>([
  ['most were late', [...Array(4).fill(PARTIAL), ...Array(30).fill(HIT), ...Array(16).fill(LATE)], 1],
  ['half were late', [...Array(5).fill(PARTIAL), ...Array(20).fill(LATE)], 0],
  ['too few to tell', Array(9).fill(LATE), 0],
  ['the caller left no time', Array(20).fill(['fallback', 'no budget']), 0],
])('an LLM that is too slow is told once: %s', (_, given, times) => {
  const warnings: string[] = [];
  const log = new HintingLog({ format: 'none', stream: new PassThrough() }, (message) => warnings.push(message));
  for (const [state, reason] of given) {
    const record = { expansions: [{ state, reason }] } as Logged['record'];
    log.write({ id: '1', method: 'POST', route: '/search', status: 200, milliseconds: 1, record });
  }
  expect(warnings).toEqual(Array(times).fill(expect.stringContaining('for 6 of the first 10 queries')));
});
