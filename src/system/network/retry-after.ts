/** Default limit on the wait that a server may request. */
export const LONGEST_WAIT_SECONDS = 120;

/**
 * Returns the wait that a server's headers request: `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3), or
 * `retry-after-ms`. Undefined if they request none, or no time in the future.
 */
export function retryAfterSeconds(
  headers: { get(name: string): string | null } | undefined,
  now = Date.now(),
): number | undefined {
  const milliseconds = headers?.get('retry-after-ms')?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(milliseconds)) return Number(milliseconds) / 1000;
  const written = headers?.get('retry-after')?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(written)) return Number(written);
  // A bare negative number would be parsed as a year.
  const date = /[a-z]/i.test(written) ? Date.parse(written) : Number.NaN;
  return date > now ? (date - now) / 1000 : undefined;
}
