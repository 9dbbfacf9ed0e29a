import { timingSafeEqual } from 'node:crypto';
import { sha256 } from '../disk/hash.ts';
import { UsageError } from '../errors.ts';
import { keepSecret } from './redact.ts';

/** Compares a given secret with the right one, in a time that tells nothing of either: their hashes have one length. */
export function isSameSecret(given: string, right: string): boolean {
  return timingSafeEqual(Buffer.from(sha256(given)), Buffer.from(sha256(right)));
}

/**
 * Returns a key or token in the form in which it can be sent in a header: without blanks and line ends around it. From then on no
 * message shows it.
 *
 * @param name of the variable or option it comes from, for error messages
 * @returns undefined if it is empty
 * @throws UsageError, which does not show the value, if it holds a character that headers cannot hold
 */
export function checkSecret(value: string | undefined, name: string): string | undefined {
  if (value !== undefined) keepSecret(value.trim());
  return checkHeader(value, name);
}

/** The same for a value that is not a secret. */
export function checkHeader(value: string | undefined, name: string): string | undefined {
  const secret = value?.trim();
  if (!secret) return undefined;
  const wrong = /[^\x21-\x7e]/.exec(secret);
  if (wrong === null) return secret;
  const what = describeCharacter(wrong[0]);
  throw new UsageError(
    `${name} holds ${what} (at character ${wrong.index + 1} of ${secret.length}): it cannot be sent`,
    {
      fix: `Set ${name} to the value alone, exactly as its provider shows it.`,
    },
  );
}

function describeCharacter(character: string): string {
  if (/[\r\n]/.test(character)) return 'a line end';
  if (/\s/.test(character)) return 'a blank';
  return character < ' ' || character === '\x7f' ? 'a control character' : 'a character that is not ASCII';
}
