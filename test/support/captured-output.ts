import { vi } from 'vitest';

/** What a command wrote. */
export interface CapturedOutput {
  out: string;
  err: string;
}

/** Collects what is written to stdout and stderr, until `vi.restoreAllMocks()`. */
export function captureOutput(): CapturedOutput {
  const printed: CapturedOutput = { out: '', err: '' };
  for (const [stream, name] of [['stdout', 'out'] as const, ['stderr', 'err'] as const]) {
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      printed[name] += text;
      return true;
    });
  }
  return printed;
}
