import { redact } from '../system/index.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/**
 * A text for the terminal. Data may hold control characters, with which a file could rewrite the terminal: all but tabs and line ends
 * are shown. Secrets are not.
 */
export function printable(text: string): string {
  return redact(text).replace(CONTROL, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
