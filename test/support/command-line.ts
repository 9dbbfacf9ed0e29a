import { vi } from 'vitest';
import { runCommandLine } from '../../src/cli/run.ts';

/** How a command ended, and what it wrote. */
export interface Ended {
  code: number;
  out: string;
  log: string;
}

/**
 * Runs a command in the test's process, which is quicker than a process of its own. Start `dist/cli/main.js` for what
 * only a process shows: signals, a kill, closed streams.
 */
export async function llmQe(...words: string[]): Promise<Ended> {
  const ended: Ended = { code: 0, out: '', log: '' };
  const spies = (['out', 'log'] as const).map((name) =>
    vi.spyOn(name === 'out' ? process.stdout : process.stderr, 'write').mockImplementation((text) => {
      ended[name] += text;
      return true;
    }),
  );
  try {
    ended.code = await runCommandLine(words);
    return ended;
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
