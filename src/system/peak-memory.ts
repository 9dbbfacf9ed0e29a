import { readFileSync } from 'node:fs';

/**
 * Returns the most memory that this process has held, in bytes. Linux hands the parent's peak on to a child in what
 * `getrusage` reports, so the process's own high-water mark is read where there is one.
 */
export function peakMemory(): number {
  return highWaterMark() ?? process.resourceUsage().maxRSS * 1024;
}

function highWaterMark(): number | undefined {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined; // not Linux
  }
}
