import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { peakMemory } from './peak-memory.ts';

test('the peak of a process holds what it held, and nothing of its parent', () => {
  const ballast = Buffer.alloc(300 << 20, 1);
  expect(peakMemory()).toBeGreaterThan(ballast.length);
  const script = `import { peakMemory } from ${JSON.stringify(resolve('dist/system/peak-memory.js'))}; console.log(peakMemory());`;
  const ofChild = Number(execFileSync(process.execPath, ['--input-type=module', '-e', script]));
  expect(ofChild).toBeGreaterThan(20 << 20);
  expect(ofChild).toBeLessThan(200 << 20);
});
