import { redact } from '../system/index.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for control characters
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/**
 * Makes a text safe to print. Control characters in data could rewrite the terminal: all but tabs and line breaks are
 * printed as escapes. Secrets are redacted.
 */
export function printable(text: string): string {
  return redact(text).replace(CONTROL, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
